"""Small mergeable counts that a scan keeps of a column: how its numbers and dates are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TELLING_SHARE", "DateEvidence", "Extent", "NumberEvidence", "merge_units"]

TELLING_SHARE = 0.95
"""Of the dates that tell whether day or month stands first, so many must agree."""
COMMA_SHARE = 0.05
"""Fewer values with a decimal comma than that are slips in a column with a decimal point."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How many values, and from where to where; merges exactly.

    >>> Extent.of(np.array([3.0, 1.0]), np.array([2, 1])).merge(Extent())
    Extent(n=3, low=1.0, high=3.0)
    """

    n: int = 0
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, values: NDArray[np.float64], weights: NDArray[np.int64]) -> Extent:
        """Values with how often each occurs; shapes (n_values,)."""
        if not len(values):
            return cls()
        return cls(int(weights.sum()), float(values.min()), float(values.max()))

    def merge(self, other: Extent) -> Extent:
        """Both together."""
        lows = [value for value in (self.low, other.low) if value is not None]
        highs = [value for value in (self.high, other.high) if value is not None]
        return Extent(self.n + other.n, min(lows, default=None), max(highs, default=None))


@dataclass(frozen=True, slots=True)
class NumberEvidence:
    """Numbers written in one unit, by what their separators say.

    Attributes:
        free: without any separator: the same under both readings.
        point: with separators, read with a decimal point (commas between thousands).
        comma: with separators, read with a decimal comma (points or blanks between thousands).
        n_comma_or_thousand: like ``1,234``: in both, with different values.
        n_point_or_thousand: like ``1.234``: in both, with different values.
    """

    free: Extent = Extent()
    point: Extent = Extent()
    comma: Extent = Extent()
    n_comma_or_thousand: int = 0
    n_point_or_thousand: int = 0

    def merge(self, other: NumberEvidence) -> NumberEvidence:
        """Both together."""
        return NumberEvidence(
            free=self.free.merge(other.free),
            point=self.point.merge(other.point),
            comma=self.comma.merge(other.comma),
            n_comma_or_thousand=self.n_comma_or_thousand + other.n_comma_or_thousand,
            n_point_or_thousand=self.n_point_or_thousand + other.n_point_or_thousand,
        )

    def decimal(self, *, money: bool) -> str:
        """``point``, ``comma`` or ``undecided``: what the values that can tell say.

        Without any that tells, a point is a decimal point, as programs write it; but in money
        thousands are as likely, so there it stays undecided.
        """
        n_both = self.n_comma_or_thousand + self.n_point_or_thousand
        n_point, n_comma = self.point.n - n_both, self.comma.n - n_both
        n_all = self.free.n + n_both + n_point + n_comma
        if n_comma > n_point and n_comma >= COMMA_SHARE * n_all:
            return "comma"
        if money and self.n_point_or_thousand and not n_point:
            return "undecided"
        return "point"

    @property
    def n_undecided(self) -> int:
        """Values that are refused while nothing tells fractions from thousands."""
        return self.n_point_or_thousand

    def read(self, decimal: str) -> Extent:
        """What a reading takes; what is undecided counts as read with a point."""
        return self.free.merge(self.comma if decimal == "comma" else self.point)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return _to_dict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> NumberEvidence:
        """The inverse of `to_dict`."""
        return cls(**_from_dict(value))


@dataclass(frozen=True, slots=True)
class DateEvidence:
    """Points in time, by whether their text tells day from month.

    Attributes:
        free: with no order in question: ISO, month names, ``4.3.2021``, ``5/5/2021``.
        day: others that read with the day first; epoch seconds.
        month: others that read with the month first.
        n_either: in both.
    """

    free: Extent = Extent()
    day: Extent = Extent()
    month: Extent = Extent()
    n_either: int = 0

    @property
    def n_any(self) -> int:
        """Values that are a date in some order."""
        return self.free.n + self.day.n + self.month.n - self.n_either

    def merge(self, other: DateEvidence) -> DateEvidence:
        """Both together."""
        return DateEvidence(
            free=self.free.merge(other.free),
            day=self.day.merge(other.day),
            month=self.month.merge(other.month),
            n_either=self.n_either + other.n_either,
        )

    def order(self) -> str:
        """``day_first``, ``month_first`` or ``undecided``: what the dates that can tell say.

        >>> DateEvidence(day=Extent(9, 0, 1), month=Extent(5, 0, 1), n_either=5).order()
        'day_first'
        """
        n_day, n_month = self.day.n - self.n_either, self.month.n - self.n_either
        if n_day > 0 and n_day >= TELLING_SHARE * (n_day + n_month):
            return "day_first"
        if n_month > 0 and n_month >= TELLING_SHARE * (n_day + n_month):
            return "month_first"
        return "undecided"

    def read(self, order: str) -> Extent:
        """What is taken under an order; without one, only what tells by itself."""
        if order == "day_first":
            return self.free.merge(self.day)
        if order == "month_first":
            return self.free.merge(self.month)
        every = self.free.merge(self.day).merge(self.month)
        return Extent(every.n - 2 * self.n_either, every.low, every.high)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return _to_dict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> DateEvidence:
        """The inverse of `to_dict`."""
        return cls(**_from_dict(value))


def merge_units(
    first: Mapping[str, NumberEvidence], second: Mapping[str, NumberEvidence]
) -> dict[str, NumberEvidence]:
    """The evidence of two parts of a column, by unit."""
    nothing = NumberEvidence()
    return {
        unit: first.get(unit, nothing).merge(second.get(unit, nothing))
        for unit in sorted({*first, *second})
    }


def _to_dict(value: NumberEvidence | DateEvidence) -> dict[str, Any]:
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {
        name: [part.n, part.low, part.high] if isinstance(part, Extent) else part
        for name, part in found.items()
    }


def _from_dict(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Extent(*part) if isinstance(part, list) else part for name, part in value.items()}
