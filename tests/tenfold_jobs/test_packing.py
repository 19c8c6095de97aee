"""From a finished model to a version: whole or not at all, promoted only for a reason."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from tests.tenfold_jobs.conftest import PublishSmall

from tenfold.data import Snapshot, prepare
from tenfold.errors import ArtifactError, StoreError
from tenfold.inference import Predictor
from tenfold.models import FAMILIES
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.training.board import Tried
from tenfold.training.evaluate import Config, Outcome, evaluate
from tenfold.training.finish import Finished, finish
from tenfold.training.question import Question, make_question
from tenfold.training.rows import TrainingRows, load_rows
from tenfold.training.search import Material
from tenfold_jobs.packing import Origin, Packed, pack, promote_if_better, staging_folder

N_ROWS = 400


@dataclass
class Case:
    """A prepared table and models of two families that were finished on it."""

    project: Project
    snapshot: Snapshot
    question: Question
    test: TrainingRows
    finished: dict[str, Finished]

    def origin(self, **more: object) -> Origin:
        return replace(Origin(self.snapshot, self.question, 12.4), **more)  # type: ignore[arg-type]

    def with_gates(self, *gates: str) -> Project:
        body = self.project.to_dict()
        body["problem"] = body["problem"] | {"gates": list(gates)}
        return Project.from_dict(body).at(self.project.folder)

    def pack(
        self, settings: Settings, family: str = "linear", *, project: Project | None = None
    ) -> Packed:
        return pack(project or self.project, settings, self.finished[family], self.origin())

    def promote(self, settings: Settings, packed: Packed, family: str = "linear") -> str | None:
        return promote_if_better(
            self.project,
            settings,
            packed,
            question=self.question,
            finished=self.finished[family],
            test=self.test,
        )


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("packing")
    rng = np.random.default_rng(0)
    x = rng.normal(size=N_ROWS)
    left = np.where(x + 0.7 * rng.normal(size=N_ROWS) > 0, "yes", "no")
    since = [f"2030-01-{1 + i % 28:02d}T10:00:00" for i in range(N_ROWS)]
    lines = [f"{a:.6f},{b},{c}" for a, b, c in zip(x, since, left, strict=True)]
    (folder / "churn.csv").write_text("x,since,left\n" + "\n".join(lines) + "\n")
    body = {
        "problem": {"task": "binary", "target": "left", "gates": ["roc_auc >= 0.6"]},
        "data": {"sources": [{"path": "churn.csv"}]},
        "train": {"folds": 2, "families": ["linear"], "seed": 5},
    }
    project = Project.from_dict(body).at(folder)
    snapshot = prepare(project, settings=Settings.from_env({"TENFOLD_HOME": str(folder / "h")}))
    question = make_question(project, snapshot.schema, ordered=False, positive="yes")
    rows = load_rows(snapshot, question)
    material = Material(rows.training, snapshot.profiles(), snapshot.schema, question, 1)
    finished = {}
    for family in ("linear", "dummy"):
        params = dict(FAMILIES[family].defaults("binary")[0])
        outcome = evaluate(material.workspace(), Config(0, family, params))
        finished[family] = finish(
            material, rows.test, family=family, params=params, rounds=0, oof=outcome.oof,
            block_rows=20,
        )  # fmt: skip
    return Case(project, snapshot, question, rows.test, finished)


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
            [("dummy", 0.5), ("linear", 0.7), ("linear", 0.8), ("network", math.nan)]
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
    assert (version.path / "report.html").read_text() == "<p>explored</p>"
    card = (version.path / "card.md").read_text()
    for line in (
        "| dummy | 1 | 0.5000 |", "| linear | 2 | 0.8000 |", "| network | 1 | nan |",
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
    assert case.promote(settings, first) == "champion"
    assert case.promote(settings, second) == "champion"  # no worse, and newer
    assert Registry(settings).alias("churn", "champion") == 2
    assert case.promote(settings, second) == "champion"
    assert [move.to_version for move in Registry(settings).history("churn")] == [1, 2]


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


def test_a_missed_gate_is_no_champion_even_where_there_is_none(
    case: Case, settings: Settings
) -> None:
    packed = case.pack(settings, project=case.with_gates("roc_auc >= 0.999"))
    assert case.promote(settings, packed) is None
    assert Registry(settings).alias("churn", "champion") is None


def test_a_worse_model_is_registered_and_does_not_answer(case: Case, settings: Settings) -> None:
    good = case.pack(settings)
    assert case.promote(settings, good) == "champion"
    worse = case.pack(settings, "dummy", project=case.with_gates())
    assert case.promote(settings, worse, "dummy") is None
    assert Registry(settings).alias("churn", "champion") == 1
    (good.version.path / "model.onnx").write_bytes(b"damaged")
    # A champion that cannot answer is worse than any that can.
    assert case.promote(settings, worse, "dummy") == "champion"
    assert Registry(settings).alias("churn", "champion") == 2


def test_a_better_model_replaces_a_worse_one(case: Case, settings: Settings) -> None:
    assert case.promote(settings, case.pack(settings, "dummy", project=case.with_gates()), "dummy")
    assert case.promote(settings, case.pack(settings)) == "champion"
    assert Registry(settings).alias("churn", "champion") == 2


def test_a_champion_of_another_schema_is_replaced(
    case: Case, settings: Settings, publish_small: PublishSmall
) -> None:
    publish_small("churn", family="linear", promote=True)
    packed = case.pack(settings, "dummy", project=case.with_gates())
    assert case.promote(settings, packed, "dummy") == "champion"
    assert Registry(settings).alias("churn", "champion") == 2


def test_each_run_gets_a_folder_of_its_own_under_the_store(settings: Settings) -> None:
    folders = [staging_folder(settings, "churn") for _ in range(3)]
    assert len(set(folders)) == 3
    for folder in folders:
        assert folder.is_dir()
        assert folder.name.startswith("churn-")
        assert folder.parent == Path(settings.store) / "work"
