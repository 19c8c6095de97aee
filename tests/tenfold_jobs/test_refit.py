"""A refit: a version's own recipe on a snapshot, published and not promoted."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import pytest

from tenfold.data import Snapshot
from tenfold.errors import StoreError
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold_jobs.refit import refit_artifact
from tests.tenfold_jobs.support import Case


def test_the_same_rows_give_the_same_model_and_nothing_is_promoted(
    case: Case, settings: Settings
) -> None:
    parent = case.pack(settings).version
    version, packed, finished = refit_artifact(
        case.project, case.snapshot, settings=settings, parent=parent
    )
    assert (version.version, version.model_digest) == (2, parent.model_digest)
    assert finished.params == case.finished["linear"].params
    assert packed.metrics["roc_auc"] == case.finished["linear"].metrics["roc_auc"]
    assert Registry(settings).history(case.project.name) == []


def test_a_refit_takes_one_thread_unless_more_are_given() -> None:
    """It runs beside replicas that answer; on two cores a second thread would be theirs."""
    assert inspect.signature(refit_artifact).parameters["threads"].default == 1


def test_a_damaged_snapshot_is_refused(case: Case, settings: Settings, tmp_path: Path) -> None:
    parent = case.pack(settings).version
    copy = tmp_path / "copy"
    shutil.copytree(case.snapshot.path, copy)
    block = copy / "block-00000.arrow"
    body = bytearray(block.read_bytes())
    body[len(body) // 2] ^= 1
    block.write_bytes(body)
    damaged = Snapshot.open(copy)
    with pytest.raises(StoreError, match=r"must have SHA-256 .* and has another; delete "):
        refit_artifact(case.project, damaged, settings=settings, parent=parent)
    assert [v.version for v in Registry(settings).versions(case.project.name)] == [1]


def test_a_missed_gate_starts_a_search_from_the_champions_configuration(
    case: Case, settings: Settings
) -> None:
    """A linear model cannot tell apart what a tree can; the recipe alone would miss for ever."""
    parent = case.pack(settings, family="dummy").version
    body = case.with_gates("roc_auc >= 0.6").to_dict()
    body["train"] = body["train"] | {"trials": 2}
    project = Project.from_dict(body).at(case.project.folder)
    version, packed, finished = refit_artifact(
        project, case.snapshot, settings=settings, parent=parent
    )
    assert finished.family != "dummy"
    assert all(gate.holds for gate in packed.gates)
    card = (version.path / "card.md").read_text()
    assert "missed roc_auc >= 0.6 on newer rows; a search from it tried 3 configurations" in card
    assert (version.path / "run.html").is_file()


def test_without_a_budget_a_missed_gate_is_only_told(case: Case, settings: Settings) -> None:
    parent = case.pack(settings).version
    body = case.with_gates("roc_auc >= 0.9999").to_dict()
    body["retrain"] = body["retrain"] | {"search_budget": "0s"}
    project = Project.from_dict(body).at(case.project.folder)
    version, packed, finished = refit_artifact(
        project, case.snapshot, settings=settings, parent=parent
    )
    assert finished.family == "linear"
    assert [gate.holds for gate in packed.gates] == [False]
    assert not (version.path / "run.html").exists()
