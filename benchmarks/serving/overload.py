"""Ten times more requests than can be answered, for a minute; the client's journal says what came.

Fifty rows a request, so that one core can offer ten times what the other answers; and less than
HAProxy's buffer of 16 kB: of a longer body it answers 429 to the first part and hangs up.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import NamedTuple

import numpy as np
import orjson

from _form import Form
from serving.paced import Seen, at, run
from serving.reference import N_NUMBERS, rows_of

__all__ = ["measure_overload"]

_ROWS = 50
_BUFFER_BYTES = 16_000
_CALM_S = 5.0
_STEP_S = 0.5
_NORMAL = 3.0
"""Times the 90th percentile before, and 5 ms: what is normal again."""
_MORE_MS = 5.0
_PATIENCE_S = 30.0
_TURNS = 3


class _Turn(NamedTuple):
    """What one of the minutes showed; shares are of ``capacity``, requests a second before it."""

    capacity: float
    offered: float
    goodput: float
    refused: int
    failed: int
    refused_p50_ms: float
    refused_p95_ms: float
    refused_p99_ms: float
    normal_after_s: float
    late_ms: float


def measure_overload(form: Form, url: str, *, seconds: float = 60.0, times: float = 10.0) -> None:
    """Measure what it can, offer so many times as much, and wait until all is well; three times,
    since what it can is measured for seconds and moves by a tenth from minute to minute.

    Args:
        form: takes the numbers, each the median of the turns.
        url: of the endpoint.
        seconds: how long it has too much.
        times: how much too much.
    """
    numbers = np.random.default_rng(5).normal(size=(_ROWS, N_NUMBERS)).round(3)
    body = orjson.dumps({"rows": rows_of(numbers)})
    assert len(body) < _BUFFER_BYTES, len(body)
    turns = [_turn(url, body, seconds=seconds, times=times) for _ in range(_TURNS)]
    for name in _Turn._fields:
        form.add(f"overload.{name}", statistics.median(getattr(turn, name) for turn in turns))
    form.add("overload.goodput_min", min(turn.goodput for turn in turns))
    form.table(
        f"{times:g} times what it can, for {seconds:g} s",
        ["can, requests/s", "offered", "goodput", "refused", "failed", "refused after ms, p50",
         "p95", "p99", "normal after s"],
        [[f"{turn.capacity:,.0f}", f"{turn.offered:.1f}", f"{turn.goodput:.0%}", turn.refused,
          turn.failed, *(f"{one:.1f}" for one in turn[5:9])] for turn in turns],
    )  # fmt: skip


def _turn(url: str, body: bytes, *, seconds: float, times: float) -> _Turn:
    run(url, body, rate=100, seconds=1, n_lines=16)
    most, _ = run(url, body, rate=5000, seconds=_CALM_S, n_lines=16, patience_s=0)
    capacity = sum(one.status == 200 for one in most) / _CALM_S
    before, _ = run(url, body, rate=capacity / 4, seconds=_CALM_S, n_lines=16)
    journal, late_s = run(url, body, rate=times * capacity, seconds=seconds, n_lines=700)
    first, last = (pick(one.due_s for one in journal) for pick in (min, max))
    normal_s = _until_normal(url, body, capacity / 4, _p90_ms(before), since_s=last)
    statuses = Counter(one.status for one in journal)
    refused = [one.sent_s for one in journal if one.status == 429]
    assert refused, "nobody was refused: it can more than it was offered"
    sent_s = [one.due_s + one.latency_s - one.sent_s for one in journal if one.sent_s]
    return _Turn(
        capacity=capacity,
        offered=sum(at_s <= first + seconds for at_s in sent_s) / seconds / capacity,
        goodput=statuses[200] / seconds / capacity,
        refused=statuses[429],
        failed=len(journal) - statuses[200] - statuses[429],
        refused_p50_ms=at(refused, 0.5) or 0.0,
        refused_p95_ms=at(refused, 0.95) or 0.0,
        refused_p99_ms=at(refused, 0.99) or 0.0,
        normal_after_s=normal_s,
        late_ms=1000 * late_s,
    )


def _until_normal(url: str, body: bytes, rate: float, before_ms: float, *, since_s: float) -> float:
    """Seconds since then until all are answered about as quickly as before; infinite if that never
    is. The last of those that were too many are waited for meanwhile."""
    while (waited := time.monotonic() - since_s) < _PATIENCE_S:
        after, _ = run(url, body, rate=rate, seconds=_STEP_S, n_lines=16)
        answered = {one.status for one in after} == {200}
        if answered and _p90_ms(after) < _NORMAL * before_ms + _MORE_MS:
            return waited
    return float("inf")


def _p90_ms(journal: list[Seen]) -> float:
    return at([one.latency_s for one in journal], 0.9) or 0.0
