"""Freed memory stays while blocks are worked on, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

BLOCKS = """
import resource, sys
import numpy as np
from tenfold.data.heap import kept_heap

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        arrays = [np.ones(65_536) for _ in range(20)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    with kept_heap(), kept_heap():
        print(faults())
else:
    print(faults())
"""


def faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_blocks_of_a_kept_heap_are_not_asked_for_again() -> None:
    assert faults("kept") < 4000 < 10_000 < faults("as it comes")
