"""How processes are set up: those that answer go first, the others give way.

A full collection walks all that was ever imported, 90 ms; with that set aside, the 99th percentile
of the answers falls from 20-30 ms to 6-8 (a bare uvicorn on two cores, one connection, 4,000
requests/s).

Keeper and aggregator share the cores with the replicas. On two cores 2,000 requests/s need most of
one, so while a commit of 50 ms has the other, requests queue, and each waits 6 to 10 ms: what they
do is kept short. At 1,700 requests/s the slowest percent took 23 to 37 ms, and 14 to 19 since the
keeper gives way; at ten times the load the aggregator, which counts 30,000 rows/s then, took a
third of a core from those that answer.
"""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = [
    "NICE",
    "give_way",
    "only_when_idle",
    "set_aside_what_stays",
    "tables_on_one_core",
    "waited_s",
]

NICE: Final = 10
"""A tenth of the weight of a process that answers."""


def set_aside_what_stays() -> None:
    """No collection looks at what there is now: call it when everything that stays was loaded, in a
    replica before its first request, in keeper and aggregator before their first round."""
    gc.collect()
    gc.freeze()


def give_way() -> None:
    """Lower the priority of the calling thread and of what it starts from now on."""
    os.nice(NICE)


def only_when_idle(pid: int) -> None:
    """Let a process run where no other wants the core. Where the system has no such class (Linux
    has) or forbids it, nothing happens.

    Args:
        pid: of a child that has just been started; 0 for the calling thread.
    """
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


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


def tables_on_one_core() -> None:
    """Delta tables are written by one thread, in this process and those it starts from now on; call
    it before the first is opened. A commit would take both cores, and requests wait as long."""
    os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
