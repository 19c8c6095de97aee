"""What a shadow costs those who are answered: healthy, hung, a hundred times too slow, dying.

``make bench-shadow``; eighteen minutes. One endpoint, one row at a constant pace (open loop,
`serving.paced`), in turns: without a shadow, then with one in each state, again and again. Each
turn with a shadow is compared with the turn without one just before it, and the median of the
ratios is told, so what the machine does in the meantime weighs on both. Two turns without a shadow
are compared in the same way (``none``): what a ratio of these turns is worth, and on a machine that
is one of many on its host that is little. A shadow may add 5 % to the 99th percentile, and no
request may fail: it ends with 1 where that does not hold. The slow one is a model of its own that
burns a core, hundreds of times what a row costs the other.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from _form import Form
from serving.load import paced
from serving.ours import Ours, tenfold_up
from serving.processes import Target
from serving.reference import N_NUMBERS, PROJECT, make_reference, rows_of
from tenfold.cluster.keeper import read_keeper
from tenfold.cluster.sessions import SessionRecord, members
from tenfold.registry import CHALLENGER, Registry
from tenfold.testing.burning import burning
from tenfold.traffic import Shadow, write_shadow

MAY_ADD = 1.05
_WAIT_S = 60.0
_SETTLE_S = 3.0
"""What starting and ending it costs is not what it costs while it is there."""
GOOD, SLOW = 2, 3
"""Versions in shadow."""
_NONE = "none"


class Shadowed:
    """The endpoint and its shadow, version `GOOD` or `SLOW`.

    Args:
        ours: the endpoint; version 1 answers.
    """

    def __init__(self, ours: Ours) -> None:
        self._settings = ours.settings
        self._registry = Registry(ours.settings)

    def start(self, version: int) -> None:
        """Start a shadow, and wait until it scores."""
        self._registry.set_alias(PROJECT, CHALLENGER, version)
        write_shadow(self._registry.state, PROJECT, Shadow(version, time.time_ns() // 1_000_000))
        until(lambda: self.status().get("state") == "scoring")
        time.sleep(_SETTLE_S)

    def end(self) -> None:
        """End it, and wait until it has ended."""
        write_shadow(self._registry.state, PROJECT, None)
        until(lambda: not self.status())
        time.sleep(_SETTLE_S)

    def status(self) -> dict[str, Any]:
        found = json.loads((self._settings.keeper / "status.json").read_bytes())
        return dict(found[PROJECT].get("shadow") or {})

    def pids(self) -> list[int]:
        record = read_keeper(self._settings)
        assert record is not None
        found = []
        for pid in members(SessionRecord.from_dict(record)):
            with suppress(OSError):
                if b"tenfold_serve.shadow" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def signal(self, what: int) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, what)


def until(holds: Callable[[], object]) -> None:
    ends = time.monotonic() + _WAIT_S
    while not holds():
        assert time.monotonic() < ends, "the shadow does not follow"
        time.sleep(0.1)


@contextmanager
def hung(shadow: Shadowed) -> Iterator[None]:
    """It does nothing at all."""
    shadow.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        shadow.signal(signal.SIGCONT)


@contextmanager
def dying(shadow: Shadowed) -> Iterator[None]:
    """It is killed whenever it scores."""
    with _beside(lambda ended: _kill(shadow, ended)):
        yield


def _kill(shadow: Shadowed, ended: threading.Event) -> None:
    while not ended.wait(0.2):
        if shadow.status().get("state") == "scoring":
            shadow.signal(signal.SIGKILL)


@contextmanager
def _beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


STATES: dict[str, Callable[[Shadowed], Any]] = {
    "healthy": lambda _shadow: nullcontext(),
    "hung": hung,
    "slow": lambda _shadow: nullcontext(),
    "dying": dying,
}


def main() -> int:
    """Measure and write the file; 1 where a shadow costs more than it may."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rate", type=float, default=300.0, help="requests a second")
    options.add_argument("--seconds", type=float, default=15.0, help="of one turn")
    options.add_argument("--rounds", type=int, default=4)
    asked = options.parse_args()
    form = Form("shadow")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        artifacts = [make_reference(work / f"model-{seed}", seed=seed) for seed in (0, 1)]
        slow = make_reference(work / "slow", seed=2, graph=burning)
        row = rows_of(np.random.default_rng(4).normal(size=(1, N_NUMBERS)))
        with tenfold_up({PROJECT: artifacts[0]}, {PROJECT: "y"}, work=work) as ours:
            ours.publish(PROJECT, artifacts[1])
            ours.publish(PROJECT, slow)
            target = Target("tenfold", ours.url(PROJECT), orjson.dumps({"rows": row}))
            held = measure(form, Shadowed(ours), target, asked)
    form.add("rate", asked.rate)
    form.add("may_add", MAY_ADD)
    form.finish(libraries=["ray", "onnxruntime"])
    return 0 if held else 1


def measure(form: Form, shadow: Shadowed, target: Target, asked: argparse.Namespace) -> bool:
    """All states in turns; whether none costs more than it may."""

    def turn(*, times: int = 1) -> dict[str, Any]:
        return paced(target, rate=asked.rate, seconds=times * asked.seconds)

    turn()  # the first is for warming up
    ratios: dict[str, list[float]] = {state: [] for state in (_NONE, *STATES)}
    p99_ms: dict[str, list[float]] = {state: [] for state in ("without", *ratios)}
    failed = n_requests = 0
    for _ in range(asked.rounds):
        for state in ratios:
            without = turn()
            if state == _NONE:
                time.sleep(2 * _SETTLE_S)
                beside = turn()
            else:
                shadow.start(SLOW if state == "slow" else GOOD)
                with STATES[state](shadow):
                    # One that dies is started once a minute: that is in it, too.
                    beside = turn(times=5 if state == "dying" else 1)
                shadow.end()
            ratios[state].append(beside["p99_ms"] / without["p99_ms"])
            p99_ms["without"].append(without["p99_ms"])
            p99_ms[state].append(beside["p99_ms"])
            failed += without["failed"] + beside["failed"]
            n_requests += without["n"] + beside["n"]
            sys.stdout.write(f"{state}: {without['p99_ms']:.2f} ms, {beside['p99_ms']:.2f} ms\n")
            sys.stdout.flush()
    form.add("failed_requests", failed)
    form.add("requests", n_requests)
    form.add("without.p99_ms", statistics.median(p99_ms["without"]))
    rows = [["without", f"{statistics.median(p99_ms['without']):.2f}", "", "", ""]]
    for state, found in ratios.items():
        ratio = statistics.median(found)
        form.add(f"{state}.p99_ms", statistics.median(p99_ms[state]))
        form.add(f"{state}.p99_ratio", ratio)
        form.add(f"{state}.p99_ratio_min", min(found))
        form.add(f"{state}.p99_ratio_max", max(found))
        if state != _NONE:
            form.add(f"{state}.within", ratio <= MAY_ADD)
        rows.append(
            [state, f"{statistics.median(p99_ms[state]):.2f}",
             *(f"{one:.2f}" for one in (ratio, min(found), max(found)))]
        )  # fmt: skip
    form.table(
        f"{asked.rate:.0f} requests/s of one row; {failed} of {n_requests} failed",
        ["shadow", "p99 ms", "to without", "least", "most"],
        rows,
    )
    return not failed and all(statistics.median(ratios[state]) <= MAY_ADD for state in STATES)


if __name__ == "__main__":
    sys.exit(main())
