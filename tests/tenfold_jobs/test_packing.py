"""From a finished model to a version: measured, whole, or not at all."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tenfold.errors import ArtifactError, StoreError
from tenfold.inference import Predictor
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.training.board import Tried
from tenfold.training.evaluate import Config, Outcome
from tenfold_jobs.packing import pack, staging_folder
from tenfold_jobs.provenance import provenance
from tests.tenfold_jobs.support import Case


def left_behind(settings: Settings) -> list[str]:
    """Whatever lies beside the published versions."""
    folder = settings.artifacts / "churn"
    return [path.name for path in folder.glob(".*")] if folder.is_dir() else []


def test_a_packed_model_is_published_with_all_that_is_known_of_it(
    case: Case, settings: Settings
) -> None:
    report = settings.reports / "churn" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<p>explored</p>")
    tried = [
        Tried(Config(number, family, {}), Outcome(number, score))
        for number, (family, score) in enumerate(
            [("dummy", 0.5), ("linear", math.nan), ("linear", 0.8), ("network", math.nan)]
        )
    ]
    origin = case.origin(tried=tried, parent="p" * 64, notes=("rows of one month only",))
    packed = pack(case.project, settings, case.finished["linear"], origin)

    version = packed.version
    assert (version.project, version.version) == ("churn", 1)
    assert Registry(settings).require("churn", 1) == version
    assert left_behind(settings) == []
    predictor = Predictor.load(version.path)
    manifest = predictor.manifest
    assert predictor.check_golden() >= 64
    assert manifest.model_digest == version.model_digest
    assert (manifest.task, manifest.engine) == ("binary", case.finished["linear"].engine.name)
    assert (tuple(manifest.classes), manifest.positive_class) == (("no", "yes"), "yes")
    assert manifest.threshold == case.finished["linear"].threshold
    lineage = manifest.lineage
    assert (lineage.snapshot, lineage.folds) == (case.snapshot.digest, case.snapshot.folds_digest)
    assert (lineage.family, lineage.seed, lineage.parent) == ("linear", 5, "p" * 64)
    assert dict(lineage.params) == case.finished["linear"].params
    assert lineage.extra["n_tried"] == 4
    assert provenance().items() <= lineage.extra.items()
    assert (version.path / "report.html").read_text() == "<p>explored</p>"
    conformed = case.finished["linear"].conformed
    assert conformed is not None
    limits = predictor.conformal
    assert limits is not None
    assert limits.to_dict() == conformed.table.to_dict()
    card = (version.path / "card.md").read_text()
    for line in (
        *(f"| {what} | {told} |" for what, told in conformed.facts()), "## Intervals",
        "| dummy | 1 | 0.5000 |", "| linear | 2 | 0.8000 |", "| network | 1 | none |",
        f"| packages_sha256 | {provenance()['packages_sha256']} |",
        "| seconds | 12 |", f"| parent | {'p' * 64} |", "- rows of one month only",
    ):  # fmt: skip
        assert line in card
    assert (version.path / "card.html").read_text().startswith("<!doctype html>")


def test_what_was_measured_is_in_the_manifest_and_unknown_bounds_are_null(
    case: Case, settings: Settings
) -> None:
    gated = case.with_gates("roc_auc >= 0.999", "latency_p99_ms <= 900")
    packed = case.pack(settings, project=gated)
    assert [(gate.text, gate.holds) for gate in packed.gates] == [
        ("roc_auc >= 0.999", False), ("latency_p99_ms <= 900", True),
    ]  # fmt: skip
    finished = case.finished["linear"]
    assert {name: packed.metrics[name] for name in finished.metrics} == finished.metrics
    p50, p99 = (packed.metrics[f"latency_p{q}_ms"] for q in (50, 99))
    assert 0 < p50.value <= p99.value
    assert packed.gates[1].value == p99.value
    written = json.loads((packed.version.path / "manifest.json").read_bytes())
    assert written["metrics"]["roc_auc"] == finished.metrics["roc_auc"].to_dict()
    assert written["metrics"]["latency_p99_ms"] == {
        "value": p99.value, "lower": None, "upper": None,
    }  # fmt: skip
    assert written["gates"] == [gate.to_dict() for gate in packed.gates]
    assert not (packed.version.path / "report.html").exists()


def test_the_same_model_again_is_another_version_of_the_same_digest(
    case: Case, settings: Settings
) -> None:
    first, second = case.pack(settings), case.pack(settings)
    assert [first.version.version, second.version.version] == [1, 2]
    assert first.version.model_digest == second.version.model_digest
    assert Registry(settings).history("churn") == []


def test_a_model_that_cannot_be_scored_is_not_published(case: Case, settings: Settings) -> None:
    finished = case.finished["linear"]
    files = finished.engine.files | {"model.onnx": b"not a graph"}
    broken = replace(finished, engine=replace(finished.engine, files=files))
    with pytest.raises(ArtifactError):
        pack(case.project, settings, broken, case.origin())
    assert Registry(settings).versions("churn") == []
    assert left_behind(settings) == []


def test_a_store_that_takes_nothing_leaves_no_version(case: Case, settings: Settings) -> None:
    settings.artifacts.parent.mkdir(parents=True)
    settings.artifacts.write_text("in the way")
    with pytest.raises(StoreError, match="could not be written: "):
        case.pack(settings)
    assert Registry(settings).versions("churn") == []


def test_a_registry_that_is_away_leaves_no_folder_behind(case: Case, settings: Settings) -> None:
    settings.home.mkdir(parents=True)
    (settings.home / "state.db").mkdir()
    with pytest.raises(StoreError, match="the state database"):
        case.pack(settings)
    assert left_behind(settings) == []


def test_each_run_gets_a_folder_of_its_own_under_the_store(settings: Settings) -> None:
    folders = [staging_folder(settings, "churn") for _ in range(3)]
    assert len(set(folders)) == 3
    for folder in folders:
        assert folder.is_dir()
        assert folder.name.startswith("churn-")
        assert folder.parent == Path(settings.store) / "work"
