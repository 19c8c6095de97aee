"""Ten times the load it can carry, a million requests, ten swaps: one replica.

Read from the clients' own journals. Ten minutes on two quiet cores;
``TENFOLD_SOAK_REQUESTS=300000`` in the environment makes it five.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tenfold.cluster.keeper import read_keeper
from tenfold.cluster.sessions import SessionRecord, members
from tenfold.inference import Predictor
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tests.command import tenfold
from tests.tenfold_serve.support import PROJECT, make_artifact
from tests.tenfold_serve.test_keeper_e2e import free_port

pytestmark = pytest.mark.slow

ROWS = json_rows(mixed_schema(), mixed_table(100))
_PARTS = {
    "replica": b"ray::ServeReplica",
    "HAProxy": b"bin/haproxy",
    "controller": b"ray::ServeController",
    "aggregator": b"ray::Aggregator",
    "keeper": b"tenfold_serve.keeper",
}
N_REQUESTS = int(os.environ.get("TENFOLD_SOAK_REQUESTS", "1000000"))


@dataclass
class Up:
    settings: Settings
    registry: Registry
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mixed/predict"

    def resident_mb(self) -> dict[str, float]:
        """Of each process that has to do with a request, by its name in `_PARTS`."""
        record = read_keeper(self.settings)
        assert record is not None
        pids = members(SessionRecord.from_dict(record))
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
        found = {}
        for name, word in _PARTS.items():
            (pid,) = [pid for pid, command in commands.items() if word in command]
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            (said,) = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
            found[name] = int(said) / 1024
        return found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("loaded")
    settings = Settings.from_env({"TENFOLD_HOME": str(folder / "home")})
    project = folder / "project.yaml"
    project.write_text(yaml.safe_dump({**PROJECT, "serve": {"max_rows": 1000}}))
    (folder / "mixed.csv").write_text("label\nyes\n")
    registry = Registry(settings)
    make_artifact(folder / "first", seed=0)
    registry.publish("mixed", folder / "first")
    registry.promote("mixed", 1, expected=None)
    port = free_port()
    tenfold("up", str(project), "--port", str(port), home=settings.home)
    try:
        yield Up(settings, registry, port)
    finally:
        tenfold("down", home=settings.home)


@dataclass
class Journal:
    """What a closed-loop client saw; it alone writes."""

    answers: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def keep_asking(port: int, body: bytes, journal: Journal, stop: threading.Event) -> None:
    """One request after the other on one connection until told to stop."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"content-type": "application/json"}
    while not stop.is_set():
        try:
            line.request("POST", "/mixed/predict", body, headers)
            answer = line.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            journal.failures.append(repr(error))
            line.close()
            continue
        if answer.status == 200:
            journal.answers.append((time.monotonic(), json.loads(text)))
        else:
            journal.failures.append(f"{answer.status} {text[:200]!r}")
    line.close()


def test_ten_times_too_many_requests_leave_it_answering(up: Up, paced: ModuleType) -> None:
    """Goodput stays at 80 % of what it can, who is turned away hears so at once, then all is well.

    Eighty rows a request, so that one core can offer ten times what the other answers; and less
    than HAProxy's buffer of 16 kB: of a longer body it answers 429 to the first part and hangs up.
    """
    body = json.dumps({"rows": ROWS[:80]}).encode()
    assert len(body) < 16_000
    capacity, before = capacity_of(up, paced, body)
    journal, _late = paced.run(up.url, body, rate=10 * capacity, seconds=10, n_lines=700)
    ended = max(one.due_s for one in journal)
    while True:
        after, _late = paced.run(up.url, body, rate=capacity / 4, seconds=0.5, n_lines=16)
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


def capacity_of(up: Up, paced: ModuleType, body: bytes) -> tuple[float, float]:
    """Requests a second in a closed loop, and the 90th percentile in ms of a calm open one."""
    paced.run(up.url, body, rate=100, seconds=1, n_lines=16)
    journal, _late = paced.run(up.url, body, rate=5000, seconds=4, n_lines=16, patience_s=0)
    capacity = sum(one.status == 200 for one in journal) / 4
    calm, _late = paced.run(up.url, body, rate=capacity / 4, seconds=2, n_lines=16)
    return capacity, paced.at([one.latency_s for one in calm], 0.9)


def test_ten_swaps_under_load_fail_nothing_and_mix_nothing(up: Up, tmp_path: Path) -> None:
    make_artifact(tmp_path / "second", seed=1)
    second = up.registry.publish("mixed", tmp_path / "second").version
    right = {}
    for number in (1, second):
        predictor = Predictor.load(up.registry.require("mixed", number).path)
        right[number] = (predictor.digest, predictor.predict_rows(ROWS[:3]).scores.tolist())
    assert right[1] != right[second]
    stop, journals = threading.Event(), [Journal() for _ in range(4)]
    body = json.dumps({"rows": ROWS[:3]}).encode()
    threads = [
        threading.Thread(target=keep_asking, args=(up.port, body, journal, stop))
        for journal in journals
    ]
    for thread in threads:
        thread.start()
    try:
        for swap in range(10):
            wanted = 1 if swap % 2 else second
            up.registry.promote("mixed", wanted, expected=up.registry.alias("mixed", "champion"))
            began = time.monotonic()
            while not all(j.answers and j.answers[-1][1]["version"] == wanted for j in journals):
                assert time.monotonic() - began < 30, f"version {wanted} does not answer"
                time.sleep(0.02)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [failure for journal in journals for failure in journal.failures] == []
    for journal in journals:
        versions = [answer["version"] for _, answer in journal.answers]
        changes = [new for old, new in itertools.pairwise(versions) if new != old]
        assert changes == [second if swap % 2 == 0 else 1 for swap in range(10)]
        for _, answer in journal.answers:
            scores = [list(item["probabilities"].values()) for item in answer["predictions"]]
            assert (answer["digest"], scores) == right[answer["version"]]


@pytest.mark.timeout(1800)
def test_memory_stays_flat_over_a_million_requests(up: Up, paced: ModuleType) -> None:
    """Of every process that they go through or are counted by, by least squares over the last two
    thirds: the first third fills caches, arenas and blocks."""
    body, n_turns, n_requests = json.dumps({"rows": ROWS[:1]}).encode(), N_REQUESTS // 5000, 5000
    counts, resident = [], []
    for turn in range(n_turns):
        journal, _late = paced.run(up.url, body, rate=3000, seconds=n_requests / 3000, n_lines=32)
        assert {one.status for one in journal} == {200}
        counts.append((turn + 1) * n_requests / 100_000)
        resident.append(up.resident_mb())
    third = n_turns // 3
    slopes = {}
    for name in _PARTS:
        held = [one[name] for one in resident]
        slopes[name] = statistics.linear_regression(counts[third:], held[third:]).slope
        told = ", ".join(f"{one:.0f}" for one in held[:: n_turns // 10])
        print(f"{name}: {slopes[name]:.2f} MB in 100,000 requests, {told}")
    assert max(slopes.values()) < 1.0, slopes
