"""How strongly one feature goes with the target, from its association alone: pure functions.

Sources: H. Cramér, "Mathematical Methods of Statistics" (1946), with the bias correction of
W. Bergsma, "A bias-correction for Cramér's V" (2013); K. Pearson's correlation ratio (1905);
J. Hanley and B. McNeil, "The meaning and use of the area under a ROC curve" (1982).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tenfold.profile.association import CategoryAssociation, NumberAssociation
from tenfold.profile.grid import Floats, Ints
from tenfold.profile.profile import Association
from tenfold.profile.target import ClassStats, TargetStats

__all__ = [
    "MIN_GROUP_ROWS",
    "N_BINS",
    "Alone",
    "bin_numbers",
    "correlation_ratio",
    "cramers_v",
    "missing_tells",
    "one_vs_rest_auc",
    "predicts_alone",
    "strength",
]

N_BINS = 20
"""Bins of about equal weight for a number: 1 - 1/400 of the variance of a straight line stays."""

MIN_GROUP_ROWS = 10
"""Smaller groups are judged together: a group of one row would predict its own target."""

CLASS_ROWS_A_BIN = 10
"""Rows of the rarest class expected in a bin; fewer, and bins sorted by noise look ordered."""


@dataclass(frozen=True, slots=True)
class Alone:
    """How well a feature predicts the target without the others.

    Attributes:
        measure: ``roc_auc`` (mean over the classes against the rest, weighted by their rows) for
            classes; ``r2`` (share of variance explained, adjusted for the groups) for numbers.
        value: 0.5 (auc) or 0 (r2) says nothing, 1 everything.
    """

    measure: str
    value: float


def bin_numbers(
    association: NumberAssociation, *, n_bins: int = N_BINS
) -> tuple[list[tuple[float, float]], TargetStats]:
    """Gather a number's cells into bins of about equal weight; equal values stay together.

    Args:
        association: of a number column.
        n_bins: most bins.

    Returns:
        Lowest and highest cell of each bin, and the target's statistics per bin, shape
        (n_bins_in_use,); rows without a value are left out.
    """
    cells = association.cells
    if not len(cells):
        return [], association.stats.regroup(np.zeros(1, dtype=np.intp), n_groups=1)
    weight = association.stats.n[:-1]
    middle = np.cumsum(weight) - weight / 2.0
    bins = np.floor(n_bins * middle / max(1.0, float(weight.sum()))).astype(np.intp)
    used, groups = np.unique(np.minimum(bins, n_bins - 1), return_inverse=True)
    n_used = len(used)
    # one group more takes the missing rows, and is then cut off
    stats = association.stats.regroup(np.append(groups, n_used), n_groups=n_used + 1)
    first = np.searchsorted(groups, np.arange(n_used), side="left")
    last = np.searchsorted(groups, np.arange(n_used), side="right") - 1
    ranges = [(float(cells[i]), float(cells[j])) for i, j in zip(first, last, strict=True)]
    return ranges, stats.take(slice(0, n_used))


def cramers_v(table: Ints) -> float:
    """Cramér's V with Bergsma's bias correction.

    Args:
        table: counts, shape (n_groups, n_classes).

    Returns:
        0 (independent) to 1; 0 where one side does not vary.

    >>> cramers_v(np.array([[50, 0], [0, 50]]))
    1.0
    >>> cramers_v(np.array([[25, 25], [25, 25]]))
    0.0
    """
    used = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    n = float(used.sum())
    rows, columns = used.shape
    if min(rows, columns) < 2 or n < 2:
        return 0.0
    expected = np.outer(used.sum(axis=1), used.sum(axis=0)) / n
    phi2 = float(np.sum((used - expected) ** 2 / expected)) / n
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    corrected_rows = rows - (rows - 1) ** 2 / (n - 1)
    corrected_columns = columns - (columns - 1) ** 2 / (n - 1)
    smaller = min(corrected_rows, corrected_columns) - 1
    return min(1.0, math.sqrt(phi2 / smaller)) if smaller > 0 else 0.0


def correlation_ratio(n: Ints, mean: Floats, m2: Floats) -> float:
    """The correlation ratio eta: the square root of the share of variance between groups.

    Args:
        n: rows per group, shape (n_groups,).
        mean: of the number per group.
        m2: sum of squared deviations per group.

    >>> correlation_ratio(np.array([2, 2]), np.array([0.0, 1.0]), np.array([0.0, 0.0]))
    1.0
    """
    return math.sqrt(_explained(n, mean, m2, n_parameters=1))


def _explained_by(groups: TargetStats, *, n_parameters: int) -> float:
    if isinstance(groups, ClassStats):
        raise TypeError("variance explained needs a numeric target, got classes")
    return _explained(groups.n, groups.mean, groups.m2, n_parameters=n_parameters)


def _explained(n: Ints, mean: Floats, m2: Floats, *, n_parameters: int) -> float:
    total = float(n.sum())
    if total <= n_parameters:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        overall = float(np.sum(n * mean)) / total
        between = float(np.sum(n * (mean - overall) ** 2))
        within = float(np.sum(m2))
    if not 0.0 < between + within < math.inf:
        return 0.0
    share = between / (between + within)
    adjusted = 1.0 - (1.0 - share) * (total - 1.0) / (total - n_parameters)
    return min(1.0, max(0.0, adjusted))


def one_vs_rest_auc(table: Ints) -> float:
    """Area under the ROC curve of groups as scores, averaged over the classes by their rows.

    Each class is ranked against the rest by its share in the row's group; rows of one group are
    tied. With two classes this is the usual ROC AUC of the group's rate.

    Args:
        table: counts, shape (n_groups, n_classes).

    >>> one_vs_rest_auc(np.array([[8, 2], [2, 8]]))
    0.8
    """
    rows = table.sum(axis=1)
    table, rows = table[rows > 0], rows[rows > 0]
    total = int(rows.sum())
    weighted = weight = 0.0
    for column in table.T:
        positives = int(column.sum())
        if positives in (0, total):
            continue
        order = np.argsort(column / rows, kind="stable")
        weighted += positives * _tied_auc(column[order], rows[order])
        weight += positives
    return weighted / weight if weight else 0.5


def _tied_auc(hits: Ints, rows: Ints) -> float:
    """Share of (hit, miss) pairs in the right order; rows of one group are tied."""
    misses = (rows - hits).astype(np.float64)
    ahead = float(np.sum(hits * (np.cumsum(misses) - misses / 2.0)))
    return ahead / (float(hits.sum()) * float(misses.sum()))


def strength(association: Association) -> tuple[str, float]:
    """The usual measure of association for the pair's kinds, 0 to 1.

    Returns:
        ``cramers_v`` for a category with classes; ``correlation_ratio`` where one side is a
        number (for two numbers: of the target over `N_BINS` bins, which sees curves as well).

    Rows where the feature is missing are left out.
    """
    stats = association.stats
    if isinstance(stats, ClassStats):
        present = stats.counts[:-1]
        if isinstance(association, CategoryAssociation):
            return "cramers_v", cramers_v(present)
        return "correlation_ratio", _number_by_class(association.cells, present)
    if isinstance(association, CategoryAssociation):
        groups: TargetStats = stats.take(slice(0, len(stats.n) - 1))
    else:
        _, groups = bin_numbers(association)
    return "correlation_ratio", math.sqrt(_explained_by(groups, n_parameters=1))


def _number_by_class(cells: Floats, table: Ints) -> float:
    n = table.sum(axis=0)
    if not len(cells):
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.sum(table * cells[:, None], axis=0) / np.maximum(n, 1)
        m2 = np.sum(table * (cells[:, None] - mean) ** 2, axis=0)
    return correlation_ratio(n, mean, m2)


def predicts_alone(association: Association) -> Alone:
    """How well this feature, missing values included, predicts the target without the others.

    Groups are the categories, or bins of a number, and the missing rows; groups of less than
    `MIN_GROUP_ROWS` rows are judged together. For classes a number is also judged by its order
    alone, which sees the rarest class in its far tail and cannot fit noise. Measured on the rows
    themselves, so slightly high for rare classes and many categories.
    """
    stats = association.stats
    if isinstance(association, NumberAssociation):
        present = bin_numbers(association, n_bins=_honest_bins(stats))[1]
        stats = present.concat([stats.take(slice(len(association.cells), None))])
    pooled = _pool_small(stats)
    if not isinstance(pooled, ClassStats):
        used = int((pooled.n > 0).sum())
        return Alone("r2", _explained_by(pooled, n_parameters=max(1, used)))
    value = one_vs_rest_auc(pooled.counts)
    if isinstance(association, NumberAssociation) and isinstance(association.stats, ClassStats):
        table = association.stats.counts
        value = max(value, _ordered_auc(table), _ordered_auc(np.roll(table, 1, axis=0)))
    return Alone("roc_auc", value)


def _honest_bins(stats: TargetStats) -> int:
    """Few enough bins for `CLASS_ROWS_A_BIN` rows of the rarest class in each."""
    if not isinstance(stats, ClassStats):
        return N_BINS
    rows = stats.counts.sum(axis=0)
    rarest = int(rows[rows > 0].min()) if rows.any() else 0
    return max(2, min(N_BINS, rarest // CLASS_ROWS_A_BIN))


def _pool_small(stats: TargetStats) -> TargetStats:
    small = stats.n < MIN_GROUP_ROWS
    groups = np.where(small, 0, np.cumsum(~small)).astype(np.intp)
    return stats.regroup(groups, n_groups=int((~small).sum()) + 1)


def _ordered_auc(table: Ints) -> float:
    """As `one_vs_rest_auc`, with the groups in their given order or its reverse."""
    rows = table.sum(axis=1)
    total = int(rows.sum())
    weighted = weight = 0.0
    for column in table.T:
        positives = int(column.sum())
        if positives in (0, total):
            continue
        auc = _tied_auc(column, rows)
        weighted += positives * max(auc, 1.0 - auc)
        weight += positives
    return weighted / weight if weight else 0.5


def missing_tells(association: Association) -> float:
    """Association (0 to 1) of *whether* the feature is missing with the target."""
    stats = association.stats
    groups = np.zeros(len(stats.n), dtype=np.intp)
    groups[-1] = 1
    two = stats.regroup(groups, n_groups=2)
    if isinstance(two, ClassStats):
        return cramers_v(two.counts)
    return math.sqrt(_explained_by(two, n_parameters=1)) if two.n.all() else 0.0
