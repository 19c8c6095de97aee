"""Who goes first, and how long the others wait for a core, as the kernel tells it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tenfold_serve.process import NICE, give_way, let_give_way, waited_s

SPINS = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


@pytest.fixture
def rivals() -> Iterator[list[int]]:
    """Two processes that want the same core, and nothing else."""
    core = str(min(os.sched_getaffinity(0)))
    with ExitStack() as stack:
        found = []
        for _ in range(2):
            child = stack.enter_context(subprocess.Popen([sys.executable, "-c", SPINS, core]))
            stack.callback(child.kill)
            found.append(child.pid)
        yield found


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_who_shares_a_core_waits_half_of_the_time(rivals: list[int]) -> None:
    ends = time.monotonic() + 30
    while not all(waited_s(pid) > 0.2 for pid in rivals):
        assert time.monotonic() < ends, [waited_s(pid) for pid in rivals]
        time.sleep(0.05)


def test_of_who_is_gone_nothing_is_known() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert waited_s(child.pid) == 0.0


TWO_THREADS = """
import sys, threading
threading.Thread(target=sys.stdin.read).start()
print("here", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such class")
def test_every_thread_of_a_process_gives_way_and_what_it_starts_too() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TWO_THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        let_give_way(child.pid, nice=NICE)
        threads = [int(path.name) for path in Path(f"/proc/{child.pid}/task").iterdir()]
        assert len(threads) == 2
        assert {precedence(thread) for thread in threads} == {(NICE, os.SCHED_BATCH)}
        child.stdin.close()
    let_give_way(child.pid, nice=NICE)  # it is gone by now


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such class")
def test_a_thread_that_gives_way_takes_no_other_with_it() -> None:
    found = []

    def aside() -> None:
        give_way()
        inner = threading.Thread(target=lambda: found.append(precedence(0)))
        inner.start()
        inner.join()

    thread = threading.Thread(target=aside)
    thread.start()
    thread.join()
    assert found == [(precedence(0)[0] + NICE, os.SCHED_BATCH)]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def precedence(thread: int) -> tuple[int, int]:
    """Its nice value and its class."""
    return os.getpriority(os.PRIO_PROCESS, thread), os.sched_getscheduler(thread)
