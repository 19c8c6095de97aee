"""Two profiles of one schema side by side: are the sealed test rows like the training rows?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tenfold.profile.categories import CategoryProfile
from tenfold.profile.finding import Finding, Law, Level
from tenfold.profile.numbers import NumberProfile
from tenfold.profile.profile import Profile

__all__ = ["Distance", "distances", "kolmogorov_smirnov", "shift_findings", "total_variation"]

KS_CRITICAL = 1.95
"""Kolmogorov's quantile for a false alarm in a thousand columns."""
SHIFT_EXCESS = 0.05
"""Distance above chance from which a model can be hurt; smaller shifts are only shown."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far apart two profiles are in one column.

    Attributes:
        column: its name.
        measure: ``ks`` (numbers: largest gap of the distribution functions) or ``tv``
            (categories: share of rows that would have to change), missing rows included.
        value: 0 to 1.
        chance: what equal populations of these sizes would reach by chance.
    """

    column: str
    measure: str
    value: float
    chance: float


def distances(left: Profile, right: Profile) -> list[Distance]:
    """The distance in each column that both cover, the largest first.

    >>> import pyarrow as pa
    >>> from tenfold.schema import Column, Kind, Schema
    >>> schema = Schema((Column("x", Kind.NUMBER),))
    >>> low, high = (Profile.from_table(pa.table({"x": v}), schema)
    ...              for v in ([1.0, 2.0], [2.0, 3.0]))
    >>> distances(low, high)[0].value
    0.5
    """
    found = []
    for name, ours in left.numbers.items():
        theirs = right.numbers[name]
        value = kolmogorov_smirnov(ours, theirs)
        found.append(Distance(name, "ks", value, _chance(KS_CRITICAL, left, right)))
    for name, our in left.categories.items():
        their = right.categories[name]
        n_categories = len(our.counts.keys() | their.counts.keys()) + 1
        chance = _chance(0.5 * math.sqrt(n_categories), left, right)
        found.append(Distance(name, "tv", total_variation(our, their), chance))
    return sorted(found, key=lambda d: -d.value)


def kolmogorov_smirnov(left: NumberProfile, right: NumberProfile) -> float:
    """Largest gap of the two distribution functions; the share of missing rows is one more gap."""
    if not (left.count + left.nulls and right.count + right.nulls):
        return 0.0
    gap = abs(_missing(left) - _missing(right))
    if not (left.count and right.count):
        return gap
    points = np.union1d(left.values, right.values)
    difference = _below(left, points) - _below(right, points)
    return max(gap, float(np.abs(difference).max()))


def _missing(part: NumberProfile | CategoryProfile) -> float:
    return part.nulls / max(1, part.count + part.nulls)


def _below(number: NumberProfile, points: np.ndarray) -> np.ndarray:
    ends = np.append(0, np.cumsum(number.counts)) / number.count
    return np.asarray(ends[np.searchsorted(number.values, points, side="right")])


def total_variation(left: CategoryProfile, right: CategoryProfile) -> float:
    """Half the sum of the differences of all shares, missing rows as a category of their own."""
    rows_left, rows_right = left.count + left.nulls, right.count + right.nulls
    if not (rows_left and rows_right):
        return 0.0
    names = left.counts.keys() | right.counts.keys()
    total = abs(left.nulls / rows_left - right.nulls / rows_right)
    total += abs(left.other / rows_left - right.other / rows_right)
    total += math.fsum(
        abs(left.counts.get(name, 0) / rows_left - right.counts.get(name, 0) / rows_right)
        for name in names
    )
    return min(1.0, total / 2.0)


def shift_findings(train: Profile, test: Profile) -> list[Finding]:
    """A finding for each column in which the test rows are unlike the training rows."""
    return [
        Finding(
            Level.WARNING,
            d.column,
            Law.SHIFT,
            f"column {d.column!r} differs between training and test rows ({d.measure} "
            f"{d.value:.3f}, by chance up to {d.chance:.3f}): scores on the test rows speak for "
            "their time or group only",
        )
        for d in distances(train, test)
        if d.value - d.chance > SHIFT_EXCESS
    ]


def _chance(factor: float, left: Profile, right: Profile) -> float:
    return min(1.0, factor * math.sqrt(1 / max(1, left.n_rows) + 1 / max(1, right.n_rows)))
