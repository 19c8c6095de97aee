"""What a replica counts by arm: off the request's path, from the recorder's blocks.

The request adds two readings of a clock and two fields of a tuple, 0.2 us of CPU, and counting
costs half a microsecond behind it; only failures, which are rare, are counted in the request. A
canary's rows are compared with the champion's answer for the same rows (`tenfold_serve.pairing`).
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tenfold.errors import RequestError
from tenfold.monitor.arms import LATENCY_EDGES_S, SLOW_EDGES_S, ArmTotals
from tenfold_serve.answers import Answers, Entry, LoggedArm
from tenfold_serve.lane import Crowded, Late
from tenfold_serve.pairing import Pairing

__all__ = ["LATE_S", "ROWS_LIKE_ONE", "ArmBook"]

log = logging.getLogger("tenfold.serve")

LATE_S: Final = 5.0
"""A model that takes longer has failed: so long may those behind it wait in HAProxy's queue."""

_MAX_FAILED: Final = 20_000
"""Failures that wait to be told, as many as answers may wait (`tenfold_serve.recorder`)."""

_COMPARED_AT_ONCE: Final = 4
"""Requests in a step: a tenth of a millisecond for each whose row is new."""
_LOOKED_AT_ONCE: Final = 256
"""Requests in a step where none is new, a microsecond each."""

_SLOW_EDGES: Final = np.array(SLOW_EDGES_S)

ROWS_LIKE_ONE: Final = 8
"""A request of n rows is allowed ``1 + n / 8`` times what one row is: reading and scoring a
thousand rows takes 100 to 200 times as long as one (`tenfold_serve.doors.scoring`)."""


class ArmBook:
    """Counts by arm since they were told last.

    Used by one thread at a time, see `tenfold_serve.recorder`. What failed is told when that is
    taken which was answered before it: told at once it would stand alone for a second, and against
    the few that were told with it look like many.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], ArmTotals] = {}
        self._failed: deque[tuple[int, tuple[str, int, str]]] = deque()  # since the last `tell`
        self._seen: Counter[tuple[str, int, str]] = Counter()  # for the log's lines only
        self._pairing = Pairing()

    def failed(
        self,
        arm: LoggedArm,
        error: Exception,
        seconds: float,
        *,
        refused: bool = False,
        at: int = 0,
    ) -> None:
        """Count a request that a model did not answer; not where it was quick and too many asked.

        Args:
            arm: the model.
            error: why.
            seconds: after which it failed.
            refused: whether a refusal of rows counts, because another model takes them.
            at: rows that were answered before it, which are told first.
        """
        if isinstance(error, Crowded) or (isinstance(error, RequestError) and not refused):
            return
        reason = _reason(error)
        key = arm.name, arm.version, reason
        if len(self._failed) < _MAX_FAILED:
            self._failed.append((at, key))
        self._seen[key] += 1
        count = self._seen[key]
        if count & (count - 1) == 0:  # 1, 2, 4, 8: told, and no flood of lines
            log.warning(
                "version %d (%s) failed %d requests (%s) by %s after %.3f s",
                arm.version, arm.name, count, reason, type(error).__name__, seconds,
            )  # fmt: skip

    def take(self, answers: Answers) -> None:
        """Count what one model answered."""
        _count(self._total(answers.arm.name, answers.arm.version), answers)

    def compare(self, entries: Sequence[Entry]) -> Iterator[None]:
        """Compare requests of one canary with the champion's answers to the same rows, step by
        step."""
        arm = entries[0].arm
        total = self._total(arm.name, arm.version)
        for start in range(0, len(entries), _COMPARED_AT_ONCE):
            n_compared = self._pairing.take(total, entries[start : start + _COMPARED_AT_ONCE])
            if n_compared or not start % _LOOKED_AT_ONCE:
                yield

    def tell(self, *, until: float = math.inf) -> list[dict[str, Any]]:
        """Totals by arm since the last call, `ArmTotals.to_dict` each.

        Args:
            until: how many answered rows were taken; what failed after them waits.
        """
        while self._failed and self._failed[0][0] <= until:
            _, (name, version, reason) = self._failed.popleft()
            total = self._total(name, version)
            total.requests += 1
            total.failures[reason] = total.failures.get(reason, 0) + 1
        told = [total.to_dict() for total in self._open.values()]
        self._open = {}
        return told

    def add(self, told: Sequence[Mapping[str, Any]]) -> None:
        """What another book told, or this one and it was never heard, is told with the next."""
        for each in told:
            total = ArmTotals.from_dict(each)
            self._total(total.arm, total.version).add(total)

    def _total(self, name: str, version: int) -> ArmTotals:
        return self._open.setdefault((name, version), ArmTotals(name, version))


def _reason(error: Exception) -> str:
    if isinstance(error, RequestError):
        return "refused"
    return "late" if isinstance(error, Late) else "error"


def _count(total: ArmTotals, answers: Answers) -> None:
    seconds = answers.seconds
    total.requests += len(seconds)
    total.latency_sum_s += float(seconds.sum())
    cells = np.bincount(
        np.searchsorted(LATENCY_EDGES_S, seconds), minlength=len(total.latency_cells)
    )
    total.latency_cells = _sum(total.latency_cells, cells)
    # Requests of one call were slow together: it is one observation, however many it answered.
    call_s, call_rows = seconds, answers.sizes
    if answers.calls:
        call_s, call_rows = call_s.copy(), call_rows.copy()
        for place, call in answers.calls:
            call_s[place], call_rows[place] = call
    late = call_s > LATE_S
    told = call_rows > 0
    of_one = call_s[told] / (1.0 + (call_rows[told] - 1.0) / ROWS_LIKE_ONE)
    total.calls += len(of_one)
    total.slow = _sum(total.slow, (of_one[:, None] > _SLOW_EDGES).sum(axis=0))
    odd = _odd(answers)
    for reason, found in (("not_finite", odd), ("late", late & ~odd)):
        if found.any():
            total.failures[reason] = total.failures.get(reason, 0) + int(found.sum())


def _odd(answers: Answers) -> npt.NDArray[np.bool_]:
    """Requests with a score that is no finite number, ``(n_requests,)``."""
    rows = ~np.isfinite(answers.scores).all(axis=1)
    if not rows.any():
        return np.zeros(len(answers.sizes), dtype=bool)
    return np.logical_or.reduceat(rows, np.cumsum(answers.sizes) - answers.sizes)


def _sum(counts: list[int], more: npt.NDArray[np.int64]) -> list[int]:
    return [old + new for old, new in zip(counts, more.tolist(), strict=True)]
