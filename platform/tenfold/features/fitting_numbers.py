"""The fit of numbers and times: what stands in for a missing one, its bounds, its shape, its scale.

All of it comes from the weighted distinct values of a column's profile, so what depends on what
(the scale after the power after the bounds) still needs no second look at the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from tenfold.features.codes import Codes
from tenfold.features.ops import Op, Power, Quantile, Scale, Take
from tenfold.features.ops.base import MAX_FLOAT32
from tenfold.features.ops.elapsed import MAX_DAYS
from tenfold.features.ops.numbers import MIN_SCALE
from tenfold.features.ops.power import yeo_johnson
from tenfold.features.power_fit import fit_lambda
from tenfold.features.recipe import Recipe
from tenfold.schema import Column, Kind

if TYPE_CHECKING:
    from tenfold.profile import Profile
    from tenfold.profile.numbers import NumberProfile

__all__ = ["DAY_S", "fit_numbers"]

N_KNOTS = 33
"""Knots of a quantile map: finer ones follow noise below some thousand rows, and cost row time."""

DAY_S = 86400.0
_RELATIVE_SPREAD = 1e-12
"""Below this share of its center a spread is rounding noise: the column is constant."""
_NORMAL = NormalDist()

Places = list[tuple[int, Column]]


@dataclass(frozen=True, slots=True)
class _Row:
    """What is fitted for one column, see `Scale` and `Power`."""

    impute: float = 0.0
    low: float = -MAX_FLOAT32
    high: float = MAX_FLOAT32
    bend: float = 1.0
    center: float = 0.0
    scale: float = 1.0


def fit_numbers(
    numeric: Places, dates: Places, profile: Profile, *, recipe: Recipe
) -> list[tuple[Op, list[str]]]:
    """Operations and the names of their features.

    Args:
        numeric: places in the codes and columns of numbers, integers and booleans.
        dates: those of times.
        profile: summary of the training rows only.
        recipe: what to make of them.
    """
    if recipe.scales:
        both = sorted([*numeric, *dates], key=lambda pair: pair[0])
        fit = _fit_quantile if recipe.numbers == "quantile" else _fit_scale
        return [fit(both, profile, recipe=recipe)] if both else []
    ops: list[tuple[Op, list[str]]] = []
    if numeric and recipe.leaves_missing and recipe.winsorize is None:
        ops.append((Take(_places(numeric)), _names(numeric)))
    elif numeric:
        ops.append(_fit_scale(numeric, profile, recipe=recipe))
    if dates:
        ops.append(_fit_scale(dates, profile, recipe=recipe))
    return ops


def _fit_scale(columns: Places, profile: Profile, *, recipe: Recipe) -> tuple[Op, list[str]]:
    rows = [_fit_row(c, profile.numbers[c.name], recipe=recipe) for _, c in columns]
    bounded = any(abs(row.low) < MAX_FLOAT32 or abs(row.high) < MAX_FLOAT32 for row in rows)
    low = tuple(row.low for row in rows) if bounded else ()
    high = tuple(row.high for row in rows) if bounded else ()
    impute = tuple(row.impute for row in rows)
    center, scale = tuple(row.center for row in rows), tuple(row.scale for row in rows)
    places = _places(columns)
    if recipe.numbers != "power":
        return Scale(places, impute, center, scale, recipe.clip, low, high), _names(columns)
    bends = tuple(row.bend for row in rows)
    op = Power(places, impute, center, scale, recipe.clip, low, high, lambdas=bends)
    return op, _names(columns)


def _fit_row(column: Column, numbers: NumberProfile, *, recipe: Recipe) -> _Row:
    is_time = column.kind is Kind.DATETIME
    row = _Row(impute=_impute(numbers, recipe=recipe, is_time=is_time))
    if recipe.numbers == "raw" and is_time:
        # Days, not seconds: a float32 cannot tell two minutes of this century apart.
        row = replace(row, scale=DAY_S)
        if recipe.dates != "elapsed" or not numbers.count:
            return row
        century = MAX_DAYS * DAY_S
        newest = numbers.maximum
        return replace(row, center=newest, low=newest - century, high=newest + century)
    if not numbers.count:
        return row
    values = numbers.values
    if recipe.winsorize is not None and not is_time:
        row = replace(
            row,
            low=numbers.quantile(recipe.winsorize),
            high=numbers.quantile(1.0 - recipe.winsorize),
        )
        values = np.clip(values, row.low, row.high)
    if recipe.numbers == "raw":
        return row
    if recipe.numbers == "power":
        values = np.clip(values, -MAX_FLOAT32, MAX_FLOAT32)
        bend = 1.0 if is_time else fit_lambda(values, numbers.counts)
        row = replace(row, bend=bend)
        values = yeo_johnson(values, bend)
    center, scale = _center_and_scale(values, numbers, row, recipe=recipe)
    return replace(row, center=center, scale=scale)


def _center_and_scale(
    values: Codes, numbers: NumberProfile, row: _Row, *, recipe: Recipe
) -> tuple[float, float]:
    """Of the column's distinct values, as they are after bounds and power."""
    if recipe.numbers == "robust":
        center, low, high = (_inside(numbers.quantile(q), row) for q in (0.5, 0.25, 0.75))
        half_range = (float(values[-1]) - float(values[0])) / 2.0
        usable = _spread(high - low, center) == high - low
        return center, high - low if usable else _spread(half_range, center)
    if recipe.numbers == "minmax":
        return float(values[0]), _spread(float(values[-1]) - float(values[0]), float(values[0]))
    if values is numbers.values:
        return numbers.mean, _spread(math.sqrt(numbers.variance), numbers.mean)
    share = numbers.counts / numbers.count
    with np.errstate(over="ignore"):  # an infinite spread is none that can be divided by
        center = float(np.sum(values * share))
        deviations = values - center
        variance = float(np.sum(deviations * deviations * share))
    return center, _spread(math.sqrt(variance), center)


