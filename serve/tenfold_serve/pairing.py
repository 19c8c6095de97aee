"""Rows of a canary that the champion scores, too: where each puts them among its own scores.

The recorder's thread calls it, off the path of requests: a champion may take its time. A row
counts once, however often it is sent: the guard bets that rows come as they are, one by one, and a
probe or a loop of retries that sends one row again and again would have it weigh a single
disagreement as hundreds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import numpy.typing as npt

from tenfold.errors import TenfoldError
from tenfold.features.columnpath import Columns
from tenfold.monitor.arms import ArmTotals, Pairs
from tenfold.monitor.levels import MAX_LEVELS, ScoreLevels
from tenfold_serve.answers import Entry

if TYPE_CHECKING:
    from tenfold_serve.arms import Arm

__all__ = ["PAIRS_PER_S", "REMEMBERED_ROWS", "Pairing"]

log = logging.getLogger("tenfold.serve")

PAIRS_PER_S: Final = 32
"""Rows that the champion scores again in a second: 3 ms of CPU with the reference model."""

REMEMBERED_ROWS: Final = 65_536
"""Rows that are known again: half an hour of `PAIRS_PER_S`, 6 MB. Then the oldest is forgotten."""


class Pairing:
    """Compares the first rows of a canary's requests, some a second."""

    def __init__(self) -> None:
        self._levels: dict[int, ScoreLevels | None] = {}
        self._seen: dict[int, None] = {}  # hashes of rows, the oldest first
        self._seen_by = (0, 0)
        self._left = PAIRS_PER_S
        self._second = 0
        self._failed = False

    def take(self, total: ArmTotals, entries: Sequence[Entry]) -> int:
        """Compare a canary's answered requests; never raises.

        What cannot be compared, because the champion raises on it or reads other columns, is
        counted as skipped.

        Args:
            total: of the canary; its pairs grow.
            entries: its own, each with the champion beside it.

        Returns:
            How many were new, and compared or skipped.
        """
        chosen = self._chosen(entries)
        for champion in {id(e.beside): e.beside for e in chosen if e.beside is not None}.values():
            rows = [entry for entry in chosen if entry.beside is champion]
            try:
                self._pair(total.pairs, rows, champion)
            except Exception:  # whatever a model raises: its failures are counted elsewhere
                if not self._failed:
                    log.exception("%d rows of a canary were not compared; told once", len(rows))
                self._failed = True
                total.pairs.skipped += len(rows)
        return len(chosen)

    def _chosen(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those whose first row is new, as many as this second has left."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._left = second, PAIRS_PER_S
        chosen: list[Entry] = []
        for entry in entries:
            if not self._left:
                break
            if self._is_new(entry):
                chosen.append(entry)
                self._left -= 1
        return chosen

    def _is_new(self, entry: Entry) -> bool:
        versions = entry.arm.version, 0 if entry.beside is None else entry.beside.version
        if versions != self._seen_by:
            self._seen_by, self._seen = versions, {}
        row = hash(np.ascontiguousarray(entry.codes[:1]).tobytes())
        if row in self._seen:
            return False
        if len(self._seen) >= REMEMBERED_ROWS:
            del self._seen[next(iter(self._seen))]
        self._seen[row] = None
        return True

    def _pair(self, pairs: Pairs, entries: Sequence[Entry], champion: Arm) -> None:
        canary = cast("Arm", entries[0].arm)
        mine, its = self._of(canary), self._of(champion)
        if mine is not None and its is not None and its.compares_with(mine):
            _compare(pairs, entries, champion, mine=mine, its=its)

    def _of(self, arm: Arm) -> ScoreLevels | None:
        if arm.version not in self._levels:
            if len(self._levels) > MAX_LEVELS:
                self._levels.clear()
            self._levels[arm.version] = ScoreLevels.of(arm.reference)
        return self._levels[arm.version]


def _compare(
    pairs: Pairs,
    entries: Sequence[Entry],
    champion: Arm,
    *,
    mine: ScoreLevels,
    its: ScoreLevels,
) -> None:
    """First rows of requests, by both models."""
    names = [column.name for column in champion.schema.features]
    rows, scores, skipped = [], [], 0
    for entry in entries:
        row = entry.rows.first(names) if isinstance(entry.rows, Columns) else entry.rows[0]
        try:
            codes = champion.encoder.encode_rows([row])
        except TenfoldError:  # it reads other columns than the canary
            skipped += 1
            continue
        rows.append(codes)
        scores.append(entry.scores[:1])
    if not rows:
        pairs.skipped += skipped
        return
    ours = np.concatenate(scores)
    theirs = champion.predictor.score_codes(np.concatenate(rows))
    finite = np.isfinite(ours).all(axis=1) & np.isfinite(theirs).all(axis=1)
    ours, theirs = ours[finite], theirs[finite]
    own, by_its = mine.asked(ours), its.asked(ours)
    champions = its.asked(theirs)
    pairs.skipped += skipped
    pairs.rows += len(ours)
    pairs.own = _more(pairs.own, own)
    pairs.theirs_up = _more(pairs.theirs_up, by_its & ~champions)
    pairs.theirs_down = _more(pairs.theirs_down, champions & ~by_its)
    pairs.rank_up = _more(pairs.rank_up, own & ~champions)
    pairs.rank_down = _more(pairs.rank_down, champions & ~own)


def _more(counts: list[int], found: npt.NDArray[np.bool_]) -> list[int]:
    added = [*found.sum(axis=0).tolist(), *([0] * (MAX_LEVELS - found.shape[1]))]
    return [old + new for old, new in zip(counts, added, strict=True)]
