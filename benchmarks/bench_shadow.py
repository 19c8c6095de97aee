"""What a shadow costs those who are answered: healthy, hung, a hundred times too slow, dying.

``make bench-shadow``; twenty minutes. One endpoint, one row at a constant pace (open loop,
`serving.paced`), turns without a shadow and turns with one in each state, by turns first. A shadow
may add 5 % to the 99th percentile, and no request may fail: it ends with 1 where that is not shown.

It is shown in the turns with a shadow (`serving.beside`): the 99th percentile of all requests over
that of those that were due while the shadow did nothing. The 95 % interval of this ratio has to end
below 1.05. That it can see anything is shown, too: ``in the way`` is no shadow but a process of
normal priority that takes two fifths of a core in pieces, and has to be found out. What chance does
is told by the same spans laid elsewhere in their turn.

* ``healthy`` and ``slow`` score what they may; the slow one is a model of its own that burns a
  core, hundreds of times what a row costs the other.
* ``starting``: what one that dies or hangs costs is that it is started again, at most every
  two minutes. Here it is killed whenever it scores and asked for again every ten seconds, so that
  there are enough starts to look at, and a request beside one counts for so much less.
* ``hung`` does nothing at all, so there is only the pair.

The pairs, a turn with over the turn without, tell whether a shadow costs more than what it does
costs. ``none`` is two turns without one: what such a ratio is worth, and on a machine that is one
of many on its host that is little.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from _form import Form
from serving.beside import Beside, Run, beside, meanwhile, parent_of, watched
from serving.ours import Ours, tenfold_up
from serving.paced import run
from serving.reference import N_NUMBERS, PROJECT, make_reference, rows_of
from tenfold.cluster.keeper import read_keeper
from tenfold.cluster.sessions import SessionRecord, members
from tenfold.registry import CHALLENGER, Registry
from tenfold.testing.burning import burning
from tenfold.traffic import Shadow, write_shadow
from tenfold_serve.shadowing import FIRST_PAUSE_S

Floats = npt.NDArray[np.float64]

MAY_ADD = 1.05
_WAIT_S = 60.0
_SETTLE_S = 3.0
"""What starting and ending it costs is not what it costs while it is there."""
GOOD, SLOW = 2, 3
"""Versions in shadow."""
_PROGRAM = b"tenfold_serve.shadow"
_START_EVERY_S = 10.0
_IN_THE_WAY = """
import sys, time
while True:
    until = time.process_time() + 0.6
    while time.process_time() < until:
        pass
    time.sleep(0.9)
