"""What a replica counts by arm: off the request's path, from the entries of the recorder's ring.

The request adds two readings of a clock and two fields of a tuple, 0.2 us of CPU, and counting
costs half a microsecond behind it; only failures, which are rare, are counted in the request. A
canary's rows are compared with the champion's answer for the same rows (`tenfold_serve.pairing`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tenfold.errors import RequestError
from tenfold.monitor.arms import LATENCY_EDGES_S, SLOW_EDGES_S, ArmTotals
from tenfold_serve.pairing import Pairing
from tenfold_serve.prediction_log import Entry, LoggedArm

__all__ = ["LATE_S", "ArmBook"]

log = logging.getLogger("tenfold.serve")

LATE_S: Final = 5.0
"""A model that takes longer has failed: so long may those behind it wait in HAProxy's queue."""

_ROWS_LIKE_ONE: Final = 8
"""A request of n rows is allowed ``1 + n / 8`` times what one row is: reading and scoring a
thousand rows takes 100 to 200 times as long as one (`tenfold_serve.doors.scoring`)."""


class ArmBook:
    """Counts by arm since they were told last.

    `failed` is the event loop's, all else the recorder's thread's.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], ArmTotals] = {}
        self._failed: Counter[tuple[str, int, str]] = Counter()  # only grows
        self._told: Counter[tuple[str, int, str]] = Counter()
        self._pairing = Pairing()

    def failed(
        self, arm: LoggedArm, error: Exception, seconds: float, *, refused: bool = False
    ) -> None:
        """Count a request that a model did not answer.

        Args:
            arm: the model.
            error: why.
            seconds: after which it failed.
            refused: whether a refusal of rows counts, because another model takes them.
        """
        if isinstance(error, RequestError) and not refused:
            return
        reason = "refused" if isinstance(error, RequestError) else "error"
        key = arm.name, arm.version, reason
        self._failed[key] += 1
        count = self._failed[key]
        if count & (count - 1) == 0:  # 1, 2, 4, 8: told, and no flood of lines
            log.warning(
                "version %d (%s) failed %d requests (%s) by %s after %.3f s",
                arm.version, arm.name, count, reason, type(error).__name__, seconds,
            )  # fmt: skip

    def take(self, entries: Sequence[Entry]) -> None:
        """Count answered requests; entries of one arm are counted together, all before any is
        compared: a model that raises while it is asked again costs no counts."""
        by_arm: dict[tuple[str, int], list[Entry]] = {}
        for entry in entries:
            by_arm.setdefault((entry.arm.name, entry.arm.version), []).append(entry)
        for (name, version), found in by_arm.items():
            _count(self._total(name, version), found)
        for (name, version), found in by_arm.items():
            if found[0].beside is not None:
                self._pairing.take(self._total(name, version), found)

    def tell(self) -> list[dict[str, Any]]:
        """Totals by arm since the last call, `ArmTotals.to_dict` each."""
        failed = Counter(dict(self._failed))  # copying a dict is one step for the other thread
        for (name, version, reason), count in (failed - self._told).items():
            total = self._total(name, version)
            total.requests += count
            total.failures[reason] = total.failures.get(reason, 0) + count
        self._told = failed
        told = [total.to_dict() for total in self._open.values()]
        self._open = {}
        return told

    def take_back(self, told: Sequence[Mapping[str, Any]]) -> None:
        """What was told and will never be heard is told again."""
        for each in told:
            total = ArmTotals.from_dict(each)
            self._total(total.arm, total.version).add(total)

    def _total(self, name: str, version: int) -> ArmTotals:
        return self._open.setdefault((name, version), ArmTotals(name, version))


def _count(total: ArmTotals, entries: Sequence[Entry]) -> None:
    seconds = np.array([entry.seconds for entry in entries])
    sizes = np.array([len(entry.ids) for entry in entries])
    total.requests += len(entries)
    total.latency_sum_s += float(seconds.sum())
    cells = np.bincount(
        np.searchsorted(LATENCY_EDGES_S, seconds), minlength=len(total.latency_cells)
    )
    total.latency_cells = _sum(total.latency_cells, cells)
    of_one = seconds / (1.0 + (sizes - 1) / _ROWS_LIKE_ONE)
    slow = (of_one[:, None] > np.array(SLOW_EDGES_S)).sum(axis=0)
    total.slow = _sum(total.slow, slow)
    late = seconds > LATE_S
    odd = np.zeros(len(entries), dtype=bool)
    if not np.isfinite(np.concatenate([entry.scores for entry in entries])).all():
        odd = np.array([not np.isfinite(entry.scores).all() for entry in entries])
    for reason, found in (("not_finite", odd), ("late", late & ~odd)):
        if found.any():
            total.failures[reason] = total.failures.get(reason, 0) + int(found.sum())


def _sum(counts: list[int], more: npt.NDArray[np.int64]) -> list[int]:
    return [old + new for old, new in zip(counts, more.tolist(), strict=True)]
