"""What a process beside a server costs those who are answered while it works, from one run.

Two runs, one with it and one without, differ by more than a small cost where a machine is one of
many on its host: a core that is taken away for some milliseconds once a second decides about the
slowest hundredth. But a process that works a small part of the time can be held against itself.
`watched` notes when it worked; `beside` compares all requests with those that were due while it did
not. The same machine, the same minutes and the same server are in
both, so what differs is what it did.

What this cannot see is a cost while it does nothing: pairs of runs can, as far as they see. And it
has to be asked whether it sees at all: `Beside.elsewhere_low` and `Beside.elsewhere_high` tell what
the ratio is if the same spans lie elsewhere in the run, where nothing happened; a process that is
known to be in the way is brought by the one who calls this.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import sysconf
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Beside", "Ran", "Run", "beside", "meanwhile", "parent_of", "watched"]

Floats = npt.NDArray[np.float64]
Span = tuple[float, float]

_LOOK_S = 0.1
"""A thread that looked 25 times a second, and at all children each time, added half to the 99th
percentile of what it looked at."""
_LOOKS_PER_SEARCH = 10
_WORK_S = 0.002
"""CPU time of what counts as work. A process that wakes up to say that it lives takes a third of a
millisecond, which nobody could be late by; all that is near it would only blur what is told."""
_BEFORE_S, _AFTER_S = 0.02, 0.1
"""Around what it did: requests that were on their way, and what it leaves behind. Of a shadow that
scored for half a second every fifteen that was nothing: of those that were due in the second before
it began 0.9 % were slower than 99 % of all, 2.5 to 3.6 % while it worked, 0.3 to 1.4 % in each
quarter of a second after."""
_BLOCKS_S = (2.0, 5.0, 15.0)
_RESAMPLES = 500
_SHIFTS = 500


class Run(NamedTuple):
    """One turn.

    Attributes:
        due_s: when its requests were due, by `time.monotonic`.
        latency_s: how long each took.
        spans: when the process worked: `Ran.spans`.
    """

    due_s: Floats
    latency_s: Floats
    spans: Sequence[Span]


class Beside(NamedTuple):
    """All requests over those that were due while the process did nothing.

    Attributes:
        share: of the requests that were due while it worked, 0 to 1.
        p99_ms: of all.
        idle_p99_ms: of those that were due while it did nothing.
        ratio: of the two; infinite where it was never idle.
        low: 95 % interval of the ratio by resampling blocks of time, the widest of three lengths.
        high: its other end.
        elsewhere_low: where 95 % of the ratios are if the same spans lie elsewhere in their turn:
            what chance does.
        elsewhere_high: its other end.
    """

    share: float
    p99_ms: float
    idle_p99_ms: float
    ratio: float
    low: float
    high: float
    elsewhere_low: float
    elsewhere_high: float


@dataclass
class Ran:
    """When children of one process worked: used a core or waited for one, look after look, and
    used more than `_WORK_S` in all.

    Attributes:
        spans: from when to when, by `time.monotonic`.
        cpu_s: of all that were seen.
        n_started: of those that started since the watch began.
    """

    spans: list[Span] = field(default_factory=list)
    cpu_s: float = 0.0
    n_started: int = 0
    _known: dict[int, tuple[float, float]] = field(default_factory=dict)
    _began_s: float = field(default_factory=time.monotonic)
    _awake: tuple[float, float] | None = None

    def search(self, parent: int, word: bytes) -> None:
        """Find children with this word in their command.

        Those that started since the watch began count from their start, others from now.

        Args:
            parent: its process.
            word: of the command line.
        """
        for pid in _children(parent) - self._known.keys():
            try:
                if word not in Path(f"/proc/{pid}/cmdline").read_bytes():
                    continue
                started_s, times_s = _started_s(pid), _times_s(pid)
            except OSError:
                continue  # gone
            if started_s < self._began_s:
                self._known[pid] = times_s
            else:
                self._known[pid] = (0.0, 0.0)
                self.n_started += 1
                self.spans.append((started_s, time.monotonic()))

    def look(self, since_s: float) -> None:
        """What they did since then."""
        awake, used_s = False, 0.0
        for pid, known_s in list(self._known.items()):
            try:
                times_s = _times_s(pid)
            except OSError:
                awake, used_s = True, _WORK_S  # what it did last nobody knows
                del self._known[pid]
                continue
            self._known[pid] = times_s
            self.cpu_s += times_s[0] - known_s[0]
            used_s += times_s[0] - known_s[0]
            awake |= times_s != known_s
        if awake:
            start_s, before_s = self._awake or (since_s, 0.0)
            self._awake = (start_s, before_s + used_s)
        else:
            self.rest(since_s)

    def rest(self, since_s: float) -> None:
        """They do nothing since then: what they did before is work, or it is not."""
        if self._awake is not None and self._awake[1] >= _WORK_S:
            self.spans.append((self._awake[0], since_s))
        self._awake = None


@contextmanager
def watched(parent: int, word: bytes) -> Iterator[Ran]:
    """Note when children of a process work, until the block ends (Linux).

    Args:
        parent: its process.
        word: of the children's command line.

    Raises:
        OSError: there is no such process.
    """
    ran = Ran()

    def watch(ended: threading.Event) -> None:
        ran.search(parent, word)
        looks, before_s = 1, time.monotonic()
        while not ended.wait(_LOOK_S):
            now_s = time.monotonic()
            if looks % _LOOKS_PER_SEARCH == 0:
                ran.search(parent, word)
            ran.look(before_s)
            looks, before_s = looks + 1, now_s
        ran.rest(time.monotonic())

    with meanwhile(watch):
        yield ran


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Work in a thread until the block ends.

    Args:
        work: returns soon after the event that it is given is set.

    Raises:
        Exception: whatever ended the work, once the block has ended.
    """
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work, ended)
        try:
            yield
        finally:
            ended.set()
    done.result()