def _inside(value: float, row: _Row) -> float:
    """A quantile of the bounded column: bounds keep the order, so they may come after."""
    return min(max(value, row.low), row.high)


def _impute(numbers: NumberProfile, *, recipe: Recipe, is_time: bool) -> float:
    """In the column's unit; NaN leaves a value missing."""
    choice = recipe.impute
    if choice == "auto":
        if recipe.leaves_missing:
            return math.nan
        choice = "mean" if recipe.numbers == "standard" else "median"
    if choice == "constant" and not is_time:
        return float(recipe.fill)
    if not numbers.count:
        return 0.0
    if choice == "mean":
        return numbers.mean
    if choice == "mode":
        return float(numbers.values[int(np.argmax(numbers.counts))])
    return numbers.quantile(0.5)


def _spread(spread: float, center: float) -> float:
    """A scale to divide by: 1 for a constant column, which then becomes 0 everywhere."""
    usable = math.isfinite(spread) and spread > max(MIN_SCALE, _RELATIVE_SPREAD * abs(center))
    return spread if usable else 1.0


def _fit_quantile(columns: Places, profile: Profile, *, recipe: Recipe) -> tuple[Op, list[str]]:
    impute, knots, values = [], [], []
    for _, column in columns:
        numbers = profile.numbers[column.name]
        x, y = _quantile_map(numbers)
        is_time = column.kind is Kind.DATETIME
        impute.append(_impute(numbers, recipe=recipe, is_time=is_time))
        knots.append(x)
        values.append(y)
    return Quantile(_places(columns), tuple(impute), tuple(knots), tuple(values)), _names(columns)


def _quantile_map(numbers: NumberProfile) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Distinct quantiles and their normal scores; a tie gets the middle of its probabilities."""
    if not numbers.count or numbers.minimum == numbers.maximum:
        start = numbers.minimum if numbers.count else 0.0
        return (start, math.nextafter(start, math.inf)), (0.0, 0.0)
    steps = [k / (N_KNOTS - 1) for k in range(N_KNOTS)]
    ties: dict[float, list[float]] = {}
    for step in steps:
        ties.setdefault(numbers.quantile(step), []).append(step)
    # The outermost scores stand where half a step of probability is left.
    edge = 0.5 / (N_KNOTS - 1)
    middles = [min(max(sum(p) / len(p), edge), 1.0 - edge) for p in ties.values()]
    return tuple(ties), tuple(_NORMAL.inv_cdf(p) for p in middles)


def _places(columns: Places) -> tuple[int, ...]:
    return tuple(index for index, _ in columns)


def _names(columns: Places) -> list[str]:
    return [column.name for _, column in columns]
