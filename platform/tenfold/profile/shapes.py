"""One column as JSON numbers: statistics, bins for a picture, and the target along it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tenfold.canonical import finite_or_none
from tenfold.profile.association import NumberAssociation
from tenfold.profile.categories import CategoryProfile
from tenfold.profile.grid import Floats
from tenfold.profile.numbers import NumberProfile
from tenfold.profile.profile import Association
from tenfold.profile.strength import bin_numbers, predicts_alone, strength
from tenfold.profile.target import OTHER_CLASS, ClassStats, TargetStats
from tenfold.schema import Kind

__all__ = ["category_facts", "histogram_edges", "number_facts", "sampled_top", "target_facts"]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
TOP = 10
"""Values shown; more do not fit a phone."""
SAMPLED_LEAST = 5
"""Rows of a sample from which a value is told: fewer meet by chance."""
N_BARS = 24
"""About as many bars as a phone shows apart."""
N_TARGET_BINS = 10
"""Tenths of the rows: enough to see a bend, few enough for narrow intervals."""
N_TARGET_CLASSES = 6
"""Classes shown one by one; more colors are not told apart."""
ROUNDABLE, TINY = 1e300, 1e-300
"""Ranges and steps beyond these leave float64 while edges are computed."""
TRIM = 4.0
"""A range this many times wider than the middle 98 % of the rows is cut there in the picture."""


def number_facts(train: NumberProfile, test: NumberProfile | None, *, kind: Kind) -> dict[str, Any]:
    """A number column's statistics and histogram; date-times are epoch seconds."""
    quantiles = train.quantiles(QUANTILES)
    zero = np.searchsorted(train.values, 0.0)
    at_zero = zero < len(train.values) and train.values[zero] == 0.0
    return {
        "count": train.count,
        "nulls": train.nulls,
        "distinct": train.n_distinct,
        "exact": train.is_exact,
        "quantile_error": train.quantile_error,
        "mean": finite_or_none(train.mean),
        "std": finite_or_none(train.std),
        "minimum": finite_or_none(train.minimum),
        "maximum": finite_or_none(train.maximum),
        "skewness": finite_or_none(train.skewness),
        "zeros": int(train.counts[zero]) if at_zero else 0,
        "quantiles": {
            f"{q:g}": finite_or_none(v) for q, v in zip(QUANTILES, quantiles, strict=True)
        },
        "top": _top_numbers(train, test),
        "histogram": _histogram(train, test, kind=kind),
    }


def _top_numbers(train: NumberProfile, test: NumberProfile | None) -> list[dict[str, Any]] | None:
    top = train.top(TOP)
    if top is None:
        return None
    shares = None if test is None else test.frequencies([value for value, _ in top])
    return [
        {
            "value": value,
            "count": n,
            "share": n / train.count,
            "test_share": None if shares is None else shares[i],
        }
        for i, (value, n) in enumerate(top)
    ]


def sampled_top(values: Floats) -> list[dict[str, Any]]:
    """The most frequent values of a sample, for a column too long to count them all.

    Args:
        values: of the sampled rows, NaN where missing, shape (n_rows,).

    Returns:
        ``value``, ``count`` and ``share`` of the sampled rows with a value, the most frequent
        first; only what `SAMPLED_LEAST` rows have.

    >>> sampled_top(np.array([0.0] * 6 + [1.0, 2.0]))
    [{'value': 0.0, 'count': 6, 'share': 0.75}]
    """
    sample = NumberProfile.from_values(values)
    return [
        {"value": value, "count": n, "share": n / sample.count}
        for value, n in sample.top(TOP) or []
        if n >= SAMPLED_LEAST
    ]


def histogram_edges(number: NumberProfile, *, kind: Kind) -> Floats:
    """Round, equally wide bins over the column, without far tails; whole steps for integers.

    Returns:
        Increasing edges, shape (n_bins + 1,); empty without values.

    >>> column = NumberProfile.from_values(np.arange(100.0))
    >>> histogram_edges(column, kind=Kind.INTEGER)[:4]
    array([-0.5,  4.5,  9.5, 14.5])
    """
    if not number.count:
        return np.zeros(0)
    low, high = number.minimum, number.maximum
    first, last = (float(q) for q in number.quantiles([0.01, 0.99]))
    if last > first and high - low > TRIM * (last - first):
        low, high = max(low, first), min(high, last)
    edges = _round_edges(low, high, whole=kind in (Kind.INTEGER, Kind.BOOLEAN))
    holds = len(edges) > 1 and edges[0] <= low and edges[-1] >= high
    return edges if holds and bool(np.all(np.diff(edges) > 0)) else _plain_edges(low, high)


