"""The work folder of a preparation: finished pieces survive any death, and one writer at a time."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tenfold.data.drivers import Driver, InProcess, Job
from tenfold.errors import StoreError, UserError
from tenfold.progress import Progress

__all__ = ["Work", "locked", "open_work"]

_PREFIX = ".work-"
_FORMAT = 4
"""Of the files in the folder: what another version left half done is not gone on with."""


@dataclass(frozen=True)
class Work:
    """Where one plan is carried out, and by which driver.

    Attributes:
        folder: finished pieces; a file that is there is whole.
        target: the snapshot's folder while it is made; renamed into place at the end.
        driver: runs the jobs.
        progress: is told of every piece.
        n_pieces: pieces of the source.
    """

    folder: Path
    target: Path
    driver: Driver
    progress: Progress
    n_pieces: int

    def run(
        self,
        name: str,
        job: Job,
        file: Callable[[Path, int], Path],
        n_pieces: int | None = None,
    ) -> int:
        """Run a job on the pieces whose file is not there yet; a single one runs in this process.

        Args:
            name: of the step.
            job: what to run.
            file: where the job leaves its result for a piece.
            n_pieces: of another kind than the source's, such as buckets.

        Returns:
            How many pieces were found finished, by an earlier run that was killed.
        """
        n_pieces = self.n_pieces if n_pieces is None else n_pieces
        left = [p for p in range(n_pieces) if not file(self.folder, p).exists()]
        n_found = n_pieces - len(left)
        driver = self.driver if len(left) > 1 else InProcess(n_threads=1)
        with self.progress.step(name, total=n_pieces) as advance:
            advance(n_found)
            for _ in driver.run(job, left):
                advance(1)
        return n_found


@contextmanager
def open_work(
    project_folder: Path, plan: str, *, driver: Driver, progress: Progress, n_pieces: int
) -> Iterator[Work]:
    """The work folder of a plan; found again after a kill, gone after success or a user's error.

    Call it under `locked`. Work folders of other plans are removed: the source or the project
    has changed, so nobody can go on with them.

    Raises:
        StoreError: the folder cannot be made.
    """
    folder = project_folder / f"{_PREFIX}{_FORMAT}-{plan[:16]}"
    for other in project_folder.glob(f"{_PREFIX}*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    target = folder / "snapshot"
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} could not be made: {error.strerror}; see TENFOLD_STORE") from (
            error
        )
    try:
        yield Work(folder, target, driver, progress, n_pieces)
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(project_folder: Path) -> Iterator[None]:
    """Hold the project's lock; a second preparation waits, and a killed one lets go at once.

    Raises:
        StoreError: the folder cannot be made or written.
    """
    try:
        project_folder.mkdir(parents=True, exist_ok=True)
        lock = (project_folder / ".lock").open("w")
    except OSError as error:
        raise StoreError(
            f"{project_folder} must be a folder that can be written: {error.strerror}; "
            "see TENFOLD_STORE"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
