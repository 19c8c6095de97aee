"""What a replica counts by arm: off the request's path, from the entries of the recorder's ring.

The request adds two readings of a clock and two fields of a tuple, 0.2 us of CPU, and counting
costs half a microsecond behind it; only failures, which are rare, are counted in the request. A
canary's rows are compared with the champion's answer for the same rows: a few rows a second, in the
recorder's thread.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt

from tenfold.errors import RequestError, TenfoldError
from tenfold.features.columnpath import Columns
from tenfold.monitor.arms import LATENCY_EDGES_S, SLOW_EDGES_S, ArmTotals
from tenfold.monitor.levels import MAX_LEVELS, ScoreLevels
from tenfold_serve.prediction_log import Entry, LoggedArm

if TYPE_CHECKING:
    from tenfold_serve.arms import Arm

__all__ = ["LATE_S", "PAIRS_PER_S", "ArmBook"]

log = logging.getLogger("tenfold.serve")

LATE_S: Final = 5.0
"""A model that takes longer has failed: so long may those behind it wait in HAProxy's queue."""

PAIRS_PER_S: Final = 32
"""Rows that the champion scores again in a second: 3 ms of CPU with the reference model."""

_ROWS_LIKE_ONE: Final = 8
"""A request of n rows is allowed ``1 + n / 8`` times what one row is: reading and scoring a
thousand rows takes 100 to 200 times as long as one (`tenfold_serve.doors.scoring`)."""


class ArmBook:
    """Counts by arm since they were told last.

    `failed` is the event loop's, all else the recorder's thread's.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], ArmTotals] = {}
        self._levels: dict[int, ScoreLevels | None] = {}
        self._failed: Counter[tuple[str, int, str]] = Counter()  # only grows
        self._told: Counter[tuple[str, int, str]] = Counter()
        self._pairs_left = PAIRS_PER_S
        self._second = 0

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
        """Count answered requests; entries of one arm are counted together."""
        by_arm: dict[tuple[str, int], list[Entry]] = {}
        for entry in entries:
            by_arm.setdefault((entry.arm.name, entry.arm.version), []).append(entry)
        for (name, version), found in by_arm.items():
            total = self._total(name, version)
            _count(total, found)
            if found[0].beside is not None:
                self._pair(total, found)

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

    def _pair(self, total: ArmTotals, entries: Sequence[Entry]) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._pairs_left = second, PAIRS_PER_S
        chosen = entries[: self._pairs_left]
        self._pairs_left -= len(chosen)
        for champion in {id(e.beside): e.beside for e in chosen if e.beside is not None}.values():
            canary = cast("Arm", chosen[0].arm)
            levels = self._of(canary), self._of(champion)
            if levels[0] is None or levels[1] is None or not levels[1].compares_with(levels[0]):
                continue
            rows = [e for e in chosen if e.beside is champion]
            _compare(total, rows, champion, mine=levels[0], its=levels[1])

    def _of(self, arm: Arm) -> ScoreLevels | None:
        if arm.version not in self._levels:
            if len(self._levels) > MAX_LEVELS:
                self._levels.clear()
            self._levels[arm.version] = ScoreLevels.of(arm.reference)
        return self._levels[arm.version]


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


def _compare(
    total: ArmTotals,
    entries: Sequence[Entry],
    champion: Arm,
    *,
    mine: ScoreLevels,
    its: ScoreLevels,
) -> None:
    """First rows of requests, by both models."""
    names = [column.name for column in champion.schema.features]
    rows, scores = [], []
    for entry in entries:
        row = entry.rows.first(names) if isinstance(entry.rows, Columns) else entry.rows[0]
        try:
            codes = champion.encoder.encode_rows([row])
        except TenfoldError:  # it reads other columns than the canary
            continue
        rows.append(codes)
        scores.append(entry.scores[:1])
    if not rows:
        return
    ours = np.concatenate(scores)
    theirs = champion.predictor.score_codes(np.concatenate(rows))
    finite = np.isfinite(ours).all(axis=1) & np.isfinite(theirs).all(axis=1)
    ours, theirs = ours[finite], theirs[finite]
    own, by_its = mine.asked(ours), its.asked(ours)
    champions = its.asked(theirs)
    pairs = total.pairs
    pairs.rows += len(ours)
    pairs.own = _more(pairs.own, own)
    pairs.theirs_up = _more(pairs.theirs_up, by_its & ~champions)
    pairs.theirs_down = _more(pairs.theirs_down, champions & ~by_its)
    pairs.rank_up = _more(pairs.rank_up, own & ~champions)
    pairs.rank_down = _more(pairs.rank_down, champions & ~own)


def _sum(counts: list[int], more: npt.NDArray[np.int64]) -> list[int]:
    return [old + new for old, new in zip(counts, more.tolist(), strict=True)]


def _more(counts: list[int], found: npt.NDArray[np.bool_]) -> list[int]:
    added = [*found.sum(axis=0).tolist(), *([0] * (MAX_LEVELS - found.shape[1]))]
    return [old + new for old, new in zip(counts, added, strict=True)]
