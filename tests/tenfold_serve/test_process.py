"""Who goes first, and how long the others wait for a core, as the kernel tells it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tenfold_serve.process import NICE, NICEST, Breaths, give_way, let_give_way, waited_s
from tests.tenfold_serve.test_keeper_e2e import OWN, place

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


class Day:
    """A clock that goes on while somebody works or pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cpu = 0.0
        self.paused = 0.0
        self.late = 0.0

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.cpu += seconds

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late
        self.paused += seconds + self.late

    def breaths(self, **others: float) -> Breaths:
        return Breaths(
            **others, clock=lambda: self.now, cpu_s=lambda: self.cpu, sleep=self.sleep
        )  # fmt: skip


def test_who_works_a_little_pauses_after_each_few_milliseconds() -> None:
    day = Day()
    breathe = day.breaths(work_s=0.003, pause_s=0.02)
    for _ in range(10):
        day.work(0.001)
        breathe()
    assert day.paused == pytest.approx(3 * 0.02)  # after 3, 6 and 9 ms


def test_who_has_more_to_do_pauses_no_more_than_his_share() -> None:
    day = Day()
    breathe = day.breaths(share=0.3, work_s=0.003, pause_s=0.02)
    while day.now < 20.0:
        day.work(0.002)
        breathe()
    assert day.paused / day.now == pytest.approx(0.3, abs=0.02)
    assert day.cpu / day.now == pytest.approx(0.7, abs=0.02)


def test_pauses_that_last_longer_than_asked_count_as_long_as_they_were() -> None:
    """On a busy machine whoever gives way gets the core back late."""
    day = Day()
    day.late = 0.02
    breathe = day.breaths(share=0.3, work_s=0.003, pause_s=0.02)
    while day.now < 20.0:
        day.work(0.002)
        breathe()
    assert day.paused / day.now == pytest.approx(0.3, abs=0.02)


def test_after_a_rest_no_more_is_paused_than_in_any_second() -> None:
    day = Day()
    breathe = day.breaths(share=0.3, work_s=0.003, pause_s=0.02)
    day.now = 1e6
    day.work(0.05)
    for _ in range(100):
        day.work(0.003)
        breathe()
    assert day.paused <= 0.3 + 0.3 * (day.now - 1e6) + 0.02


WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]
STARTS = f"""
import subprocess, sys
print("here", flush=True)
sys.stdin.readline()
child = subprocess.Popen({WAITS})
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """A process that starts another one when it is told to."""
    with subprocess.Popen(
        [sys.executable, "-c", STARTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        yield child


def test_a_process_gives_way_with_what_it_starts_then(
    other: subprocess.Popen[str],
) -> None:
    assert other.stdin is not None and other.stdout is not None
    other.stdout.readline()
    let_give_way(other.pid, nice=NICE)
    other.stdin.write("start\n")
    other.stdin.flush()
    started = int(other.stdout.readline())
    given = (max(OWN[0], NICE), os.SCHED_BATCH)
    assert [place(pid) for pid in (other.pid, started)] == [given, given]
    let_give_way(other.pid, nice=0)
    assert place(other.pid) == given  # who is nicer stays so
    other.stdin.close()
    other.wait()
    let_give_way(other.pid, nice=NICE)  # nobody is there


def test_a_thread_gives_way_with_what_it_starts_and_without_the_others() -> None:
    found = []

    def aside() -> None:
        give_way()
        inner = threading.Thread(target=lambda: found.append(place(0)))
        inner.start()
        inner.join()

    thread = threading.Thread(target=aside)
    thread.start()
    thread.join()
    assert found == [(min(OWN[0] + NICE, NICEST), os.SCHED_BATCH)]
    assert place(0) == OWN
