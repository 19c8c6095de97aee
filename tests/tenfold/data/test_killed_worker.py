"""A Ray worker killed inside a piece: that piece is done again, and no other."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tenfold.data import RayData, Snapshot, prepare
from tenfold.data.drivers import Job
from tenfold.data.jobs import ScanJob
from tenfold.data.source import RawBlock, Shard
from tenfold.settings import Settings

N_FILES = 6
FATAL = 2
"""The piece of the scan whose worker dies when it has read the rows and has written nothing."""


@dataclass(frozen=True)
class _Fatal:
    """A shard whose reader is killed when it has read, the first time."""

    inner: Shard
    died: Path

    def read(self) -> RawBlock:
        """The rows, for whoever survives."""
        block = self.inner.read()
        if not self.died.exists():
            self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block


@dataclass(frozen=True)
class _Noted:
    """A job that notes every run of a piece before it begins."""

    job: Job
    runs: Path

    def __call__(self, piece: int) -> None:
        with self.runs.open("a") as runs:
            runs.write(f"{type(self.job).__name__} {piece}\n")  # one append, whole
        self.job(piece)


@dataclass(frozen=True)
class _KillingRay:
    """Ray Data over the real jobs, with the worker killed that scans the `FATAL` piece."""

    folder: Path
    name: str = RayData.name

    def run(self, job: Job, pieces: Sequence[int]) -> Iterator[int]:
        """See `Driver`."""
        if isinstance(job, ScanJob):
            shards = list(job.shards)
            shards[FATAL] = _Fatal(shards[FATAL], self.folder / "died")
            job = replace(job, shards=shards)
        return RayData().run(_Noted(job, self.folder / "runs"), pieces)


def _settings(folder: Path) -> Settings:
    return Settings.from_env({"TENFOLD_HOME": str(folder)})


def _files(snapshot: Snapshot) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in snapshot.path.iterdir()}


def test_a_worker_killed_inside_the_scan_costs_only_its_block(
    tmp_path: Path, lines: list[str], make_project: Any, ray_session: None
) -> None:
    header, *rows = lines
    (tmp_path / "parts").mkdir()
    for part in range(N_FILES):
        text = "\n".join([header, *rows[part::N_FILES]]) + "\n"
        (tmp_path / "parts" / f"{part}.csv").write_text(text, encoding="utf-8")
    project = make_project(tmp_path / "parts")
    whole = prepare(project, settings=_settings(tmp_path / "whole"))
    made = prepare(
        project, settings=_settings(tmp_path / "killed"), drivers=lambda _: _KillingRay(tmp_path)
    )
    assert _files(made) == _files(whole)
    runs = Counter((tmp_path / "runs").read_text().splitlines())
    for name in ("ScanJob", "CleanJob", "FinishJob"):
        assert {f"{name} {piece}" for piece in range(N_FILES)} <= runs.keys()
    assert {run: n for run, n in runs.items() if n != 1} == {f"ScanJob {FATAL}": 2}
