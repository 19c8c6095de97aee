"""A survey as JSON numbers: columns over time, associations, file order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tenfold.canonical import finite_or_none
from tenfold.profile.grid import Floats
from tenfold.profile.order import Alike
from tenfold.profile.pairs import Pairs
from tenfold.profile.survey import Survey
from tenfold.profile.target import OTHER_CLASS, ClassStats, NumberStats

__all__ = ["association_facts", "axis_facts", "course_facts", "order_facts"]

N_FOLLOWED_CLASSES = 6
"""Categories drawn over time, the most frequent; more colors are not told apart."""
STRONGEST_PAIRS = 20


def axis_facts(survey: Survey) -> dict[str, Any]:
    """What the columns are followed along: ``column`` (null: the order of rows), ``kind``, and by
    slice ``low``, ``high`` and ``rows``; date-times are epoch seconds, positions count from 0.
    """
    column, course = survey.axis.column, survey.course
    kind = "rows" if column is None else survey.schema.column(column).kind.value
    return {
        "column": column,
        "kind": kind,
        "low": [finite_or_none(v) for v in course.low.tolist()],
        "high": [finite_or_none(v) for v in course.high.tolist()],
        "rows": course.rows.tolist(),
    }


def course_facts(survey: Survey, name: str, *, positive: str | None) -> dict[str, Any] | None:
    """One column by slice; None for a column that was not surveyed.

    Args:
        survey: of the training rows.
        name: of the column.
        positive: the class that alone is followed in a target of two.

    Returns:
        ``missing`` (share of the slice's rows); for numbers ``mean`` and its standard ``error``;
        for categories ``classes`` and their ``shares``, a list a slice. Null where a slice is
        empty.
    """
    course = survey.course
    if name in course.numbers:
        number = course.numbers[name]
        return {"missing": _missing(survey, number.n), **_means(number)}
    if name not in course.categories:
        return None
    stats = course.categories[name]
    shown = _shown(stats, positive)
    counts = stats.counts[:, [stats.classes.index(name) for name in shown]]
    return {
        "missing": _missing(survey, stats.n),
        "classes": shown,
        "shares": [
            None if not n else [count / n for count in row]
            for row, n in zip(counts.tolist(), stats.n.tolist(), strict=True)
        ],
    }


def _missing(survey: Survey, n: np.ndarray) -> list[float | None]:
    rows = survey.course.rows.tolist()
    return [None if not r else 1.0 - k / r for r, k in zip(rows, n.tolist(), strict=True)]


def _means(stats: NumberStats) -> dict[str, list[float | None]]:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        error = np.sqrt(stats.m2 / stats.n) / np.sqrt(stats.n)
    filled = stats.n > 0
    return {
        "mean": [finite_or_none(v) for v in np.where(filled, stats.mean, np.nan).tolist()],
        "error": [finite_or_none(v) for v in np.where(filled, error, np.nan).tolist()],
    }


def _shown(stats: ClassStats, positive: str | None) -> list[str]:
    if positive in stats.classes:
        return [str(positive)]
    total = stats.counts.sum(axis=0)
    ranked = sorted(range(len(total)), key=lambda i: (-int(total[i]), stats.classes[i]))
    kept = [stats.classes[i] for i in ranked if stats.classes[i] != OTHER_CLASS and total[i]]
    return sorted(kept[:N_FOLLOWED_CLASSES])  # so that a class keeps its color from card to card


def association_facts(pairs: Pairs) -> dict[str, Any]:
    """All pairs by the measure for their kinds, and the strongest of them.

    Returns:
        ``rows`` (looked at), ``error`` (standard error of a measure near 0), ``spearman``,
        ``cramers_v`` and ``correlation_ratio`` as ``rows``, ``columns`` and a ``matrix``,
        ``strongest`` as ``left, right, measure, value``; null where it cannot be told.
    """
    numbers = [c.column.name for c in pairs.numbers]
    categories = [c.column.name for c in pairs.categories]
    return {
        "rows": pairs.n_rows,
        "error": finite_or_none(1.0 / math.sqrt(pairs.n_rows) if pairs.n_rows else None),
        "spearman": _matrix(numbers, numbers, pairs.spearman),
        "cramers_v": _matrix(categories, categories, pairs.cramers_v),
        "correlation_ratio": _matrix(categories, numbers, pairs.correlation_ratio),
        "strongest": _strongest(pairs, numbers, categories),
    }


def _matrix(rows: Sequence[str], columns: Sequence[str], values: Floats) -> dict[str, Any]:
    return {
        "rows": list(rows),
        "columns": list(columns),
        "matrix": [[finite_or_none(v) for v in row] for row in values.tolist()],
    }


def _strongest(pairs: Pairs, numbers: list[str], categories: list[str]) -> list[dict[str, Any]]:
    found = [
        (float(values[i, j]), rows[i], columns[j], measure)
        for measure, rows, columns, values in (
            ("spearman", numbers, numbers, pairs.spearman),
            ("cramers_v", categories, categories, pairs.cramers_v),
            ("correlation_ratio", categories, numbers, pairs.correlation_ratio),
        )
        for i in range(len(rows))
        for j in range(len(columns))
        if measure == "correlation_ratio" or i < j
    ]
    known = [pair for pair in found if abs(pair[0]) > 0.0]  # NaN is not
    known.sort(key=lambda pair: -abs(pair[0]))
    return [
        {"left": left, "right": right, "measure": measure, "value": value}
        for value, left, right, measure in known[:STRONGEST_PAIRS]
    ]


def order_facts(alike: Sequence[Alike]) -> list[dict[str, Any]]:
    """How alike rows are that stand together, by column, the most alike first."""
    return [
        {
            "column": one.column.name,
            "alike": one.alike,
            "chance": one.chance,
            "tells": one.tells,
            "sorted_by": one.sorted_by,
        }
        for one in sorted(alike, key=lambda one: -abs(one.alike))
    ]
