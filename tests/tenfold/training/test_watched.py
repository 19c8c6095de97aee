"""Hangs in a search of this process: they end, and the search goes on or ends with what it has."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tenfold.training.board import Patience
from tenfold.training.evaluate import Config, Fate, Workspace, evaluate
from tenfold.training.search import FIRST_MODEL_S, Limits, Material, search, search_inline
from tenfold.training.watched import LEAVE_AFTER_S, Watched
from tests.tenfold.training.faulty import FAULTY, registered

ROOT = Path(__file__).resolve().parents[3]
MakeMaterial = Callable[..., Material]
LIMPING = replace(
    FAULTY,
    name="limping",
    defaults=lambda task: tuple({"fault": fault} for fault in ("none", "hang", "still-none")),
)
PATIENCE_S = 4.0
"""A fit of these takes a fiftieth of it, once the libraries are there."""
NONE = Config(1, "faulty", {"fault": "none"})


def of(material: Material, *families: str) -> Material:
    return replace(material, question=replace(material.question, families=families))


def test_a_hang_in_the_middle_does_not_end_the_search(make_material: MakeMaterial) -> None:
    patience = Patience(floor_s=PATIENCE_S, factor=1.0)
    material = of(make_material(n_rows=300), "limping")
    with registered(LIMPING):
        evaluate(material.workspace(), NONE)
        found = search_inline(material, Limits(trials=3, seconds=None, patience=patience))
    assert [tried.outcome.fate for tried in found.tried] == [
        *(Fate.SCORED, Fate.SCORED, Fate.HUNG, Fate.SCORED)
    ]
    _, first, hung, last = (tried.outcome for tried in found.tried)
    assert hung.error == "it took far longer than was predicted"
    assert first.score == last.score, "another thread, the same numbers"


def test_a_first_model_that_hangs_does_not_hold_a_short_budget(
    make_material: MakeMaterial, tmp_path: Path
) -> None:
    """No Ray is connected: a search of two seconds needs none. The first model may outlast the
    clock a little; then the baseline is the answer."""
    material = of(make_material(n_rows=300), "slow")
    told, began = [], time.monotonic()
    limits = Limits(trials=None, seconds=2.0, sessions=2)
    found = search(material, limits, storage=tmp_path, on_tried=told.append)
    assert time.monotonic() - began < 2.0 + FIRST_MODEL_S + LEAVE_AFTER_S + 5.0
    assert found.best.config.family == "dummy"
    assert [tried.outcome.fate for tried in found.tried] == [Fate.SCORED, Fate.HUNG]
    assert [tried.outcome.fate for tried in told] == [Fate.SCORED, Fate.HUNG]
    again = search(material, replace(limits, trials=1), storage=tmp_path)
    assert again.n_resumed == 2, "the journal knows of it"


def test_one_thread_and_one_workspace_for_all_and_none_is_left(make_material: MakeMaterial) -> None:
    made: list[threading.Thread] = []

    def workspace() -> Workspace:
        made.append(threading.current_thread())
        return make_material(n_rows=300).workspace()

    with closing(Watched(workspace)) as session:
        for number in (1, 2, 3):
            config = replace(NONE, number=number)
            outcome = session.evaluate(config, stop=None, within_s=60.0)
            assert outcome is not None
            assert (outcome.number, outcome.fate) == (number, Fate.SCORED)
    (thread,) = made
    thread.join(timeout=10.0)
    assert not thread.is_alive()


def test_what_was_left_behind_answers_nobody(make_material: MakeMaterial) -> None:
    with closing(Watched(make_material(n_rows=300).workspace)) as session:
        hang = Config(1, "faulty", {"fault": "hang"})
        assert session.evaluate(hang, stop=None, within_s=0.1) is None
        outcome = session.evaluate(replace(NONE, number=2), stop=None, within_s=60.0)
    assert outcome is not None
    assert (outcome.number, outcome.fate) == (2, Fate.SCORED)


def test_what_the_thread_raises_reaches_the_caller() -> None:
    def broken() -> Workspace:
        raise MemoryError("no room for the rows")

    with closing(Watched(broken)) as session, pytest.raises(MemoryError, match="no room for"):
        session.evaluate(NONE, stop=None, within_s=60.0)


def test_a_process_ends_though_a_fit_hangs() -> None:
    code = """
        from dataclasses import replace
        from tenfold.training.board import Patience
        from tenfold.training.search import Limits, search_inline
        from tests.tenfold.training import faulty
        from tests.tenfold.training.conftest import case_of

        material = case_of(n_rows=300, families=("slow",))[0]
        patience = Patience(floor_s=0.2, factor=1.0)
        found = search_inline(material, Limits(trials=1, seconds=None, patience=patience))
        print([str(tried.outcome.fate) for tried in found.tried])
    """
    lines = [line.strip() for line in code.strip().splitlines()]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip().endswith("'hung']")
