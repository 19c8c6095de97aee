"""The drivers' common contract."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from tenfold.data.drivers import InProcess, RayData, choose_driver
from tenfold.errors import DataError, StoreError


class _Touch:
    """A job that leaves a file, and refuses some pieces."""

    def __init__(self, folder: Path, *, bad: tuple[int, ...] = ()) -> None:
        self._folder, self._bad = folder, bad

    def __call__(self, piece: int) -> None:
        if piece in self._bad:
            raise StoreError(f"piece {piece} refused")
        (self._folder / str(piece)).touch()


@pytest.mark.parametrize("n_threads", [1, 4])
def test_every_piece_is_run_once_and_told(tmp_path: Path, n_threads: int) -> None:
    done = list(InProcess(n_threads=n_threads).run(_Touch(tmp_path), [0, 2, 5]))
    assert sorted(done) == [0, 2, 5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "2", "5"]


@pytest.mark.parametrize("n_threads", [1, 4])
def test_the_lowest_failing_piece_is_raised(tmp_path: Path, n_threads: int) -> None:
    driver = InProcess(n_threads=n_threads)
    with pytest.raises(StoreError, match="piece 2 refused"):
        list(driver.run(_Touch(tmp_path, bad=(5, 2)), [0, 2, 5]))


def test_four_threads_work_at_once() -> None:
    together = threading.Barrier(4, timeout=10)

    def job(_piece: int) -> None:
        together.wait()  # breaks with an error unless four jobs arrive

    assert list(InProcess(n_threads=4).run(job, range(8))) == list(range(8))


def test_size_chooses_the_driver() -> None:
    assert isinstance(choose_driver(99, local_bytes=100), InProcess)
    assert isinstance(choose_driver(100, local_bytes=100), RayData)
    assert isinstance(choose_driver(0, local_bytes=0), RayData)


def test_ray_runs_every_piece_and_brings_errors_home(tmp_path: Path, ray_session: None) -> None:
    driver = RayData(cpus_per_task=0.5)
    assert sorted(driver.run(_Touch(tmp_path), [1, 3])) == [1, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]
    with pytest.raises(StoreError, match="piece 2 refused"):
        list(driver.run(_Touch(tmp_path, bad=(5, 2)), [0, 2, 5]))
    assert list(driver.run(_Touch(tmp_path), [])) == []


class _DieOnce:
    """A job that notes every run, and whose process is killed in the middle of one, once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, piece: int) -> None:
        with (self._folder / "runs").open("a") as runs:
            runs.write(f"{piece}\n")  # one small append is whole, whoever else writes
        died = self._folder / "died"
        if piece == 2 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_costs_its_piece_and_nothing_else(
    tmp_path: Path, ray_session: None
) -> None:
    driver = RayData(cpus_per_task=0.5)
    assert sorted(driver.run(_DieOnce(tmp_path), range(6))) == [0, 1, 2, 3, 4, 5]
    runs = Counter((tmp_path / "runs").read_text().split())
    assert runs == {"0": 1, "1": 1, "2": 2, "3": 1, "4": 1, "5": 1}


def test_an_unknown_error_stays_itself_in_this_process(tmp_path: Path) -> None:
    def job(_piece: int) -> None:
        raise DataError("law, values, remedy")

    with pytest.raises(DataError, match="law, values, remedy"):
        list(InProcess(n_threads=1).run(job, [0]))