"""


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
        self.ask(version)
        until(lambda: self.status().get("state") == "scoring")
        time.sleep(_SETTLE_S)

    def ask(self, version: int) -> None:
        """Ask for a shadow; one that is asked for again is another."""
        self._registry.set_alias(PROJECT, CHALLENGER, version)
        write_shadow(self._registry.state, PROJECT, Shadow(version, time.time_ns() // 1_000_000))

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
                if _PROGRAM in Path(f"/proc/{pid}/cmdline").read_bytes():
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
def starting(shadow: Shadowed) -> Iterator[None]:
    """It is killed whenever it scores, and asked for again and again."""

    def start_again(ended: threading.Event) -> None:
        last_s, killed = time.monotonic(), None
        while not ended.wait(0.5):
            found = shadow.status()
            if found.get("state") == "scoring" and found["pid"] != killed:
                killed = found["pid"]
                with suppress(ProcessLookupError):
                    os.kill(killed, signal.SIGKILL)
            if time.monotonic() - last_s >= _START_EVERY_S:
                last_s = time.monotonic()
                shadow.ask(GOOD)

    with meanwhile(start_again):
        yield


@contextmanager
def in_the_way(_shadow: Shadowed) -> Iterator[None]:
    """Another process takes two fifths of a core, as if it were somebody who answers."""
    process = subprocess.Popen([sys.executable, "-c", _IN_THE_WAY, _PROGRAM])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True)
class State:
    """What is beside the endpoint in a turn.

    Attributes:
        version: in shadow; 0: none.
        during: what is done to it.
        judged: whether it works, so that requests beside its work can be compared with others.
        starts_s: it is started again in each turn, and outside of this benchmark at most once in
            so many seconds; 0: it is not.
    """

    version: int = GOOD
    during: Callable[[Shadowed], Any] = field(default=lambda _shadow: nullcontext())
    judged: bool = True
    starts_s: float = 0.0


_WAY = "in the way"
STATES = {
    "none": State(0, judged=False),
    "healthy": State(),
    "slow": State(SLOW),
    "starting": State(during=starting, starts_s=FIRST_PAUSE_S),
    "hung": State(during=hung, judged=False),
    _WAY: State(0, in_the_way),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """What came back in one turn.

    Attributes:
        run: of those that were answered.
        failed: number of the others.
        cpu_s: what the shadow used, seconds of CPU.
        n_started: how often it was started.
    """

    run: Run
    failed: int
    cpu_s: float
    n_started: int

    @property
    def p99_ms(self) -> float:
        return float(1000 * np.quantile(self.run.latency_s, 0.99))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the requests go.

    Attributes:
        url: of the endpoint.
        body: one row.
        rate: requests a second.
        seconds: of a turn.
    """

    url: str
    body: bytes
    rate: float
    seconds: float

    def turn(self, parent: int) -> Turn:
        """Requests at a constant pace, and when what this process has started worked meanwhile."""
        with watched(parent, _PROGRAM) as ran:
            journal, _late = run(
                self.url, self.body, rate=self.rate, seconds=self.seconds, n_lines=64
            )
        answered = sorted(one for one in journal if one.status == 200)
        due_s, latency_s = (np.array(column) for column in list(zip(*answered, strict=True))[:2])
        return Turn(
            Run(due_s, latency_s, ran.spans), len(journal) - len(answered), ran.cpu_s, ran.n_started
        )


Pairs = dict[str, list[tuple[Turn, Turn]]]


def measure(endpoint: Endpoint, shadow: Shadowed, *, rounds: int) -> Pairs:
    """Turns without and with, of each state; the one and the other first by turns."""
    shadow.start(GOOD)
    (pid,) = shadow.pids()
    supervisor = parent_of(pid)
    endpoint.turn(supervisor)  # for warming up
    shadow.end()
    pairs: Pairs = {name: [] for name in STATES}
    for number in range(rounds):
        for name, state in STATES.items():
            first = endpoint.turn(supervisor) if number % 2 == 0 else None
            with_it = turn_with(endpoint, shadow, state, supervisor)
            without = first or endpoint.turn(supervisor)
            pairs[name].append((without, with_it))
            sys.stdout.write(f"{name}: {without.p99_ms:.2f} ms, {with_it.p99_ms:.2f} ms\n")
            sys.stdout.flush()
    return pairs


def turn_with(endpoint: Endpoint, shadow: Shadowed, state: State, supervisor: int) -> Turn:
    """A turn in a state, which has begun before it and ends after it."""
    if state.version:
        shadow.start(state.version)
    with state.during(shadow):
        found = endpoint.turn(os.getpid() if state.during is in_the_way else supervisor)
    if state.version:
        shadow.end()
    return found


