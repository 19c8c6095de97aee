"""Ten times the load it can carry, a million requests, ten swaps: one replica.

Read from the clients' own journals. Ten minutes on two quiet cores;
``TENFOLD_SOAK_REQUESTS=300000`` in the environment makes it five.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tenfold.inference import Predictor
from tests.faults.served import ROWS, Clients, Served, served

pytestmark = pytest.mark.slow

_PARTS = {
    "replica": "ray::ServeReplica",
    "HAProxy": "bin/haproxy",
    "controller": "ray::ServeController",
    "aggregator": "ray::Aggregator",
    "keeper": "tenfold_serve.keeper",
}
SWAP_PACE = 300
"""Requests a second during the swaps, an open loop."""
N_REQUESTS = int(os.environ.get("TENFOLD_SOAK_REQUESTS", "1000000"))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("loaded")) as found:
        yield found


def resident_mb(up: Served) -> dict[str, float]:
    """Of each process that has to do with a request, by its name in `_PARTS`."""
    found = {}
    for name, words in _PARTS.items():
        (pid,) = up.pids(words)
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        (said,) = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
        found[name] = int(said) / 1024
    return found


def test_ten_times_too_many_requests_leave_it_answering(up: Served, paced: ModuleType) -> None:
    """Goodput stays at 80 % of what it can, who is turned away hears so at once, then all is well.

    Eighty rows a request, so that one core can offer ten times what the other answers; and less
    than HAProxy's buffer of 16 kB: of a longer body it answers 429 to the first part and hangs up.
    """
    body = json.dumps({"rows": ROWS[:80]}).encode()
    assert len(body) < 16_000
    capacity, before = capacity_of(up, paced, body)
    journal, _late = paced.run(
        f"{up.url}/predict", body, rate=10 * capacity, seconds=10, n_lines=700
    )
    ended = max(one.due_s for one in journal)
    while True:
        after, _late = paced.run(
            f"{up.url}/predict", body, rate=capacity / 4, seconds=0.5, n_lines=16
        )
        calm = paced.at([one.latency_s for one in after if one.status == 200], 0.9)
        if {one.status for one in after} == {200} and calm < 3 * before + 5:
            break
        assert time.monotonic() - ended < 5, f"p90 {calm} ms, before {before} ms"
    statuses = Counter(one.status for one in journal)
    goodput = statuses[200] / 10
    refused = [one.sent_s for one in journal if one.status != 200]
    told = (
        f"capacity {capacity:.0f}/s, goodput {goodput:.0f}/s, {dict(statuses)}, refused after "
        f"{paced.at(refused, 0.5):.1f} ms, p99 {paced.at(refused, 0.99):.1f} ms"
    )
    print(told)
    assert set(statuses) <= {200, 429}, told
    assert goodput >= 0.8 * capacity, told
    assert paced.at(refused, 0.99) < 50, told


def capacity_of(up: Served, paced: ModuleType, body: bytes) -> tuple[float, float]:
    """Requests a second in a closed loop, and the 90th percentile in ms of a calm open one."""
    paced.run(f"{up.url}/predict", body, rate=100, seconds=1, n_lines=16)
    journal, _late = paced.run(
        f"{up.url}/predict", body, rate=5000, seconds=4, n_lines=16, patience_s=0
    )
    capacity = sum(one.status == 200 for one in journal) / 4
    calm, _late = paced.run(f"{up.url}/predict", body, rate=capacity / 4, seconds=2, n_lines=16)
    return capacity, paced.at([one.latency_s for one in calm], 0.9)


def test_ten_swaps_under_load_fail_nothing_and_mix_nothing(up: Served, tmp_path: Path) -> None:
    """F9, F10: an answer is one version's; and once a new version has answered, no request that is
    sent later meets the old one."""
    second = up.publish(tmp_path / "second", seed=1)
    right = {}
    for number in (1, second):
        predictor = Predictor.load(up.registry.require("mixed", number).path)
        right[number] = (predictor.digest, predictor.predict_rows(ROWS[:3]).scores.tolist())
    assert right[1] != right[second]
    clients = Clients(up.port, ROWS[:3], rate=SWAP_PACE)
    began: list[float] = []
    with clients.asking():
        for swap in range(10):
            wanted = 1 if swap % 2 else second
            began.append(time.monotonic())
            up.registry.promote("mixed", wanted, expected=up.registry.alias("mixed", "champion"))
            (journal,) = clients.journals
            clients.wait_for(lambda: journal[-1].version == wanted, within_s=30)  # noqa: B023
    print(f"{len(clients.all)} answers, {len(clients.failures())} failed")
    assert clients.failures() == []
    assert all((one.digest, one.scores) == right[one.version] for one in clients.all)
    for swap, (start, end) in enumerate(itertools.pairwise([*began, math.inf])):
        wanted = 1 if swap % 2 else second
        asked = [one for one in clients.all if start <= one.sent_s < end]
        first = min(one.until_s for one in asked if one.version == wanted)
        assert {one.version for one in asked if one.sent_s > first} <= {wanted}


@pytest.mark.timeout(1800)
def test_memory_stays_flat_over_a_million_requests(up: Served, paced: ModuleType) -> None:
    """Of every process that they go through or are counted by, by least squares over the last two
    thirds: the first third fills caches, arenas and blocks."""
    body, n_turns, n_requests = json.dumps({"rows": ROWS[:1]}).encode(), N_REQUESTS // 5000, 5000
    counts, resident = [], []
    for turn in range(n_turns):
        journal, _late = paced.run(
            f"{up.url}/predict", body, rate=3000, seconds=n_requests / 3000, n_lines=32
        )
        assert {one.status for one in journal} == {200}
        counts.append((turn + 1) * n_requests / 100_000)
        resident.append(resident_mb(up))
    third = n_turns // 3
    slopes = {}
    for name in _PARTS:
        held = [one[name] for one in resident]
        slopes[name] = statistics.linear_regression(counts[third:], held[third:]).slope
        told = ", ".join(f"{one:.0f}" for one in held[:: n_turns // 10])
        print(f"{name}: {slopes[name]:.2f} MB in 100,000 requests, {told}")
    assert max(slopes.values()) < 1.0, slopes
