"""How processes are set up: those that answer go first, the others give way.

A full collection walks all that was ever imported, 90 ms; with that set aside, the 99th percentile
of the answers falls from 20-30 ms to 6-8 (a bare uvicorn on two cores, one connection, 4,000
requests/s).

Keeper and aggregator share the cores with the replicas. On two cores 2,400 requests/s need most of
one, so while a commit has the other for long, requests queue. At 1,700 requests/s the slowest
percent took 23 to 37 ms, and 14 to 19 since the keeper gives way; at ten times the load the
aggregator, which counts 30,000 rows/s then, took a third of a core from those that answer. And what
they do comes in pieces of 3 ms with 20 between them (`Breaths`). By the kernel's trace at 2,400
requests/s, in the 10 ms before a request that took over 4 the keeper had 0.18 of a core while its
pieces were 4 ms apart, and 0.04 since they are 20; it has 0.02 over all.

Ray's own helpers give way, too (`tenfold_serve.ray_rim.let_ray_give_way`), and who gives way is in
the class for batch work: it takes no core when it wakes, but waits until who has it waits for
something, or for the tick. At 2,200 requests/s that took a fifth off the 99th percentile (by hand,
medians of 24 turns of 6 s with and without in turns: 3.5 and 4.5 ms).
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = [
    "NICE",
    "NICEST",
    "Breaths",
    "give_way",
    "let_give_way",
    "only_when_idle",
    "set_aside_what_stays",
    "tables_on_one_core",
    "waited_s",
]

NICE: Final = 10
"""A tenth of the weight of a process that answers."""
NICEST: Final = 19
"""A seventieth of it, for pages and logs."""


def set_aside_what_stays() -> None:
    """No collection looks at what there is now: call it when everything that stays was loaded, in a
    replica before its first request, in keeper and aggregator before their first round."""
    gc.collect()
    gc.freeze()


def give_way() -> None:
    """Lower the priority of the calling thread and of what it starts from now on."""
    os.nice(NICE)
    _in_class("SCHED_BATCH", 0)


def let_give_way(pid: int, *, nice: int) -> None:
    """Lower the priority of every thread of another process, and of what they start from now on
    (Linux). A process that is gone or somebody else's is left alone.

    Args:
        pid: of the process.
        nice: 0 to 19, the nicest; a thread that is nicer stays so.
    """
    with suppress(OSError):
        for folder in Path(f"/proc/{pid}/task").iterdir():
            thread = int(folder.name)
            _in_class("SCHED_BATCH", thread)
            with suppress(OSError):
                before = os.getpriority(os.PRIO_PROCESS, thread)
                os.setpriority(os.PRIO_PROCESS, thread, max(before, nice))


class Breaths:
    """Leaves the cores to others after every few milliseconds of work. Used by one thread.

    Called where the work can be put down: between columns, blocks, files.

    Args:
        share: of the time that pauses may take; who has more to do than that leaves goes on.
        work_s: seconds of this thread's CPU between two pauses.
        pause_s: seconds of one; whoever gets the core back later has paused for longer.
        burst_s: seconds of pauses that may come together after a rest.
        clock: seconds; for tests.
        cpu_s: seconds of CPU of this thread; for tests.
        sleep: for tests.
    """

    def __init__(
        self,
        *,
        share: float = 0.3,
        work_s: float = 0.003,
        pause_s: float = 0.02,
        burst_s: float = 0.3,
        clock: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._share = share
        self._work_s = work_s
        self._pause_s = pause_s
        self._burst_s = burst_s
        self._clock = clock
        self._cpu_s = cpu_s
        self._sleep = sleep
        self._worked_s = cpu_s()
        self._credit_s = burst_s
        self._seen_s = clock()

    def __call__(self) -> None:
        """Pause, if there was enough work since the last time and there is time for it."""
        if self._cpu_s() - self._worked_s < self._work_s:
            return
        now = self._clock()
        earned = self._credit_s + self._share * (now - self._seen_s)
        self._credit_s, self._seen_s = min(self._burst_s, earned), now
        if self._credit_s >= self._pause_s:
            self._sleep(self._pause_s)
            self._credit_s -= self._clock() - now
        self._worked_s = self._cpu_s()


def only_when_idle(pid: int) -> None:
    """Let a process run where no other wants the core. Where the system has no such class (Linux
    has) or forbids it, nothing happens.

    Args:
        pid: of a child that has just been started; 0 for the calling thread.
    """
    _in_class("SCHED_IDLE", pid)


def waited_s(pid: int) -> float:
    """For how many seconds a process has wanted a core and had none (Linux; its first thread).

    Returns:
        0 where nobody tells, or the process is gone.
    """
    try:
        _ran, waited, *_ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0.0
    return int(waited) / 1e9


def _in_class(name: str, thread: int) -> None:
    policy = getattr(os, name, None)
    if policy is not None:
        with suppress(OSError):
            os.sched_setscheduler(thread, policy, os.sched_param(0))


def tables_on_one_core() -> None:
    """Delta tables are written by one thread, in this process and those it starts from now on; call
    it before the first is opened. A commit would take both cores, and requests wait as long."""
    os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
