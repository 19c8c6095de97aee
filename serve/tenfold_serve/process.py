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
from typing import Final

__all__ = ["NICE", "give_way", "set_aside_what_stays", "tables_on_one_core"]

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


def tables_on_one_core() -> None:
    """Delta tables are written by one thread, in this process and those it starts from now on; call
    it before the first is opened. Joining the files of a hundred commits took both cores for some
    tenths of a second, and requests as long."""
    os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
