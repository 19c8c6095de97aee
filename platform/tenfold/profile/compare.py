"""Two profiles of one schema side by side: are the sealed test rows like the training rows?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.profile.categories import CategoryProfile
from tenfold.profile.finding import Finding, Law, Level
from tenfold.profile.numbers import NumberProfile
from tenfold.profile.profile import Profile

__all__ = [
    "Distance",
    "Joint",
    "distances",
    "joint_distance",
    "kolmogorov_smirnov",
    "shift_findings",
    "total_variation",
]

FAMILY_ALPHA = 0.001
"""Chance that two halves of one population are told apart by any of the tests here: half of it for
all columns together (Bonferroni, which holds however the columns hang together), half for the
joint test."""
SHIFT_EFFECT = 0.05
"""Distance from which a model can be hurt; smaller shifts are only shown, however sure."""
JOINT_AUC = 0.6
"""Area under the ROC curve from which the joint shift can hurt; 0.5 is alike."""
ROWS_A_COLUMN = 10
"""Test rows for each column of the joint test; the F distribution is no good with fewer."""
MIN_EXPECTED = 5.0
"""Rarer categories are one, as the chi-square distribution demands."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far apart two profiles are in one column.

    Attributes:
        column: its name.
        measure: ``ks`` (numbers: largest gap of the distribution functions) or ``tv``
            (categories: share of rows that would have to change), missing rows included.
        value: 0 to 1.
        chance: what equal populations of these sizes would reach by chance.
        p: probability of such a distance by chance, in this column alone: the smaller one of the
            values' (Kolmogorov-Smirnov or chi-square) and of the missing rows', times two.
    """

    column: str
    measure: str
    value: float
    chance: float
    p: float


@dataclass(frozen=True, slots=True)
class Joint:
    """How far apart two profiles are in all numbers together.

    Source: H. Hotelling, "The generalization of Student's ratio" (1931): T squared of two samples.

    Attributes:
        n_columns: columns that went in: complete, varying, none a sum of others.
        auc: area under the ROC curve of the best linear rule, for normal data: 0.5 is alike.
        p: probability of such a difference of the means by chance.
    """

    n_columns: int
    auc: float
    p: float


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
    n_columns = max(1, len(left.numbers) + len(left.categories))
    critical = math.sqrt(math.log(8.0 * n_columns / FAMILY_ALPHA) / 2.0)
    for name, ours in left.numbers.items():
        theirs = right.numbers[name]
        value = kolmogorov_smirnov(ours, theirs)
        p = min(1.0, 2.0 * min(_ks_p(ours, theirs), _missing_p(ours, theirs)))
        found.append(Distance(name, "ks", value, _chance(critical, left, right), p))
    for name, our in left.categories.items():
        their = right.categories[name]
        n_categories = len(our.counts.keys() | their.counts.keys()) + 1
        chance = _chance(0.5 * math.sqrt(n_categories), left, right)
        p = min(1.0, 2.0 * min(_chi_square_p(our, their), _missing_p(our, their)))
        found.append(Distance(name, "tv", total_variation(our, their), chance, p))
    return sorted(found, key=lambda d: -d.value)


def joint_distance(left: Profile, right: Profile) -> Joint | None:
    """All numbers together; None where there are too few rows or columns to judge.

    Columns that are missing somewhere are left out: the means of a pair must be of the same rows.
    """
    ours, theirs = left.comoments, right.comoments
    full = (np.diag(ours.n) == left.n_rows) & (np.diag(theirs.n) == right.n_rows)
    with np.errstate(over="ignore", invalid="ignore"):
        within = ours.c2 + theirs.c2
        scale = np.sqrt(np.diag(within))
        mean = np.maximum(np.abs(np.diag(ours.mean)), np.abs(np.diag(theirs.mean)))
        rows = left.n_rows + right.n_rows
        varies = np.isfinite(scale) & (scale > 1e-12 * mean * math.sqrt(max(1, rows)))
    kept = np.flatnonzero(full & varies)
    kept = kept[: min(left.n_rows, right.n_rows) // ROWS_A_COLUMN]
    if len(kept) < 2:
        return None
    r = within[np.ix_(kept, kept)] / np.outer(scale[kept], scale[kept])
    apart = (np.diag(theirs.mean) - np.diag(ours.mean))[kept] / scale[kept]
    values, vectors = np.linalg.eigh(r)
    real = values > 1e-9 * len(kept)  # a column that is a sum of others adds nothing
    n_real = int(real.sum())
    squared = float(np.sum((vectors[:, real].T @ apart) ** 2 / values[real])) * (rows - 2)
    f = squared * left.n_rows * right.n_rows / rows * (rows - n_real - 1) / ((rows - 2) * n_real)
    auc = NormalDist().cdf(math.sqrt(squared / 2.0))
    return Joint(n_real, auc, float(_special().fdtrc(n_real, rows - n_real - 1, f)))


def _special() -> Any:
    import scipy.special

    return scipy.special


def _ks_p(left: NumberProfile, right: NumberProfile) -> float:
    """Of the values that are there; on the safe side where values repeat."""
    if not (left.count and right.count):
        return 1.0
    size = math.sqrt(left.count * right.count / (left.count + right.count))
    return float(_special().kolmogorov(size * _largest_gap(left, right)))


def _missing_p(left: NumberProfile | CategoryProfile, right: NumberProfile | CategoryProfile
               ) -> float:  # fmt: skip
    return _table_p(np.array([[left.count, left.nulls], [right.count, right.nulls]]))


def _chi_square_p(left: CategoryProfile, right: CategoryProfile) -> float:
    names = sorted(left.counts.keys() | right.counts.keys())
    rows = [[part.counts.get(name, 0) for name in names] + [part.other] for part in (left, right)]
    return _table_p(np.array(rows))


def _table_p(table: npt.NDArray[np.int64]) -> float:
    """Of a chi-square test; columns that expect too few rows are one."""
    total = float(table.sum())
    sides = table.sum(axis=1)
    if not total or not sides.all():
        return 1.0
    rare = table.sum(axis=0) * float(sides.min()) / total < MIN_EXPECTED
    used = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)]).astype(np.float64)
    used = used[:, used.sum(axis=0) > 0]
    if used.shape[1] < 2:
        return 1.0
    expected = np.outer(sides, used.sum(axis=0)) / total
    statistic = float(np.sum((used - expected) ** 2 / expected))
    return float(_special().chdtrc(used.shape[1] - 1, statistic))


def kolmogorov_smirnov(left: NumberProfile, right: NumberProfile) -> float:
    """Largest gap of the two distribution functions; the share of missing rows is one more gap."""
    if not (left.count + left.nulls and right.count + right.nulls):
        return 0.0
    gap = abs(_missing(left) - _missing(right))
    if not (left.count and right.count):
        return gap
    return max(gap, _largest_gap(left, right))


def _largest_gap(left: NumberProfile, right: NumberProfile) -> float:
    values = np.concatenate([left.values, right.values])
    order = np.argsort(values, kind="stable")  # a merge: both are sorted
    ranked = values[order]
    last = np.append(ranked[1:] != ranked[:-1], True)
    return float(np.abs(_below(left, right, order, last)).max())


def _missing(part: NumberProfile | CategoryProfile) -> float:
    return part.nulls / max(1, part.count + part.nulls)


def _below(
    left: NumberProfile,
    right: NumberProfile,
    order: npt.NDArray[np.intp],
    last: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float64]:
    """Share of ``left`` less that of ``right`` up to each value of both."""
    n_left, n_right = len(left.values), len(right.values)
    ours = np.concatenate([left.counts, np.zeros(n_right, dtype=np.int64)])
    theirs = np.concatenate([np.zeros(n_left, dtype=np.int64), right.counts])
    shares = [
        np.cumsum(counts[order])[last] / part.count
        for counts, part in ((ours, left), (theirs, right))
    ]
    return np.asarray(shares[0] - shares[1])


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


def shift_findings(train: Profile, test: Profile, *, ordered: bool = False) -> list[Finding]:
    """What tells test rows from training rows: single columns, and all numbers together.

    A finding needs both: that chance explains it with odds below `FAMILY_ALPHA` over all tests
    together, and a distance that can hurt.

    Args:
        train: of the training rows.
        test: of the sealed test rows.
        ordered: whether the test rows are the newest, where a shift is drift and no mishap.
    """
    found = distances(train, test)
    bound = FAMILY_ALPHA / 2.0
    why = (
        "the newest rows differ, which is drift"
        if ordered
        else "scores on the test rows speak for their group only"
    )
    told = [
        Finding(
            Level.WARNING,
            d.column,
            Law.SHIFT,
            f"column {d.column!r} differs between training and test rows ({d.measure} "
            f"{d.value:.3f}, by chance up to {d.chance:.3f}): {why}",
        )
        for d in found
        if d.p * len(found) <= bound and d.value > SHIFT_EFFECT
    ]
    joint = joint_distance(train, test)
    if joint is not None and joint.p <= bound and joint.auc >= JOINT_AUC:
        told.append(
            Finding(
                Level.WARNING,
                None,
                Law.SHIFT,
                f"a linear rule over {joint.n_columns} columns tells test rows from training rows "
                f"(ROC AUC {joint.auc:.2f}, 0.5 is alike): {why}",
            )
        )
    return told


def _chance(factor: float, left: Profile, right: Profile) -> float:
    return min(1.0, factor * math.sqrt(1 / max(1, left.n_rows) + 1 / max(1, right.n_rows)))
