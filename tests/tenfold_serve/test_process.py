"""How long a process waits for a core, as the kernel tells it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tenfold_serve.process import waited_s

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
