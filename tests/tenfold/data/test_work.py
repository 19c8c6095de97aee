"""The work folder."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest

from tenfold.data.drivers import InProcess
from tenfold.data.work import Work, locked, open_work
from tenfold.errors import DataError, StoreError
from tenfold.progress import SILENT


def _open(folder: Path, plan: str) -> Any:
    return open_work(folder, plan, driver=InProcess(n_threads=1), progress=SILENT, n_pieces=3)


def _file(folder: Path, piece: int) -> Path:
    return folder / f"piece-{piece}"


def _run(work: Work) -> int:
    return work.run("touch", lambda piece: _file(work.folder, piece).touch(), _file)


def test_finished_pieces_are_found_again_after_a_crash(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), _open(tmp_path, "a" * 64) as work:
        _file(work.folder, 1).touch()
        raise RuntimeError
    with _open(tmp_path, "a" * 64) as work:
        assert _run(work) == 1
        assert _run(work) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_users_error_and_another_plan_clear_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError), _open(tmp_path, "a" * 64):
        raise DataError("mend the table")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError), _open(tmp_path, "b" * 64):
        raise RuntimeError
    with _open(tmp_path, "c" * 64) as work:
        assert [path.name for path in tmp_path.iterdir()] == [work.folder.name]


def test_the_lock_is_held_and_let_go(tmp_path: Path) -> None:
    with locked(tmp_path), (tmp_path / ".lock").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / ".lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StoreError, match="see TENFOLD_STORE"), locked(tmp_path / "store" / "p"):
        pass
