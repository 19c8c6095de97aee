"""The fit of times: calendar fields, and what elapsed between two. It needs no profile."""

from __future__ import annotations

import math
from itertools import combinations

from tenfold.features.ops import CALENDAR_FIELDS, Calendar, Elapsed, Op
from tenfold.features.recipe import Recipe
from tenfold.schema import Column

__all__ = ["fit_dates"]

MAX_PAIRS = 10
"""Most pairs of time columns, in the schema's order: all of five columns."""

_NO_FIELD = -1.0
"""No month, day, weekday or hour: for a missing time where nothing may stay missing."""


def fit_dates(columns: list[tuple[int, Column]], *, recipe: Recipe) -> list[tuple[Op, list[str]]]:
    """Operations and the names of their features, beside the times themselves.

    Args:
        columns: places in the codes and columns of times.
        recipe: what to make of them.
    """
    if not columns or recipe.dates == "epoch":
        return []
    ops = [_fit_calendar(columns, recipe=recipe)]
    if recipe.dates == "elapsed":
        ops.append(_fit_elapsed(columns, recipe=recipe))
    return ops


def _fit_calendar(columns: list[tuple[int, Column]], *, recipe: Recipe) -> tuple[Op, list[str]]:
    forms = ("sin", "cos") if recipe.scales else ("plain",)
    missing = math.nan
    if not recipe.leaves_missing:
        missing = 0.0 if recipe.scales else _NO_FIELD
    cells = [(i, c.name, f, form) for i, c in columns for f in CALENDAR_FIELDS for form in forms]
    op = Calendar(
        tuple(cell[0] for cell in cells),
        tuple(f"{name}.{form}" for _, _, name, form in cells),
        (missing,) * len(cells),
    )
    return op, [f"{c}.{f}" if form == "plain" else f"{c}.{f}.{form}" for _, c, f, form in cells]


def _fit_elapsed(columns: list[tuple[int, Column]], *, recipe: Recipe) -> tuple[Op, list[str]]:
    pairs = list(combinations(columns, 2))[:MAX_PAIRS]
    op = Elapsed(
        tuple(end for _, (end, _) in pairs),
        tuple(start for (start, _), _ in pairs),
        ("log" if recipe.scales else "days",) * len(pairs),
        (math.nan if recipe.leaves_missing else 0.0,) * len(pairs),
    )
    return op, [f"{second.name} - {first.name} (days)" for (_, first), (_, second) in pairs]