def _round_edges(low: float, high: float, *, whole: bool) -> Floats:
    """Edges on multiples of 1, 2 or 5; none where float64 has no room for them."""
    if not max(abs(low), abs(high)) < ROUNDABLE:
        return np.zeros(0)
    step = _round_step((high - low) / N_BARS, whole=whole)
    start = math.floor(low / step) * step - (0.5 if whole else 0.0)
    n_bins = max(1, math.ceil((high - start) / step))
    return np.asarray(start + step * np.arange(n_bins + 1)) if n_bins <= 2 * N_BARS else np.zeros(0)


def _plain_edges(low: float, high: float) -> Floats:
    if low == high:
        return np.sort([low / 2.0, high]) if low else np.array([0.0, 1.0])
    part = np.linspace(0.0, 1.0, N_BARS + 1)
    edges = low * (1.0 - part) + high * part  # no difference, which could overflow
    return np.unique(np.clip(np.append(edges, (low, high)), low, high))


def _round_step(width: float, *, whole: bool) -> float:
    if not width > TINY:
        return 1.0
    power = 10.0 ** math.floor(math.log10(width))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= width * (1 - 1e-9))
    return max(1.0, float(round(step))) if whole else step


def _histogram(
    train: NumberProfile, test: NumberProfile | None, *, kind: Kind
) -> dict[str, Any] | None:
    edges = histogram_edges(train, kind=kind)
    if len(edges) < 2:
        return None
    return {
        "edges": edges.tolist(),
        "counts": train.histogram(edges).tolist(),
        "below": int(train.counts[train.values < edges[0]].sum()),
        "above": int(train.counts[train.values > edges[-1]].sum()),
        "test_counts": None if test is None else test.histogram(edges).tolist(),
    }


def category_facts(train: CategoryProfile, test: CategoryProfile | None) -> dict[str, Any]:
    """A category column's statistics and its most frequent values."""
    top = train.top(TOP)
    return {
        "count": train.count,
        "nulls": train.nulls,
        "distinct": train.n_distinct,
        "exact": train.is_exact,
        "top": [
            {
                "value": name,
                "count": n,
                "share": n / train.count,
                "test_share": None if test is None else test.frequencies([name])[0],
            }
            for name, n in top
        ],
        "rest": train.count - sum(n for _, n in top),
    }


def target_facts(association: Association, *, positive: str | None) -> dict[str, Any]:
    """The target along a feature: measures, and the target per bin or frequent category.

    Args:
        association: of the feature.
        positive: the class whose share is shown; None shows the most frequent classes.
    """
    measure, value = strength(association)
    alone = predicts_alone(association)
    if isinstance(association, NumberAssociation):
        ranges, stats = bin_numbers(association, n_bins=N_TARGET_BINS)
        groups: list[dict[str, Any]] = [{"low": low, "high": high} for low, high in ranges]
        rows = list(range(len(groups)))
    else:
        stats = association.stats
        ranked = np.argsort(-stats.n[:-2], kind="stable")[:TOP]
        groups = [{"value": association.categories[i]} for i in ranked]
        rows = [int(i) for i in ranked]
    shown = _shown_classes(association.stats, positive)
    missing = association.stats.take(slice(-1, None))
    return {
        "measure": measure,
        "strength": value,
        "alone_measure": alone.measure,
        "alone": alone.value,
        "classes": shown,
        "groups": [g | _group(stats, i, shown) for g, i in zip(groups, rows, strict=True)],
        "missing": _group(missing, 0, shown),
        "all": _group(_whole(association.stats), 0, shown),
    }


def _whole(stats: TargetStats) -> TargetStats:
    return stats.regroup(np.zeros(len(stats.n), dtype=np.intp), n_groups=1)


def _shown_classes(stats: TargetStats, positive: str | None) -> list[str]:
    if not isinstance(stats, ClassStats):
        return []
    if positive in stats.classes and len(stats.classes) == 2:
        return [str(positive)]
    total = stats.counts.sum(axis=0)
    ranked = sorted(range(len(total)), key=lambda i: (-int(total[i]), stats.classes[i]))
    kept = sorted(i for i in ranked[:N_TARGET_CLASSES] if stats.classes[i] != OTHER_CLASS)
    return [stats.classes[i] for i in kept]


def _group(stats: TargetStats, group: int, shown: list[str]) -> dict[str, Any]:
    n = int(stats.n[group])
    if isinstance(stats, ClassStats):
        row = dict(zip(stats.classes, stats.counts[group].tolist(), strict=True))
        return {"n": n, "shares": [row[name] / n if n else None for name in shown]}
    deviation = math.sqrt(float(stats.m2[group]) / n) if n else math.nan
    mean = float(stats.mean[group]) if n else math.nan
    return {"n": n, "mean": finite_or_none(mean), "std": finite_or_none(deviation)}
