"""What marks each segment: its size, the columns in which it differs most, typical values.

How far a segment stands apart in a column is told on one scale for all kinds of columns, 0 (as the
other rows) to 1 (no overlap): for numbers Cliff's delta (N. Cliff, "Dominance statistics", 1993),
which needs no unit and no normal distribution; for categories the total variation distance, which
Cliff's delta is for two categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.schema import Column, Kind, Schema

__all__ = ["Mark", "Portrait", "cliffs_delta", "paint"]

N_MARKS = 5
"""Columns told of a segment: what a person keeps in mind."""
LEAST_APART = 0.1
"""Below it a segment is like the others; Cliff's own word for less than 0.147 is negligible."""
_NUMBERS = (Kind.NUMBER, Kind.INTEGER, Kind.DATETIME, Kind.TEXT)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Mark:
    """A column in which a segment differs.

    Attributes:
        column: its name.
        apart: 0 to 1, see the module.
        typical: the median, or the category that is over-represented most, with its share.
        others: the same of the rows outside the segment.
    """

    column: str
    apart: float
    typical: str
    others: str


@dataclass(frozen=True, slots=True)
class Portrait:
    """One segment.

    Attributes:
        name: as the model answers it.
        n_rows: training rows in it.
        share: of the training rows, 0 to 1.
        marks: the columns that differ most, the strongest first; empty where none does.
    """

    name: str
    n_rows: int
    share: float
    marks: tuple[Mark, ...]

    def title(self) -> str:
        """Name and size."""
        return f"{self.name}: {self.n_rows:,} rows, {self.share:.0%}"

    def pairs(self) -> list[tuple[str, str]]:
        """Columns and what is typical of them, for a card."""
        told = [
            (m.column, f"{m.typical}; others {m.others} (apart {m.apart:.2f})") for m in self.marks
        ]
        return told or [("no column", "differs from the other rows")]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self) | {"marks": [asdict(mark) for mark in self.marks]}


def paint(
    schema: Schema, codes: NDArray[np.float64], labels: NDArray[np.int64], names: Sequence[str]
) -> tuple[Portrait, ...]:
    """A portrait of each segment.

    Args:
        schema: of the codes.
        codes: of the training rows (n_rows, `code_width`).
        labels: segment numbers (n_rows,).
        names: of the segments, one a number.

    >>> schema = Schema((Column("age", Kind.NUMBER),))
    >>> ages = np.array([[20.0], [22.0], [70.0]])
    >>> paint(schema, ages, np.array([0, 0, 1]), ["young", "old"])[0].marks
    (Mark(column='age', apart=1.0, typical='21', others='70'),)
    """
    return tuple(
        Portrait(
            name,
            int((labels == number).sum()),
            float((labels == number).mean()),
            _marks(schema, codes, labels == number),
        )
        for number, name in enumerate(names)
    )


def _marks(
    schema: Schema, codes: NDArray[np.float64], inside: NDArray[np.bool_]
) -> tuple[Mark, ...]:
    if inside.all() or not inside.any():
        return ()
    found = []
    for place, column in enumerate(schema.features):
        values = codes[:, place]
        if column.kind in _NUMBERS:
            mark = _number_mark(column, values, inside)
        else:
            mark = _category_mark(column, values, inside)
        if mark is not None and mark.apart >= LEAST_APART:
            found.append(mark)
    return tuple(sorted(found, key=lambda mark: -mark.apart)[:N_MARKS])


def _number_mark(
    column: Column, values: NDArray[np.float64], inside: NDArray[np.bool_]
) -> Mark | None:
    known = ~np.isnan(values)
    own, rest = values[inside & known], values[~inside & known]
    if not len(own) or not len(rest):
        return None
    typical, others = (_told(column, float(np.median(part))) for part in (own, rest))
    return Mark(column.name, abs(cliffs_delta(own, rest)), typical, others)


def cliffs_delta(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How much likelier a value of one is above a value of the other than below it.

    >>> cliffs_delta(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.75
    """
    ordered = np.sort(other)
    below = np.searchsorted(ordered, one, side="left").sum()
    above = len(other) * len(one) - np.searchsorted(ordered, one, side="right").sum()
    return float((below - above) / (len(one) * len(other)))


def _told(column: Column, value: float) -> str:
    if column.kind is Kind.DATETIME:
        return (_EPOCH + timedelta(seconds=value)).strftime("%Y-%m-%d")
    return f"{value:.4g} words" if column.kind is Kind.TEXT else f"{value:,.6g}"


def _category_mark(
    column: Column, values: NDArray[np.float64], inside: NDArray[np.bool_]
) -> Mark | None:
    if column.domain is None and column.kind is not Kind.BOOLEAN:
        return None  # hashed texts have no names to tell
    filled = np.where(np.isnan(values), -2.0, values)
    levels, codes = np.unique(filled, return_inverse=True)
    own = np.bincount(codes[inside], minlength=len(levels)) / inside.sum()
    rest = np.bincount(codes[~inside], minlength=len(levels)) / (~inside).sum()
    most = int((own - rest).argmax())
    name = _level(column, int(levels[most]))
    apart = float(np.abs(own - rest).sum() / 2)
    return Mark(column.name, apart, f"{name} ({own[most]:.0%})", f"{rest[most]:.0%}")


def _level(column: Column, code: int) -> str:
    if code == -2:
        return "missing"
    if column.domain is None:
        return "true" if code else "false"
    return column.domain[code] if 0 <= code < len(column.domain) else "other"