def main() -> int:
    """Measure and write the file; 1 where it is not shown that a shadow costs what it may."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rate", type=float, default=300.0, help="requests a second")
    options.add_argument("--seconds", type=float, default=45.0, help="of one turn")
    options.add_argument("--rounds", type=int, default=2)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        artifacts = [make_reference(work / f"model-{seed}", seed=seed) for seed in (0, 1)]
        slow = make_reference(work / "slow", seed=2, graph=burning)
        row = rows_of(np.random.default_rng(4).normal(size=(1, N_NUMBERS)))
        with tenfold_up({PROJECT: artifacts[0]}, {PROJECT: "y"}, work=work) as ours:
            ours.publish(PROJECT, artifacts[1])
            ours.publish(PROJECT, slow)
            endpoint = Endpoint(
                ours.url(PROJECT), orjson.dumps({"rows": row}), asked.rate, asked.seconds
            )
            pairs = measure(endpoint, Shadowed(ours), rounds=asked.rounds)
    turns = [turn for both in pairs.values() for pair in both for turn in pair]
    form = Form("shadow")
    form.add("rate", asked.rate)
    form.add("turn_seconds", asked.seconds)
    form.add("may_add", MAY_ADD)
    form.add("failed_requests", sum(turn.failed for turn in turns))
    form.add("requests", sum(len(turn.run.due_s) + turn.failed for turn in turns))
    tell_pairs(form, pairs)
    held = tell_beside(form, pairs)
    form.finish(libraries=["ray", "onnxruntime"])
    return 0 if held and not any(turn.failed for turn in turns) else 1


def tell_pairs(form: Form, pairs: Pairs) -> None:
    """With over without."""
    rows = []
    for name, both in pairs.items():
        key = name.replace(" ", "_")
        ratios = [with_it.p99_ms / without.p99_ms for without, with_it in both]
        found = {"": statistics.median(ratios), "_min": min(ratios), "_max": max(ratios)}
        p99_ms = [
            statistics.median(turn.p99_ms for turn in side) for side in zip(*both, strict=True)
        ]
        form.add(f"{key}.without_p99_ms", p99_ms[0])
        form.add(f"{key}.with_p99_ms", p99_ms[1])
        for end, ratio in found.items():
            form.add(f"{key}.with_to_without{end}", ratio)
        rows.append([name, *(f"{one:.2f}" for one in (*p99_ms, *found.values()))])
    form.table(
        "One turn over another",
        ["beside it", "without, ms", "with, ms", "ratio", "least", "most"],
        rows,
    )


def tell_beside(form: Form, pairs: Pairs) -> bool:
    """All over those that were due while it did nothing; whether each shadow is within what it may
    add, and what is in the way is found out."""
    rows, held = [], True
    for name, state in STATES.items():
        if not state.judged:
            continue
        turns = [with_it for _without, with_it in pairs[name]]
        seconds = sum(turn.run.due_s[-1] - turn.run.due_s[0] for turn in turns)
        n_started = sum(turn.n_started for turn in turns)
        weight = seconds / (n_started * state.starts_s) if n_started and state.starts_s else 1.0
        found = beside([turn.run for turn in turns], weight=weight)
        cpu_share = weight * sum(turn.cpu_s for turn in turns) / seconds
        good = found.low > 1 if name == _WAY else found.high <= MAY_ADD
        good = good and found.share > 0 and (n_started > 0) == (state.starts_s > 0)
        key = name.replace(" ", "_")
        form.add(f"{key}.cpu_share", cpu_share)
        form.add(f"{key}.n_started", n_started)
        for what, value in found._asdict().items():
            form.add(f"{key}.beside.{what}", value)
        form.add(f"{key}.as_wanted", good)
        held = held and good
        rows.append([name, *_cells(found, cpu_share), "yes" if good else "no"])
    form.table(
        "All requests over those due while it did nothing",
        ["beside it", "of a core", "meanwhile", "all, ms", "idle, ms", "ratio", "95 %",
         "elsewhere", "as wanted"],
        rows,
    )  # fmt: skip
    return held


def _cells(found: Beside, cpu_share: float) -> list[str]:
    return [
        f"{100 * cpu_share:.1f} %",
        f"{100 * found.share:.1f} %",
        f"{found.p99_ms:.2f}",
        f"{found.idle_p99_ms:.2f}",
        f"{found.ratio:.3f}",
        f"{found.low:.3f}-{found.high:.3f}",
        f"{found.elsewhere_low:.3f}-{found.elsewhere_high:.3f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
