"""Does the order of the file mean something: time, groups, or a column that it was sorted by?

Judged by how alike rows are that stand together, in two samples in order of the source: the spread
one, whose rows stand apart in a larger table, for time, sorting and long groups, and the runs of
adjacent rows for groups as short as two. Sources:
R. Bartels, "The rank version of von Neumann's ratio test for randomness" (1982), for numbers; for
categories the number of equal neighbors, D. Barton and F. David, "Multiple runs" (1957).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tenfold.profile.columns import NUMBER_KINDS, column_values
from tenfold.profile.finding import Finding, Law, Level
from tenfold.profile.grid import Floats
from tenfold.profile.runs import Runs
from tenfold.profile.strength import correlation_ratio, cramers_v
from tenfold.profile.survey import Survey, surveyed_columns
from tenfold.schema import Column, Kind, Role, Schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Alike", "order_findings", "order_of"]

FAMILY_ALPHA = 0.001
"""Chance that a table in random order is told to have one, over all of its columns (Bonferroni)."""
MIN_ALIKE = 0.1
"""Below this neighbors are alike in name only, however sure that is."""
MIN_ROWS = 30
SORTED_ALIKE, SORTED_BREAKS = 0.9, 0.05
"""A column that the file is sorted by, but for this share of its steps going back: files are put
together from sorted parts."""
LONG_RANGE = 0.3
"""Correlation ratio between a column and the slices of the file from which it drifts along all of
it, as time does; rows that stand together by place or owner start anew every few rows (0.22 at
most in king-county, 0.66 in elec2)."""
NAMED = 3
"""Columns that a message names."""


@dataclass(frozen=True, slots=True)
class Alike:
    """How alike neighbors in the file are in one column.

    Attributes:
        column: which.
        alike: 1 for the same value or next rank, 0 as by chance, below 0 for unlike ones.
        chance: what ``alike`` stays below in a random order, in all columns together but for
            `FAMILY_ALPHA`.
        sorted_by: whether the file is sorted by it.
    """

    column: Column
    alike: float
    chance: float
    sorted_by: bool

    @property
    def tells(self) -> bool:
        """Whether the order of the file goes with this column."""
        return abs(self.alike) > max(self.chance, MIN_ALIKE)


def order_of(survey: Survey) -> list[Alike]:
    """Each surveyed column but the time, judged; columns that do not vary are left out."""
    columns = [c for c in surveyed_columns(survey.schema) if c.role is not Role.TIME]
    judged = [(column, found) for column in columns if (found := _both(survey, column))]
    n_tests = max(1, sum(len(found) for _, found in judged))
    bound = NormalDist().inv_cdf(1.0 - FAMILY_ALPHA / 2.0 / n_tests)
    told = []
    for column, found in judged:
        alike, error, _ = max(found, key=lambda one: abs(one[0]) / one[1])
        told.append(Alike(column, alike, bound * error, any(one[2] for one in found)))
    return told


Judged = tuple[float, float, bool]
Together = npt.NDArray[np.bool_]


def _both(survey: Survey, column: Column) -> list[Judged]:
    """By the spread rows, and by the runs, which tell of sorting nothing that the others do not."""
    found = [_judge(survey.sample.table.column(column.name), column)]
    if survey.runs.n_rows:
        near = _judge(survey.runs.table.column(column.name), column, survey.runs)
        found.append(None if near is None else (*near[:2], False))
    return [one for one in found if one is not None and one[1] > 0.0]


def _judge(values: pa.ChunkedArray, column: Column, runs: Runs | None = None) -> Judged | None:
    array = values.combine_chunks()
    if column.kind in NUMBER_KINDS:
        numbers = column_values(array)
        known = np.isfinite(numbers)
        return number_neighbors(numbers[known], _together(runs, known))
    known = array.is_valid().to_numpy(zero_copy_only=False)
    codes = array.drop_null().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return category_neighbors(codes, _together(runs, known))


def _together(runs: Runs | None, known: npt.NDArray[np.bool_]) -> Together | None:
    return None if runs is None else runs.same_run(np.flatnonzero(known))


def number_neighbors(values: Floats, together: Together | None = None) -> Judged | None:
    """How alike neighbors are, its standard error in a random order, whether they are sorted.

    Args:
        values: finite, in order of the file, shape (n_rows,).
        together: which of the n_rows - 1 pairs of neighbors count; all by default.

    >>> number_neighbors(np.arange(100.0))[2]
    True
    """
    n = len(values)
    if n < MIN_ROWS:
        return None
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return None
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2.0)[inverse]  # equal values share their mean rank
    steps = np.diff(ranks)
    if together is not None:
        steps = steps[together]
    if len(steps) < MIN_ROWS - 1:
        return None
    spread = float(np.var(ranks))
    alike = 1.0 - float(np.mean(steps * steps)) / (2.0 * spread)
    up, down = int((steps > 0).sum()), int((steps < 0).sum())
    breaks = min(up, down) / max(1, up + down)
    error = 1.0 / math.sqrt(n if together is None else len(steps))
    return alike, error, alike >= SORTED_ALIKE and breaks <= SORTED_BREAKS


def category_neighbors(codes: npt.NDArray[Any], together: Together | None = None) -> Judged | None:
    """As `number_neighbors`, for codes without an order.

    >>> category_neighbors(np.repeat([0, 1], 50))[2]
    True
    """
    n = len(codes)
    shares = np.bincount(codes) / max(1, n)
    second, third = float(np.sum(shares**2)), float(np.sum(shares**3))
    if n < MIN_ROWS or second >= 1.0 - 1e-12:
        return None
    same = codes[1:] == codes[:-1]
    if together is not None:
        same = same[together]
    if len(same) < MIN_ROWS - 1:
        return None
    n = n if together is None else len(same)
    alike = (float(same.mean()) - second) / (1.0 - second)
    error = math.sqrt(max(0.0, second + second * second - 2.0 * third) / n) / (1.0 - second)
    runs, distinct = int((~same).sum()) + 1, int((shares > 0).sum())
    return alike, error, alike >= SORTED_ALIKE and runs <= distinct * (1.0 + SORTED_BREAKS)


def order_findings(survey: Survey, alike: Sequence[Alike], *, ordered: bool) -> list[Finding]:
    """What the order of the file says about the way to split it.

    Args:
        survey: of the training rows.
        alike: of `order_of` for it.
        ordered: whether the project says that there is a time.
    """
    schema = survey.schema
    if ordered and survey.axis.column is not None:
        return []  # the time column orders the rows, wherever they stand in the file
    telling = [one for one in alike if one.tells]
    if ordered:
        return [_declared(schema, alike, telling)]
    drifting = [one for one in telling if _drift(survey, one.column) >= LONG_RANGE]
    return [*_undeclared(schema, telling, drifting)]


def _drift(survey: Survey, column: Column) -> float:
    if column.name in survey.course.numbers:
        stats = survey.course.numbers[column.name]
        return correlation_ratio(stats.n, stats.mean, stats.m2)
    return cramers_v(survey.course.categories[column.name].counts)


def _declared(schema: Schema, alike: Sequence[Alike], telling: Sequence[Alike]) -> Finding:
    if telling:
        message = (
            f"file order carries time, as declared: rows that stand together are alike in "
            f"{_told(schema, telling)}"
        )
        return Finding(Level.NOTE, None, Law.ROW_ORDER, message)
    return Finding(
        Level.WARNING,
        None,
        Law.ROW_ORDER,
        f"rows are declared to be in order of time, and in none of {len(alike)} columns are rows "
        "that stand together alike: is the file still in its first order?",
    )


def _undeclared(
    schema: Schema, telling: Sequence[Alike], drifting: Sequence[Alike]
) -> Iterator[Finding]:
    target = next((one for one in telling if one.column.role is Role.TARGET), None)
    dated = [one for one in telling if one.column.kind is Kind.DATETIME and one.sorted_by]
    if dated:
        name = dated[0].column.name
        yield Finding(
            Level.WARNING,
            name,
            Law.ROW_ORDER,
            f"the file is in order of the dates in {name!r}: declare data.time: {{column: "
            f"{name}}}, so that no model is judged on rows older than those it has learned from",
        )
    elif (target is not None and target.sorted_by) or (target is None and telling):
        by = [one for one in telling if one.sorted_by]
        yield Finding(
            Level.NOTE,
            None,
            Law.ROW_ORDER,
            (
                f"the file is sorted by {_names(by)}"
                if by
                else f"rows that stand together are alike in {_told(schema, telling)}"
            )
            + ": folds are dealt by hash, so this does no harm; never split it by position",
        )
    elif target is not None:
        yield Finding(
            Level.WARNING if _group(schema) is None else Level.NOTE,
            target.column.name,
            Law.ROW_ORDER,
            f"file order carries {_carried(schema, drifting)}: rows that stand together are alike "
            f"in {_told(schema, telling)}; {_advice(schema)}",
        )


def _carried(schema: Schema, drifting: Sequence[Alike]) -> str:
    if drifting and not _dates(schema):
        return "time"
    return "groups" if _dates(schema) or _group(schema) else "time or groups"


def _advice(schema: Schema) -> str:
    group, dates = _group(schema), _dates(schema)
    if group is not None:
        return f"folds keep the groups of {group!r} whole, which should be what they share"
    harm = "a model is else judged on neighbors of the rows it has learned from"
    if dates:
        return (
            f"it does not go with the dates in {dates[0]!r}; if rows share a place, a household "
            f"or a customer, declare it as data.group: {harm}"
        )
    return (
        "if rows are in order of time declare data.time: {order: rows}, if they share an owner or "
        f"a place declare it as data.group: {harm}"
    )


def _group(schema: Schema) -> str | None:
    return next((c.name for c in schema.columns if c.role is Role.GROUP), None)


def _dates(schema: Schema) -> list[str]:
    return [c.name for c in schema.features if c.kind is Kind.DATETIME]


def _told(schema: Schema, telling: Sequence[Alike]) -> str:
    """``'cnt' (0.76 of 1, by chance up to 0.04) and 11 more columns``, the target first."""
    ranked = sorted(telling, key=lambda one: (one.column.role is not Role.TARGET, -abs(one.alike)))
    first = ranked[0]
    more = len(ranked) - 1
    others = "" if not more else f" and {more} more column{'s' if more > 1 else ''}"
    return (
        f"{first.column.name!r} ({first.alike:.2f} of 1, by chance up to {first.chance:.2f})"
        f"{others}"
    )


def _names(found: Sequence[Alike]) -> str:
    names = [repr(one.column.name) for one in found[:NAMED]]
    rest = len(found) - len(names)
    return ", ".join(names) + (f" and {rest} more" if rest else "")
