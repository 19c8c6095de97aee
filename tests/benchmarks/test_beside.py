"""What a process beside a server costs is found in simulated requests, and who ran when is seen."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BESIDE = Path(__file__).resolve().parents[2] / "benchmarks" / "serving" / "beside.py"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("beside", BESIDE)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["beside"] = found  # dataclasses look there
    spec.loader.exec_module(found)
    return found


def simulated(module: ModuleType, *, extra: float, seed: int) -> Any:
    """Three turns of a minute at 300/s, each on a busier machine than the one before: a core is
    taken away for some milliseconds again and again, from all who are due meanwhile. While the
    process works (0.2 s of every 5) a request is late with so much more probability."""
    rng = np.random.default_rng(seed)
    runs = []
    for start, late_share in ((1000.0, 0.008), (2000.0, 0.01), (3000.0, 0.014)):
        due_s = start + np.arange(18_000) / 300
        taken = rng.random(9_000) < late_share  # two requests that follow each other, both
        worked = (due_s % 5) < 0.2
        late = np.repeat(taken, 2) | (worked & (rng.random(len(due_s)) < extra))
        latency_s = rng.gamma(4, 0.2e-3, len(due_s)) + late * rng.exponential(4e-3, len(due_s))
        spans = [(start + at, start + at + 0.2) for at in range(0, 60, 5)]
        runs.append(module.Run(due_s, latency_s, spans))
    return runs


def true_ratio(module: ModuleType, extra: float) -> float:
    """Of many such turns with it over as many without."""
    with_it, without = (
        np.quantile(
            [
                run.latency_s
                for seed in range(40)
                for run in simulated(module, extra=one, seed=seed)
            ],
            0.99,
        )
        for one in (extra, 0.0)
    )
    return float(with_it / without)


def test_one_that_costs_nothing_is_cleared_and_what_it_costs_is_in_the_interval(
    module: ModuleType,
) -> None:
    cleared = covered = 0
    true = true_ratio(module, 0.3)
    assert 1.2 < true < 2
    for seed in range(10):
        nothing = module.beside(simulated(module, extra=0.0, seed=seed))
        assert nothing.share == pytest.approx(0.064, abs=0.003)
        assert nothing.elsewhere_low < 1 < nothing.elsewhere_high
        cleared += nothing.high <= 1.05
        dear = module.beside(simulated(module, extra=0.3, seed=seed))
        covered += dear.low <= true <= dear.high
        assert dear.low > 1.05 and dear.low > dear.elsewhere_high
    assert cleared >= 8 and covered >= 8


def test_one_that_costs_a_tenth_is_hardly_ever_cleared(module: ModuleType) -> None:
    assert 1.08 < true_ratio(module, 0.08) < 1.15
    found = [module.beside(simulated(module, extra=0.08, seed=seed)) for seed in range(12)]
    assert sum(one.high <= 1.05 for one in found) <= 1


def test_a_weight_stands_for_a_process_that_works_less_often(module: ModuleType) -> None:
    runs = simulated(module, extra=0.3, seed=0)
    often, seldom = (module.beside(runs, weight=weight) for weight in (1.0, 0.1))
    assert seldom.share == pytest.approx(0.1 * often.share, rel=0.1)
    assert 1 < seldom.ratio < often.ratio and seldom.idle_p99_ms == often.idle_p99_ms
    whole = np.concatenate([run.latency_s for run in runs])
    assert often.p99_ms == pytest.approx(1000 * np.quantile(whole, 0.99), rel=1e-2)


def test_one_that_never_works_is_one_exactly_and_one_that_always_does_is_not_cleared(
    module: ModuleType,
) -> None:
    (run, *_) = simulated(module, extra=0.0, seed=0)
    never = module.beside([run._replace(spans=[])])
    assert (never.share, never.ratio, never.low, never.high) == (0, 1, 1, 1)
    always = module.beside([run._replace(spans=[(0, 9000)])])
    assert (always.share, always.ratio, always.high) == (1, float("inf"), float("inf"))


BURNS = """
import sys, time
print("ready", flush=True)
sys.stdin.readline()
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
print("burned", flush=True)
sys.stdin.readline()
"""


def spawn(word: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", BURNS, word],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    return child


def burn(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    assert child.stdout.readline() == "burned\n"


def overlaps(spans: list[tuple[float, float]], start: float, end: float) -> bool:
    return any(a < end and b > start for a, b in spans)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_when_a_child_ran_is_seen_from_its_start_and_others_are_not_looked_at(
    module: ModuleType,
) -> None:
    known, other = spawn("seen"), spawn("another")
    children = [known, other]
    try:
        assert module.parent_of(known.pid) == os.getpid()
        with module.watched(os.getpid(), b"seen") as ran:
            wait_until(lambda: known.pid in ran._known)
            assert other.pid not in ran._known and ran.n_started == 0
            quiet = time.monotonic()
            burn(other)
            assert not overlaps(ran.spans, quiet, time.monotonic())
            before = time.monotonic()
            burn(known)
            wait_until(lambda: overlaps(ran.spans, before, before + 10))
            assert ran.cpu_s >= 0.15
            born = time.monotonic()
            children.append(spawn("seen"))
            forked = time.monotonic()
            burn(children[-1])  # before anybody looked for it
            wait_until(lambda: children[-1].pid in ran._known)
            assert overlaps(ran.spans, born, forked) and ran.n_started == 1
            wait_until(lambda: ran.cpu_s >= 0.6)
            died = time.monotonic()
            known.kill()
            known.wait()
            wait_until(lambda: overlaps(ran.spans, died, died + 1))
    finally:
        for child in children:
            child.kill()
            child.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_watch_that_cannot_go_on_is_no_watch(module: ModuleType) -> None:
    child = spawn("gone")
    child.kill()
    child.communicate()
    with pytest.raises(FileNotFoundError), module.watched(child.pid, b"seen"):
        pass


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
