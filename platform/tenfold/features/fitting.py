"""The fit: from a profile to operations with numbers. Reads no rows, so folds cost nothing.

Columns are grouped by what happens to them, one operation per group, in the schema's order inside a
group; the features of the groups stand side by side in the matrix.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tenfold.features.fitting_categories import fit_categories
from tenfold.features.fitting_numbers import fit_numbers
from tenfold.features.ops import (
    CALENDAR_FIELDS,
    Calendar,
    Missing,
    Op,
)
from tenfold.features.recipe import Recipe
from tenfold.schema import Column, Kind, Schema

if TYPE_CHECKING:
    from tenfold.profile import Profile

__all__ = ["fit_ops"]

_NUMERIC = (Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN)


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
        *fit_numbers(numeric, dates, profile, recipe=recipe),
        *(_fit_calendar(dates, recipe=recipe) if recipe.dates == "calendar" else []),
        *fit_categories(categories, profile, recipe=recipe),
        *(_fit_missing(columns, profile, recipe=recipe) if recipe.missing_indicator else []),
    ]
    return [(op, names) for op, names in ops if op.n_outputs]


def _fit_calendar(dates: list[tuple[int, Column]], *, recipe: Recipe) -> list[tuple[Op, list[str]]]:
    if not dates:
        return []
    forms = ("sin", "cos") if recipe.scales else ("plain",)
    missing = math.nan if recipe.leaves_missing else 0.0
    if not recipe.scales and not recipe.leaves_missing:
        missing = -1.0  # no month, day, weekday or hour
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
