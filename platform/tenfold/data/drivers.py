"""Two drivers of the same kernels: this process, or Ray Data over a cluster.

A job is a callable that takes the number of a piece, writes its result whole under the work
folder and returns nothing: so a driver only decides where and how many at once, and a finished
piece survives any death.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import tenfold.errors
from tenfold.data.heap import kept_heap
from tenfold.errors import ClusterError, OurError, TenfoldError
from tenfold.settings import stays_local

__all__ = ["Driver", "InProcess", "Job", "RayData", "choose_driver", "quiet_ray_data"]

Job = Callable[[int], None]

MAX_THREADS = 4
"""Blocks at once in one process: Arrow and NumPy release the interpreter's lock only in part."""


class Driver(Protocol):
    """Runs a job on pieces; which ones are left is the caller's business."""

    @property
    def name(self) -> str:
        """``in-process`` or ``ray-data``, for plans and logs."""
        ...

    def run(self, job: Job, pieces: Sequence[int]) -> Iterator[int]:
        """Run the job on each piece, in any order; yields each piece when it is done.

        Raises:
            TenfoldError: what the job raised, for the lowest piece that failed.
        """
        ...


class InProcess:
    """Threads of this process.

    Args:
        n_threads: blocks at once; by default up to `MAX_THREADS` of the machine's CPUs.
    """

    name = "in-process"

    def __init__(self, *, n_threads: int | None = None) -> None:
        self._n_threads = n_threads or min(MAX_THREADS, os.cpu_count() or 1)

    def run(self, job: Job, pieces: Sequence[int]) -> Iterator[int]:
        """See `Driver`."""
        if self._n_threads == 1:
            for piece in pieces:
                job(piece)
                yield piece
            return
        with kept_heap(), ThreadPoolExecutor(self._n_threads) as pool:
            futures = [pool.submit(job, piece) for piece in pieces]
            try:
                for piece, future in zip(pieces, futures, strict=True):
                    future.result()
                    yield piece
            finally:
                for future in futures:
                    future.cancel()


class RayData:
    """Ray Data tasks; the work folder must be reachable from every node.

    Args:
        n_at_once: most tasks at once; by default what the cluster's CPUs take.
        cpus_per_task: logical CPUs that a task asks for.
    """

    name = "ray-data"

    def __init__(self, *, n_at_once: int | None = None, cpus_per_task: float = 1.0) -> None:
        self._n_at_once = n_at_once
        self._cpus_per_task = cpus_per_task

    def run(self, job: Job, pieces: Sequence[int]) -> Iterator[int]:
        """See `Driver`.

        Raises:
            ClusterError: this process is not connected to a Ray cluster.
        """
        import ray
        import ray.data

        if not ray.is_initialized():
            raise ClusterError(
                "the Ray Data driver needs a connected Ray; start it first, or raise "
                "TENFOLD_LOCAL_BYTES above the size of the table to stay in one process"
            )
        if not pieces:
            return
        quiet_ray_data()
        rows: list[dict[str, Any]] = [{"piece": piece} for piece in pieces]
        dataset = ray.data.from_items(rows, override_num_blocks=self._n_blocks(len(pieces)))
        done = dataset.map(
            _guarded(job),
            compute=ray.data.TaskPoolStrategy(size=self._n_at_once),
            num_cpus=self._cpus_per_task,
        )
        failures: dict[int, tuple[str, str]] = {}
        for row in done.iter_rows():
            if row["error"]:
                failures[row["piece"]] = (row["error"], row["message"])
            yield row["piece"]
        if failures:
            kind, message = failures[min(failures)]
            raise _rebuild(kind, message)

    def _n_blocks(self, n_pieces: int) -> int:
        """One task a piece up to a thousand; then pieces share tasks, for the scheduler's sake."""
        return min(n_pieces, 1000)


def choose_driver(size_bytes: int, *, local_bytes: int) -> Driver:
    """Small tables stay in one process: a cold Ray Data pipeline alone costs 3-7 s.

    >>> choose_driver(10, local_bytes=100).name, choose_driver(10, local_bytes=0).name
    ('in-process', 'ray-data')
    """
    local = stays_local(size_bytes, local_bytes=local_bytes)
    return InProcess() if local else RayData()


def _guarded(job: Job) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Errors of ours travel as values, so that Ray neither retries nor wraps them."""

    def call(row: dict[str, Any]) -> dict[str, Any]:
        try:
            with kept_heap():
                job(row["piece"])
        except TenfoldError as error:
            return {"piece": row["piece"], "error": type(error).__name__, "message": str(error)}
        return {"piece": row["piece"], "error": "", "message": ""}

    return call


def _rebuild(kind: str, message: str) -> TenfoldError:
    found = getattr(tenfold.errors, kind, OurError)
    return found(message)


def quiet_ray_data() -> None:
    """No progress bars and no warnings of Ray's own defaults, for pipelines of this process."""
    import logging
    import warnings

    from ray.data import DataContext

    with warnings.catch_warnings():  # made first, Ray's context warns of its own old defaults
        warnings.simplefilter("ignore", DeprecationWarning)
        context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logger = logging.getLogger("ray.data")
    logger.setLevel(max(logger.level, logging.WARNING))
