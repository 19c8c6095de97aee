"""A search that is killed anywhere goes on, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tenfold.project.measures import Task
from tenfold.training.board import Board, Tried
from tenfold.training.evaluate import Config, Outcome
from tenfold.training.journal import EVENTS, FolderJournal
from tenfold.training.search import Limits, Material, SearchResult, search_inline
from tests.tenfold.training.conftest import case_of, question_of

MakeMaterial = Callable[..., Material]

TRIALS = Limits(trials=12, seconds=None)
FAMILIES = ("linear", "boosting")


def same(one: SearchResult, other: SearchResult) -> None:
    assert [t.config for t in one.tried] == [t.config for t in other.tried]
    assert [t.outcome.score for t in one.tried] == pytest.approx(
        [t.outcome.score for t in other.tried], nan_ok=True, abs=0.0
    )
    assert np.array_equal(one.oof, other.oof, equal_nan=True)


def small(families: tuple[str, ...] = ("linear",)) -> Material:
    return case_of(Task.REGRESSION, n_rows=200, families=families)[0]


def test_cut_anywhere_the_end_is_the_same(tmp_path: Path) -> None:
    """Lines of the journal end where the crash was; what came after is done again, once."""
    material = small()
    expected = search_inline(material, TRIALS, journal=FolderJournal(tmp_path / "whole"))
    text = (tmp_path / "whole" / EVENTS).read_bytes()
    ends = [place for place, byte in enumerate(text) if byte == ord("\n")]
    for cut in [0, 5, ends[0] + 1, ends[1] + 1, ends[8], ends[8] + 9, ends[15] + 1, len(text)]:
        journal = FolderJournal(tmp_path / f"cut-{cut}")
        journal.folder.mkdir()
        (journal.folder / EVENTS).write_bytes(text[:cut])
        for file in (tmp_path / "whole").glob("oof-*"):
            (journal.folder / file.name).write_bytes(file.read_bytes())
        n_told = sum(line.startswith(b'{"told"') for line in text[:cut].split(b"\n")[:-1])
        heard: list[Tried] = []
        found = search_inline(material, TRIALS, journal=journal, on_tried=heard.append)
        same(found, expected)
        assert found.n_resumed == n_told
        assert len(heard) == len(expected.tried) - n_told
        assert len(list(journal.events())) == 2 * len(found.tried)


def test_more_trials_go_on(tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path)
    search_inline(small(), Limits(trials=4, seconds=None), journal=journal)
    found = search_inline(small(), TRIALS, journal=journal)
    assert found.n_resumed == 5
    same(found, search_inline(small(), TRIALS))


def test_a_journal_of_another_question_is_put_aside(tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path)
    search_inline(small(("boosting",)), Limits(trials=2, seconds=None), journal=journal)
    found = search_inline(small(), TRIALS, journal=journal)
    assert found.n_resumed == 0
    same(found, search_inline(small(), TRIALS))


def test_against_a_clock_what_was_chosen_is_taken_as_it_was(tmp_path: Path) -> None:
    """Choices hung on seconds: they are not made again; lost ones are handed out first."""
    question = question_of(Task.REGRESSION, families=FAMILIES)
    journal = FolderJournal(tmp_path)
    board = Board.resumed(question, trials=None, journal=journal, timed=True)
    board.left_s = 1e6
    asked = [board.ask(f"s{i}") for i in range(6)]
    configs = [config for config in asked if isinstance(config, Config)]
    assert len(configs) == 6
    for number in (1, 4):
        oof = np.zeros((3, 1), np.float32)
        board.tell(Outcome(number, 1.0, (1.0,) * 3, seconds=2.0, oof=oof, early=(1.0,) * 3))
    again = Board.resumed(question, trials=None, journal=journal, timed=True)
    assert again.tried == board.tried
    again.left_s = 1e6
    assert [again.ask(f"t{i}") for i in range(4)] == [configs[n] for n in (0, 2, 3, 5)]
    new = again.ask("t9")
    assert isinstance(new, Config)
    assert new.number == 6
    assert new not in configs


def test_a_search_may_use_what_earlier_runs_left_of_the_budget(tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path)
    limits = Limits(trials=None, seconds=50.0)
    board = limits.board(small().question, journal)
    board.left_s = 50.0
    config = board.ask("s")
    assert isinstance(config, Config)
    oof = np.zeros((len(small().rows.truth), 1), np.float32)
    board.tell(Outcome(0, 2.0, (2.0,) * 3, seconds=60.0, oof=oof, early=(2.0,) * 3))
    found = search_inline(small(), limits, journal=journal)
    assert [t.config.number for t in found.tried] == [0, 1]  # the first model may outlast it


def test_the_worst_scores_go_when_the_disk_is_to_be_spared(tmp_path: Path) -> None:
    """Also those that an earlier run left; the best one is always there."""
    question = question_of(Task.REGRESSION, families=FAMILIES)

    def tell(board: Board, losses: list[float]) -> None:
        board.left_s = 1e6
        for loss in losses:
            config = board.ask("s")
            assert isinstance(config, Config)
            oof = np.zeros((250, 1), np.float32)
            board.tell(Outcome(config.number, loss, (loss,) * 3, oof=oof, early=(loss,) * 3))

    def resumed() -> Board:
        return Board.resumed(
            question, trials=None, journal=FolderJournal(tmp_path), timed=True, most_bytes=3500
        )

    tell(resumed(), [5.0, 1.0, 9.0])
    assert set(FolderJournal(tmp_path).kept()) == {0, 1, 2}
    tell(resumed(), [7.0, 3.0])
    assert set(FolderJournal(tmp_path).kept()) == {0, 1, 4}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.tenfold.training.test_resume import FAMILIES, TRIALS, small
from tenfold.training.journal import FolderJournal
from tenfold.training.search import search_inline

journal, n_events = FolderJournal(Path(sys.argv[1])), int(sys.argv[2])
add = journal.add
def count(event):
    global n_events
    add(event)
    n_events -= 1
    if n_events == 0:
        os.kill(os.getpid(), signal.SIGKILL)
journal.add = count
search_inline(small(FAMILIES), TRIALS, journal=journal)
"""


@pytest.mark.timeout(120)
def test_killed_and_run_again_it_gives_the_same_result(tmp_path: Path) -> None:
    """A real SIGKILL between an ask and its outcome."""
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed"), "15"],
        env=os.environ | {"PYTHONPATH": path},
        cwd=root,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    material = small(FAMILIES)
    found = search_inline(material, TRIALS, journal=FolderJournal(tmp_path / "killed"))
    assert found.n_resumed == 7
    same(found, search_inline(material, TRIALS))
