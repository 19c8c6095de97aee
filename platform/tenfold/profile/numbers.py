"""The summary of one column of numbers: exact while it can be, then a grid with a stated error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tenfold.profile.distinct import (
    estimate_distinct,
    fewest_distinct,
    hash_numbers,
    smallest_hashes,
)
from tenfold.profile.grid import (
    Floats,
    Ints,
    combine_weighted,
    fitting_level,
    grid_counts,
    group_sorted,
    relative_error,
    snap,
    weighted_unique,
)

__all__ = ["MAX_EXACT", "SUMMARY_CELLS", "Moments", "NumberProfile"]

MAX_EXACT = 2**20
"""Most distinct values that are kept as they are (16 MB a column)."""

SUMMARY_CELLS = 2**16
"""Most cells beyond `MAX_EXACT`: 1 MB a column, and for usual spreads a relative error < 1e-3."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and sum of squared deviations, mergeable.

    Source: T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances" (1979), equation 2.1.
    """

    n: int
    mean: float
    m2: float

    @classmethod
    def of(cls, values: Floats) -> Moments:
        """The moments of some finite values, shape (n,).

        >>> Moments.of(np.array([1.0, 3.0]))
        Moments(n=2, mean=2.0, m2=2.0)
        """
        if not len(values):
            return cls(0, math.nan, math.nan)
        with np.errstate(over="ignore"):  # near 1e308 the square is honestly infinite
            mean = float(np.sum(values / len(values)))
            apart = values - mean
            return cls(len(values), mean, float(np.sum(np.multiply(apart, apart, out=apart))))

    def merge(self, other: Moments) -> Moments:
        """The moments of both.

        >>> Moments(1, 1.0, 0.0).merge(Moments(1, 3.0, 0.0))
        Moments(n=2, mean=2.0, m2=2.0)
        """
        if self.n == 0 or other.n == 0:
            return other if self.n == 0 else self
        n = self.n + other.n
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.n / n)
        return Moments(n, mean, self.m2 + other.m2 + delta * delta * (self.n * other.n / n))


@dataclass(frozen=True, eq=False)
class NumberProfile:
    """One column of numbers. A value: merging returns a new one.

    Up to `MAX_EXACT` distinct values everything here is exact and depends on the rows alone, not
    on their order or their blocks. Beyond that `values` are the middles of at most
    `SUMMARY_CELLS` cells, still the same for every order; the moments are then merged from those
    of the parts.

    Attributes:
        count: rows with a finite value.
        nulls: rows without one (null, NaN or an infinity).
        minimum: smallest value; NaN if there is none.
        maximum: largest value; NaN if there is none.
        values: sorted distinct values or middles of cells, shape (n_cells,).
        counts: rows of each, shape (n_cells,).
        level: lowest bits forgotten by the cells; 0 is exact.
        moments: kept only beyond `MAX_EXACT`; None means: derived from values and counts.
        hashes: smallest hashes of the distinct values, kept only beyond `MAX_EXACT`.
    """

    count: int
    nulls: int
    minimum: float
    maximum: float
    values: Floats
    counts: Ints
    level: int = 0
    moments: Moments | None = None
    hashes: npt.NDArray[np.uint64] | None = None

    @classmethod
    def from_values(cls, values: Floats) -> NumberProfile:
        """Summarize a column.

        Args:
            values: shape (n_rows,); what is not finite counts as null.

        >>> age = NumberProfile.from_values(np.array([30.0, 50.0, 30.0, float("nan")]))
        >>> age.count, age.nulls, age.mean, age.quantile(0.5)
        (3, 1, 36.666666666666664, 30.0)
        """
        finite = values[np.isfinite(values)]
        if len(finite) > MAX_EXACT:
            found = cls._on_grid(finite + 0.0, nulls=len(values) - len(finite))
            if found is not None:
                return found
        unique, counts = weighted_unique(finite)
        lowest, highest = (unique[0], unique[-1]) if len(unique) else (math.nan, math.nan)
        exact = cls(
            count=len(finite),
            nulls=len(values) - len(finite),
            minimum=float(lowest),
            maximum=float(highest),
            values=unique,
            counts=counts,
        )
        return cls.merge_all([exact])

    @classmethod
    def _on_grid(cls, finite: Floats, *, nulls: int) -> NumberProfile | None:
        """The summary of values most of which differ, without a sort; None for others."""
        hashes = hash_numbers(finite)
        if fewest_distinct(hashes) <= MAX_EXACT:
            return None
        found = grid_counts(finite, cap=SUMMARY_CELLS)
        if found is None:
            return None
        values, counts, level = found
        return cls(
            count=len(finite),
            nulls=nulls,
            minimum=float(finite.min()),
            maximum=float(finite.max()),
            values=values,
            counts=counts,
            level=level,
            moments=Moments.of(finite),
            hashes=smallest_hashes([hashes]),
        )

    @classmethod
    def merge_all(cls, parts: Sequence[NumberProfile]) -> NumberProfile:
        """The summary of all parts' rows, shape-free: one sort however many parts there are.

        Args:
            parts: at least one; their order matters only for the last bits of the moments, and
                only beyond `MAX_EXACT`.
        """
        filled = [part for part in parts if part.count]
        # Parts of different levels first meet on the coarsest; cells are nested, order survives.
        floor = max((part.level for part in filled), default=0)
        values, counts = combine_weighted([p._on_level(floor) for p in filled or parts])
        merged = cls(
            count=sum(part.count for part in parts),
            nulls=sum(part.nulls for part in parts),
            minimum=min((p.minimum for p in filled), default=math.nan),
            maximum=max((p.maximum for p in filled), default=math.nan),
            values=values,
            counts=counts,
        )
        if all(p.moments is None for p in filled) and len(values) <= MAX_EXACT:
            return merged
        return merged._compressed(filled, floor=floor)

    def merge(self, other: NumberProfile) -> NumberProfile:
        """The summary of the rows of both."""
        return self.merge_all([self, other])

    def _on_level(self, level: int) -> tuple[Floats, Ints]:
        """Values and counts on a grid that is no finer than the own one. To do this before parts
        are merged halves the merge: a block of a large table has a third of its values left."""
        if level == self.level or not self.count:
            return self.values, self.counts
        return _regroup(snap(self.values, level=level), self.counts)

    def _compressed(self, parts: Sequence[NumberProfile], *, floor: int) -> NumberProfile:
        level = fitting_level(self.values, floor=floor, cap=SUMMARY_CELLS)
        values, counts = _regroup(snap(self.values, level=level), self.counts)
        moments = Moments(0, 0.0, 0.0)
        for part in parts:
            moments = moments.merge(part._moments)
        hashes = [hash_numbers(p.values) if p.hashes is None else p.hashes for p in parts]
        return NumberProfile(
            count=self.count,
            nulls=self.nulls,
            minimum=self.minimum,
            maximum=self.maximum,
            values=values,
            counts=counts,
            level=level,
            moments=moments,
            hashes=smallest_hashes(hashes),
        )

    @property
    def is_exact(self) -> bool:
        """Whether `values` are the column's own values."""
        return self.moments is None

    @property
    def quantile_error(self) -> float:
        """Largest error of a quantile, relative to the larger of the two values that it lies
        between (a median between -5 and 5 is off by a share of 5): 0 while exact."""
        return relative_error(self.level)

    @cached_property
    def _moments(self) -> Moments:
        if self.moments is not None:
            return self.moments
        if not self.count:
            return Moments(0, math.nan, math.nan)
        with np.errstate(over="ignore"):  # near 1e308 the square is honestly infinite
            mean = float(np.sum(self.values * (self.counts / self.count)))
            deviations = self.values - mean
            m2 = float(np.sum(deviations * deviations * self.counts))
        return Moments(self.count, min(max(mean, self.minimum), self.maximum), m2)

    @property
    def mean(self) -> float:
        """Arithmetic mean; NaN without values."""
        return self._moments.mean

    @property
    def variance(self) -> float:
        """Population variance (divided by the count, as scalers do); NaN without values."""
        return self._moments.m2 / self.count if self.count else math.nan

    @property
    def std(self) -> float:
        """Population standard deviation."""
        return math.sqrt(self.variance) if self.count else math.nan

    @cached_property
    def skewness(self) -> float:
        """Third standardized moment, from the cells; 0 for a column without spread."""
        spread = self.std
        if not self.count or not spread > 0.0 or not math.isfinite(spread):
            return 0.0
        scaled = (self.values - self.mean) / spread
        return float(np.sum(scaled**3 * self.counts) / self.count)

    @property
    def n_distinct(self) -> int:
        """Distinct values: exact while the column is, else within about 5 %."""
        return len(self.values) if self.hashes is None else estimate_distinct(self.hashes)

    @cached_property
    def _ends(self) -> Ints:
        return np.cumsum(self.counts)

    def quantiles(self, probabilities: npt.ArrayLike) -> Floats:
        """Quantiles with linear interpolation, as `numpy.quantile` gives for the full column.

        Args:
            probabilities: each in [0, 1].

        Returns:
            float64 of the same shape, within `quantile_error` of the true quantiles; NaN without
            values.
        """
        wanted = np.asarray(probabilities, dtype=np.float64)
        if not self.count:
            return np.full(wanted.shape, math.nan)
        position = wanted * (self.count - 1)
        below = np.floor(position)
        above = np.minimum(below + 1, self.count - 1)
        low = self.values[np.searchsorted(self._ends, below, side="right")]
        high = self.values[np.searchsorted(self._ends, above, side="right")]
        part = position - below
        # numpy's own two-sided form, for its bits
        span = high - low
        between = np.where(part < 0.5, low + span * part, high - span * (1.0 - part))
        return np.asarray(np.clip(between, self.minimum, self.maximum))

    def quantile(self, q: float) -> float:
        """One quantile; see `quantiles`.

        >>> NumberProfile.from_values(np.array([1.0, 2.0, 3.0, 4.0])).quantile(0.5)
        2.5
        """
        return float(self.quantiles(q))

    def top(self, n: int) -> list[tuple[float, int]] | None:
        """The most frequent values with their rows; ties by value. None beyond `MAX_EXACT`, where
        cells are counted and no values.

        Args:
            n: at most so many, 1 or more.

        >>> NumberProfile.from_values(np.array([999.0, 2.0, 0.0, 999.0])).top(2)
        [(999.0, 2), (0.0, 1)]
        """
        if not self.is_exact:
            return None
        n = min(n, len(self.counts))
        if not n:
            return []
        least = np.partition(self.counts, -n)[-n]  # all are sorted only if few stand out
        above = np.flatnonzero(self.counts > least)
        level = np.flatnonzero(self.counts == least)[: n - len(above)]
        kept = [*above[np.argsort(-self.counts[above], kind="stable")], *level]
        return [(float(self.values[i]), int(self.counts[i])) for i in kept]

    def frequencies(self, values: Sequence[float]) -> list[float] | None:
        """The share of each value among the rows with one; 0 where unseen. None beyond `MAX_EXACT`.

        >>> NumberProfile.from_values(np.array([1.0, 2.0, 2.0, 2.0])).frequencies([2.0, 7.0])
        [0.75, 0.0]
        """
        if not self.is_exact:
            return None
        wanted = np.asarray(values, dtype=np.float64)
        places = np.searchsorted(self.values, wanted)
        seen = np.append(self.values, math.nan)[places] == wanted
        rows = np.where(seen, np.append(self.counts, 0)[places], 0)
        return [float(share) for share in rows / max(1, self.count)]

    def histogram(self, edges: Floats) -> Ints:
        """Rows per bin, as `numpy.histogram` counts: the last bin is closed on both sides.

        Args:
            edges: increasing, shape (n_bins + 1,).

        >>> NumberProfile.from_values(np.array([0.0, 1.0, 2.0])).histogram(np.array([0.0, 1, 2]))
        array([1, 2])
        """
        counts, _ = np.histogram(self.values, bins=edges, weights=self.counts)
        return counts.astype(np.int64)


def _regroup(values: Floats, counts: Ints) -> tuple[Floats, Ints]:
    """Add up equal neighbors of a sorted array."""
    unique, begins = group_sorted(values)
    return unique, np.add.reduceat(counts, begins)
