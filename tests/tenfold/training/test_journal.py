"""A journal says in order what happened, whole lines only, and holds out-of-fold scores as data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.training.evaluate import Config, Outcome
from tenfold.training.journal import EVENTS, FolderJournal, MemoryJournal

EVENTS_OF_TWO = [
    Config(0, "dummy", {}, must=True),
    Outcome(0, 0.5, (0.4, 0.6), rounds=3, seconds=0.25),
    Config(1, "boosting", {"eta": 0.1, "many": "target", "max_depth": 6}),
    Outcome(1, float("nan"), error="ValueError: no"),
]


def written(folder: Path) -> FolderJournal:
    journal = FolderJournal(folder / "journal")
    for event in EVENTS_OF_TWO:
        journal.add(event)
    return journal


def test_events_come_back_in_order(tmp_path: Path) -> None:
    journal = written(tmp_path)
    assert repr(list(FolderJournal(journal.folder).events())) == repr(EVENTS_OF_TWO)
    journal.rewrite(EVENTS_OF_TWO[:2])
    assert list(journal.events()) == EVENTS_OF_TWO[:2]


@given(st.integers(0, 400))
def test_a_line_that_was_cut_is_dropped(n_bytes: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        journal = written(Path(folder))
        path = journal.folder / EVENTS
        whole = path.read_bytes()
        path.write_bytes(whole[:n_bytes])
        n_whole = whole[:n_bytes].count(b"\n")
        assert repr(list(journal.events())) == repr(EVENTS_OF_TWO[:n_whole])


def test_what_is_no_event_ends_the_journal(tmp_path: Path) -> None:
    journal = written(tmp_path)
    path = journal.folder / EVENTS
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, b'{"asked": 3}\n', *others]))
    assert list(journal.events()) == EVENTS_OF_TWO[:1]


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_scores_are_kept_by_number(kind: str, tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path) if kind == "folder" else MemoryJournal()
    oof = np.array([[0.25], [np.nan]], dtype=np.float32)
    journal.keep(7, oof)
    found = journal.oof_of(7)
    assert found is not None
    assert np.array_equal(found, oof, equal_nan=True)
    assert journal.oof_of(8) is None
    assert list(journal.kept()) == [7]
    assert journal.kept()[7] >= oof.nbytes
    journal.drop(7)
    journal.drop(7)
    assert journal.oof_of(7) is None


def test_scores_are_mapped_and_never_unpickled(tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path)
    journal.keep(1, np.zeros((3, 2), dtype=np.float64))
    found = journal.oof_of(1)
    assert isinstance(found, np.memmap)
    assert found.dtype == np.float32
    assert not found.flags.writeable
    np.save(tmp_path / "oof-0002.npy", np.array([{"code": 1}], dtype=object), allow_pickle=True)
    assert journal.oof_of(2) is None
    (tmp_path / "oof-0003.npy").write_bytes(b"")
    assert journal.oof_of(3) is None
