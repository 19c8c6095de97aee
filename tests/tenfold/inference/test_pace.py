"""A model that answers right and takes a hundred times as long is found out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tenfold.artifact import probe, read_artifact
from tenfold.errors import ArtifactError
from tenfold.inference import Predictor, pack_artifact
from tenfold.inference.pace import check_pace
from tenfold.testing.artifacts import small_files
from tenfold.testing.burning import burning
from tenfold.testing.mixed import mixed_table


def packed(folder: Path, *, metrics: dict[str, Any], slow: bool) -> Path:
    """A model of which a training told so much; the slow one as another version would build it."""
    files, draft = small_files("boosting")
    if slow:
        files["model.onnx"] = burning(files["model.onnx"]).replace(
            b"tenfold.builder", b"another.builder"
        )
    draft = dataclasses.replace(draft, metrics=metrics)
    pack_artifact(folder, files=files, manifest=draft, table=mixed_table(100))
    return folder


TOLD = {"latency_p50_ms": {"value": 0.05, "lower": None, "upper": None}}


def test_a_slow_one_does_not_pass_its_probe(tmp_path: Path) -> None:
    found = probe(packed(tmp_path / "slow", metrics=TOLD, slow=True))
    assert not found.ok
    assert "ms of CPU and took 0.05 ms when the model was trained" in found.reason


def test_one_that_is_as_quick_as_ever_does(tmp_path: Path) -> None:
    assert probe(packed(tmp_path / "quick", metrics=TOLD, slow=False)).ok


@pytest.mark.parametrize(
    "metrics", [{}, {"latency_p50_ms": None}, {"latency_p50_ms": {"value": None}},
                {"latency_p50_ms": {"value": "quick"}}, {"latency_p50_ms": {"value": -1.0}}]
)  # fmt: skip
def test_where_nothing_was_measured_nothing_is_refused(
    metrics: dict[str, Any], tmp_path: Path
) -> None:
    check_pace(Predictor.load(packed(tmp_path / "a", metrics=metrics, slow=True)))


def test_what_was_slow_at_training_may_be(tmp_path: Path) -> None:
    told = {"latency_p50_ms": {"value": 1.0}}
    check_pace(Predictor.load(packed(tmp_path / "a", metrics=told, slow=True)))


def test_the_law_the_values_and_the_remedy_are_told(tmp_path: Path) -> None:
    folder = packed(tmp_path / "a", metrics=TOLD, slow=True)
    with pytest.raises(ArtifactError, match=r"over 2.5 ms it is another model .*: train it again"):
        check_pace(Predictor.from_artifact(read_artifact(folder)))
