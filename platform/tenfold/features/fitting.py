"""The fit: from a profile to operations with numbers. Reads no rows, so folds cost nothing.

Columns are grouped by what happens to them, one operation per group, in the schema's order inside a
group; the features of the groups stand side by side in the matrix.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from tenfold.features.fitting_categories import fit_categories
from tenfold.features.ops import (
    CALENDAR_FIELDS,
    Calendar,
    Missing,
    Op,
    Quantile,
    Scale,
    Take,
)
from tenfold.features.ops.numbers import MIN_SCALE
from tenfold.features.recipe import Recipe
from tenfold.schema import Column, Kind, Schema

if TYPE_CHECKING:
    from tenfold.profile import Profile
    from tenfold.profile.numbers import NumberProfile

__all__ = ["fit_ops"]

N_KNOTS = 33
"""Knots of a quantile map: finer ones follow noise below some thousand rows, and cost row time."""

_NUMERIC = (Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN)
_DAY_S = 86400.0
_RELATIVE_SPREAD = 1e-12
"""Below this share of its center a spread is rounding noise: the column is constant."""
_NORMAL = NormalDist()


def fit_ops(schema: Schema, profile: Profile, *, recipe: Recipe) -> list[tuple[Op, list[str]]]:
    """Operations and the names of the features each makes, in the order of the matrix.

    Args:
        schema: its features are numbered as in the codes.
        profile: summary of the training rows only.
        recipe: what to make of each kind.
    """
    columns = list(enumerate(schema.features))
    numeric = [(i, c) for i, c in columns if c.kind in _NUMERIC]
    dates = [(i, c) for i, c in columns if c.kind is Kind.DATETIME]
    categories = [(i, c) for i, c in columns if c.domain]
    ops = [
        *_fit_numbers(numeric, dates, profile, recipe=recipe),
        *(_fit_calendar(dates, recipe=recipe) if recipe.dates == "calendar" else []),
        *fit_categories(categories, profile, recipe=recipe),
        *(_fit_missing(columns, profile, recipe=recipe) if recipe.missing_indicator else []),
    ]
    return [(op, names) for op, names in ops if op.n_outputs]


def _fit_numbers(
    numeric: list[tuple[int, Column]],
    dates: list[tuple[int, Column]],
    profile: Profile,
    *,
    recipe: Recipe,
) -> list[tuple[Op, list[str]]]:
    if recipe.scales:
        both = sorted([*numeric, *dates], key=lambda pair: pair[0])
        fit = _fit_quantile if recipe.numbers == "quantile" else _fit_scale
        return [fit(both, profile, recipe=recipe)] if both else []
    ops: list[tuple[Op, list[str]]] = []
    if numeric:
        ops.append((Take(_places(numeric)), _names(numeric)))
    if dates:
        n = len(dates)
        # Days, not seconds: a float32 cannot tell two minutes of this century apart.
        days = Scale(_places(dates), (math.nan,) * n, (0.0,) * n, (_DAY_S,) * n)
        ops.append((days, _names(dates)))
    return ops


def _fit_scale(
    columns: list[tuple[int, Column]], profile: Profile, *, recipe: Recipe
) -> tuple[Op, list[str]]:
    rows = []
    for _, column in columns:
        numbers = profile.numbers[column.name]
        if not numbers.count:
            rows.append((0.0, 0.0, 1.0))
        elif recipe.numbers == "standard":
            center = numbers.mean
            rows.append((center, center, _spread(math.sqrt(numbers.variance), center)))
        else:
            center = numbers.quantile(0.5)
            rows.append((center, center, _robust_spread(numbers, center)))
    impute, center_, scale = (tuple(row[k] for row in rows) for k in range(3))
    return Scale(_places(columns), impute, center_, scale, recipe.clip), _names(columns)


def _spread(spread: float, center: float) -> float:
    """A scale to divide by: 1 for a constant column, which then becomes 0 everywhere."""
    usable = math.isfinite(spread) and spread > max(MIN_SCALE, _RELATIVE_SPREAD * abs(center))
    return spread if usable else 1.0


def _robust_spread(numbers: NumberProfile, center: float) -> float:
    """The interquartile range, or half the range where half the rows share one value."""
    quartiles = numbers.quantile(0.75) - numbers.quantile(0.25)
    half_range = (numbers.maximum - numbers.minimum) / 2.0
    usable = _spread(quartiles, center) == quartiles
    return quartiles if usable else _spread(half_range, center)


def _fit_quantile(
    columns: list[tuple[int, Column]], profile: Profile, *, recipe: Recipe
) -> tuple[Op, list[str]]:
    impute, knots, values = [], [], []
    for _, column in columns:
        numbers = profile.numbers[column.name]
        x, y = _quantile_map(numbers)
        impute.append(numbers.quantile(0.5) if numbers.count else 0.0)
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


def _fit_calendar(dates: list[tuple[int, Column]], *, recipe: Recipe) -> list[tuple[Op, list[str]]]:
    if not dates:
        return []
    forms = ("sin", "cos") if recipe.scales else ("plain",)
    missing = 0.0 if recipe.scales else math.nan
    cells = [(i, c.name, f, form) for i, c in dates for f in CALENDAR_FIELDS for form in forms]
    op = Calendar(
        tuple(cell[0] for cell in cells),
        tuple(f"{name}.{form}" for _, _, name, form in cells),
        (missing,) * len(cells),
    )
    names = [f"{c}.{f}" if form == "plain" else f"{c}.{f}.{form}" for _, c, f, form in cells]
    return [(op, names)]


def _fit_missing(
    columns: list[tuple[int, Column]], profile: Profile, *, recipe: Recipe
) -> list[tuple[Op, list[str]]]:
    """Only for columns that had missing values in training; one-hot has a feature of its own."""
    marked = [
        (i, c)
        for i, c in columns
        if (c.name in profile.numbers and profile.numbers[c.name].nulls)
        or (
            c.domain
            and recipe.coding_of(len(c.domain)) != "onehot"
            and profile.categories[c.name].nulls
        )
    ]
    if not marked:
        return []
    return [(Missing(_places(marked)), [f"{c.name} (missing)" for _, c in marked])]


def _places(columns: list[tuple[int, Column]]) -> tuple[int, ...]:
    return tuple(index for index, _ in columns)


def _names(columns: list[tuple[int, Column]]) -> list[str]:
    return [column.name for _, column in columns]
