"""The fit: from a profile to operations with numbers. Reads no rows, so folds cost nothing.

Columns are grouped by what happens to them, one operation per group, in the schema's order inside a
group; the features of the groups stand side by side in the matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.features.fitting_categories import fit_categories, is_hashed
from tenfold.features.fitting_dates import fit_dates
from tenfold.features.fitting_numbers import fit_numbers
from tenfold.features.fitting_texts import fit_texts
from tenfold.features.ops import (
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
    categories = [(i, c) for i, c in columns if c.domain or is_hashed(c)]
    ops = [
        *fit_numbers(numeric, dates, profile, recipe=recipe),
        *fit_dates(dates, recipe=recipe),
        *fit_categories(categories, profile, recipe=recipe),
        *fit_texts(schema, profile),
        *(_fit_missing(columns, profile, recipe=recipe) if recipe.missing_indicator else []),
    ]
    return [(op, names) for op, names in ops if op.n_outputs]


def _fit_missing(
    columns: list[tuple[int, Column]], profile: Profile, *, recipe: Recipe
) -> list[tuple[Op, list[str]]]:
    """Only for columns that had missing values in training; one-hot has a feature of its own."""
    marked = [
        (i, c)
        for i, c in columns
        if (c.name in profile.numbers and profile.numbers[c.name].nulls)
        or ((is_hashed(c) or c.kind is Kind.TEXT) and profile.categories[c.name].nulls)
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
