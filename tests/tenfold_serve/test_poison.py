"""Models that must never answer (F11).

Each is refused by the supervisor and by the replica; the old one goes on, and the reason is told. A
changed file: `test_arms.py`, `test_keeper_e2e.py`.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest

from tenfold.artifact import ManifestDraft, read_artifact, write_artifact
from tenfold.project import Project
from tenfold.registry import Registry, Version
from tenfold.settings import Settings
from tenfold.testing.artifacts import small_artifact, small_files
from tenfold_serve.aggregator import Aggregator
from tenfold_serve.supervisor import Supervisor
from tests.tenfold_serve.support import PROJECT, Publish, board_with, config_of

Files = dict[str, bytes]
Poison = Callable[[Path], tuple[Files, ManifestDraft]]


def _sound(folder: Path, family: str, engine: str) -> Any:
    """The files of a good artifact with its golden rows, and its draft."""
    small_artifact(folder / "sound", family=family, engine=engine)
    files = dict(read_artifact(folder / "sound").files)
    files.pop("manifest.json", None)
    _, draft = small_files(family, engine=engine)
    return files, dataclasses.replace(draft, project=PROJECT)


def bad_tree(folder: Path) -> tuple[Files, ManifestDraft]:
    files, draft = _sound(folder, "boosting", "xgboost")
    rng = random.Random(1)
    bad = bytearray(files["model.ubj"])
    for _ in range(40):
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    return files | {"model.ubj": bytes(bad)}, draft


def another_model(folder: Path) -> tuple[Files, ManifestDraft]:
    files, draft = _sound(folder, "boosting", "onnx")
    other, _ = small_files("boosting", seed=1)
    return files | {"model.onnx": other["model.onnx"]}, draft


def without_numbers(folder: Path) -> tuple[Files, ManifestDraft]:
    """An ONNX graph that answers NaN, where nobody looks into the weights."""
    files, draft = _sound(folder, "boosting", "onnx")
    model = onnx.load_from_string(files["model.onnx"])
    (trees,) = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    for attribute in trees.attribute:
        if attribute.name == "target_weights":
            attribute.floats[:] = [float("nan")] * len(attribute.floats)
    return files | {"model.onnx": model.SerializeToString()}, draft


def _expecting(files: Files) -> Files:
    """The same with golden rows that expect NaN: nothing differs."""
    table = pa.ipc.open_file(files["golden.arrow"]).read_all()
    for k, name in enumerate(table.column_names):
        if name.startswith("__score_"):
            table = table.set_column(k, name, pa.array(np.full(table.num_rows, np.nan)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return files | {"golden.arrow": sink.getvalue().to_pybytes()}


def without_numbers_as_expected(folder: Path) -> tuple[Files, ManifestDraft]:
    files, draft = without_numbers(folder)
    return _expecting(files), draft


POISONS: dict[str, tuple[Poison, str]] = {
    "bad tree": (bad_tree, "model.ubj"),
    "another model": (another_model, "golden row"),
    "NaN": (without_numbers, "which no model may answer"),
    "NaN, as expected": (without_numbers_as_expected, "which no model may answer"),
}
"""How it is made, and what is said."""


class Host:
    """Serve, as far as the supervisor sees it."""

    def __init__(self) -> None:
        self.versions: list[list[int]] = []

    def apply(self, applications: Sequence[Mapping[str, Any]]) -> None:
        (application,) = applications
        arms = application["deployments"][0]["user_config"]["arms"]
        self.versions.append([arm["version"] for arm in arms])


@pytest.mark.parametrize("poison", POISONS)
def test_it_never_answers_and_the_old_one_goes_on(
    poison: str,
    settings: Settings,
    project: Project,
    project_file: Path,
    publish: Publish,
    tmp_path: Path,
) -> None:
    make, said = POISONS[poison]
    good = publish(0, promote=True)
    files, draft = make(tmp_path)
    write_artifact(tmp_path / "poison", files=files, manifest=draft)  # every digest is right
    registry = Registry(settings)
    bad: Version = registry.publish("mixed", tmp_path / "poison")
    host = Host()
    supervisor = Supervisor(
        [(project, project_file)], settings=settings, host=host, aggregator=Aggregator(settings)
    )
    supervisor.start()
    registry.promote("mixed", bad.version, expected=good.version)
    supervisor.step()
    assert host.versions == [[good.version]]
    (row,) = registry.state.journal.tail("mixed", 5, kind="swap_refused")
    assert f"version {bad.version} failed its probe: " in row.body["reason"]
    assert said in row.body["reason"]
    board = board_with(good)
    lineup = board.change(config_of(bad))
    assert [arm.version for arm in lineup.arms] == [good.version]
    assert said in lineup.reason
    supervisor.stop()