def beside(runs: Sequence[Run], *, weight: float = 1.0, seed: int = 0) -> Beside:
    """What the process cost those who were answered while it worked.

    Args:
        runs: at least one, none empty.
        weight: what a request counts that was due while it worked, above 0; below 1 where it was
            made to work more often than it does.
        seed: of the resampling and the shifting.
    """
    latency_s = np.concatenate([run.latency_s for run in runs])
    during = [_during(run.due_s, run.spans) for run in runs]
    order = np.argsort(latency_s)
    ranked_s, worked = latency_s[order], np.concatenate(during)[order]
    counts = np.where(worked, weight, 1.0)
    whole_s, idle_s = _two(ranked_s, worked, counts)
    rng = np.random.default_rng(seed)
    ends = []
    for block_s in _BLOCKS_S:
        block = _blocks(runs, block_s)[order]
        ratios = []
        for _ in range(_RESAMPLES):
            picked = rng.integers(0, block.max() + 1, block.max() + 1)
            times = np.bincount(picked, minlength=block.max() + 1)[block]
            ratios.append(_ratio(*_two(ranked_s, worked, counts * times)))
        ends.append(np.quantile(ratios, [0.025, 0.975], method="nearest"))
    ratios = []
    for _ in range(_SHIFTS):
        shifted = np.concatenate([np.roll(one, rng.integers(len(one))) for one in during])[order]
        ratios.append(_ratio(*_two(ranked_s, shifted, np.where(shifted, weight, 1.0))))
    elsewhere = np.quantile(ratios, [0.025, 0.975], method="nearest")
    return Beside(
        float(counts[worked].sum() / counts.sum()),
        1000 * whole_s,
        1000 * idle_s,
        _ratio(whole_s, idle_s),
        float(min(low for low, _ in ends)),
        float(max(high for _, high in ends)),
        *map(float, elsewhere),
    )


def _during(due_s: Floats, spans: Sequence[Span]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(due_s), dtype=np.bool_)
    for start, end in spans:
        found |= (due_s > start - _BEFORE_S) & (due_s < end + _AFTER_S)
    return found


def _blocks(runs: Sequence[Run], block_s: float) -> npt.NDArray[np.int64]:
    """The number of each request's block of so many seconds; no block is in two turns."""
    found: list[npt.NDArray[np.int64]] = []
    for run in runs:
        number = ((run.due_s - run.due_s.min()) // block_s).astype(np.int64)
        found.append(number + (found[-1].max() + 1 if found else 0))
    return np.concatenate(found)


def _two(ranked_s: Floats, worked: npt.NDArray[np.bool_], counts: Floats) -> tuple[float, float]:
    """The 99th percentiles of all and of those that were due while it did nothing, which is 0 where
    there are none; of latencies in order, each as often as its count says."""
    return _p99(ranked_s, counts), _p99(ranked_s, np.where(worked, 0.0, counts))


def _p99(ranked_s: Floats, counts: Floats) -> float:
    total = np.cumsum(counts)
    return float(ranked_s[np.searchsorted(total, 0.99 * total[-1])]) if total[-1] else 0.0


def _ratio(p99_s: float, idle_s: float) -> float:
    return p99_s / idle_s if idle_s else float("inf")


def _children(parent: int) -> set[int]:
    """Processes that any thread of a process has started and that are not waited for."""
    found: set[int] = set()
    for thread in Path(f"/proc/{parent}/task").iterdir():
        try:
            found |= {int(pid) for pid in (thread / "children").read_text().split()}
        except OSError:
            continue  # the thread ended
    return found


def parent_of(pid: int) -> int:
    """The process that started it."""
    return int(_stat(pid)[1])


def _started_s(pid: int) -> float:
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(_stat(pid)[19]) / sysconf("SC_CLK_TCK")
    return time.monotonic() - age_s


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def _times_s(pid: int) -> tuple[float, float]:
    """What all threads of a process used, and what its first waited for a core, seconds.

    The first is of the clock that clock_getcpuclockid(3) tells, which Python lacks.
    """
    waited = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]
    return time.clock_gettime(~pid << 3 | 2), int(waited) / 1e9
