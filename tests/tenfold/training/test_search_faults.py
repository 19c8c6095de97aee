"""Whatever a configuration does, the search goes on and says what it did. Real Ray, real deaths."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tenfold.training.board import Patience
from tenfold.training.evaluate import Fate
from tenfold.training.journal import FolderJournal
from tenfold.training.search import Limits, Material, search
from tests.tenfold.training.faulty import FAULTS, Names

MakeMaterial = Callable[..., Material]

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.timeout(180)]


def faulty(material: Material, *families: str) -> Material:
    return replace(material, question=replace(material.question, families=Names(families)))


def test_each_fault_is_recorded_and_none_stops_the_search(
    make_material: MakeMaterial, tmp_path: Path
) -> None:
    material = faulty(make_material(n_rows=300), "faulty")
    patience = Patience(floor_s=20.0, factor=1.0)  # a first fit imports for seconds
    limits = Limits(trials=len(FAULTS), seconds=None, sessions=2, patience=patience)
    found = search(material, limits, storage=tmp_path)
    fates = {t.config.params.get("fault", "baseline"): t.outcome for t in found.tried}
    assert {name: outcome.fate for name, outcome in fates.items()} == {
        "baseline": Fate.SCORED,
        "none": Fate.SCORED,
        "raise": Fate.FAILED,
        "diverge": Fate.DIVERGED,
        "memory": Fate.FAILED,
        "die": Fate.DIED,
        "hang": Fate.HUNG,
        "still-none": Fate.SCORED,
    }
    assert fates["raise"].error == "RuntimeError: a family of somebody else broke"
    assert str(fates["memory"].error).startswith("out of memory")
    assert str(fates["die"].error).startswith("its process died: killed by the system")
    assert fates["still-none"].score == fates["none"].score
    assert found.best.config.params == {"fault": "none"}
    events = list(FolderJournal(tmp_path / "journal").events())
    assert len(events) == 2 * len(found.tried)


@pytest.mark.slow
def test_a_first_model_that_hangs_does_not_hold_the_budget(
    make_material: MakeMaterial, tmp_path: Path
) -> None:
    """It is killed soon after the time is up, and the baseline is the answer."""
    material = faulty(make_material(n_rows=300), "slow")
    began = time.monotonic()
    found = search(material, Limits(trials=None, seconds=14.0, sessions=2), storage=tmp_path)
    assert time.monotonic() - began < 90.0
    assert found.best.config.family == "dummy"
    assert {t.outcome.fate for t in found.tried[1:]} <= {Fate.STOPPED, Fate.HUNG}
