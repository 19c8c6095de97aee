"""How one JSON value becomes one code, per kind: strict, and with a reason when it does not.

Categories of tables go through the same function as those of JSON rows (see `codes`). A text in a
column of numbers, booleans or times means what it would mean in a file: the writings that programs
use are read here, to the same bits, and every other is left to `tenfold.features.written`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from tenfold.features.hashing import text_hash
from tenfold.profile.texts import gram_counts, text_words
from tenfold.schema import Column, Kind

__all__ = [
    "MAX_FAULTS",
    "READERS",
    "TIME_TEXT",
    "UNSEEN",
    "Odd",
    "Reader",
    "Refused",
    "category_reader",
    "grams_counter",
    "listed",
    "number_wanted",
    "shown",
]

MAX_FAULTS = 20
"""Faults listed in one answer: enough to mend a client, too few to be an amplifier."""

UNSEEN = -1.0
"""Code of a category that is not in the column's domain."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHOWN_CHARACTERS = 40

Reader = Callable[[Any], float]


class Refused(Exception):
    """A value is not of the column's kind; the text is the reason."""


class Odd(Refused):
    """A text that is read, or refused, by all the laws of files, see `tenfold.features.written`;
    the text of the error is that text."""


_NUMBER = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,4})?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-7]):[0-5][0-9])?)?"
)
_NO_TEXT = re.compile(r"(?!)")


def _markers(column: Column) -> frozenset[str]:
    return frozenset() if column.missing is None else column.missing.markers


def _number_reader(column: Column) -> Reader:
    whole = column.kind is Kind.INTEGER
    markers = _markers(column)
    as_programs_write = _WHOLE if whole else _NUMBER
    if column.form.unit or column.form.decimal != "point":
        as_programs_write = _NO_TEXT  # in this column it may mean something else, or nothing

    def read(value: Any) -> float:
        kind = value.__class__
        if kind is int or kind is float:
            try:
                number = float(value)
            except OverflowError:
                raise Refused("the number is too large for a 64-bit float") from None
            if not math.isfinite(number):
                if number != number:
                    return number
                raise Refused(f"{number} is not finite; send a number or null")
            if whole and kind is float and not number.is_integer():
                raise Refused(f"{number} is not whole; send an integer")
            return number
        if value is None:
            return math.nan
        if kind is str:
            if value in markers:
                return math.nan
            if as_programs_write.fullmatch(value):
                number = float(int(value)) if whole else float(value)
                if number - number == 0:  # 1e999 is none
                    return number
            raise Odd(value)
        if isinstance(value, (np.integer, np.floating)):
            return read(value.item())
        if isinstance(value, bool):
            raise Refused(f"{shown(value)} is a boolean; send {number_wanted(column)}")
        raise Refused(f"{shown(value)} is not a number; send {number_wanted(column)} or null")

    return read


def number_wanted(column: Column) -> str:
    """What to send for a column of numbers, in words."""
    if column.form.unit == "%":
        return "the fraction as a number (0.12 for 12 %)"
    return "an integer" if column.kind is Kind.INTEGER else "a number"


def _boolean_reader(column: Column) -> Reader:
    def read(value: Any) -> float:
        if value is True:
            return 1.0
        if value is False:
            return 0.0
        if value is None:
            return math.nan
        if value.__class__ is str:
            raise Odd(value)
        raise Refused(f"{shown(value)} is not a boolean; send true, false or null")

    return read


def _datetime_reader(column: Column) -> Reader:
    markers = _markers(column)
    day_numbers = column.form.dates == "excel"

    def read(value: Any) -> float:
        if value is None:
            return math.nan
        if isinstance(value, str):
            if value in markers:
                return math.nan
            if not _TIME.fullmatch(value):
                raise Odd(value)
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise Odd(value) from None
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        elif day_numbers and value.__class__ in (int, float):
            if value != value:
                return math.nan
            raise Odd(repr(value))
        if not isinstance(value, datetime):
            raise Refused(f"{shown(value)} is not a time; send {TIME_TEXT} or null")
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return float((moment - _EPOCH) // _MICROSECOND) / 1e6

    return read


TIME_TEXT = "ISO 8601 text such as '2031-05-04T13:30:00Z'"


def category_reader(column: Column) -> Reader:
    """Text to its place in the domain, or to its hash where there is none; built once per
    column."""
    if column.domain is None:
        return _text_reader(column, _hash_of)
    codes = {text: float(index) for index, text in enumerate(column.domain)}
    missing = column.missing

    def read(value: Any) -> float:
        if value.__class__ is str:
            code = codes.get(value)
            if code is not None:
                return code  # also a category that looks like a marker: it was none in training
            if missing is not None and missing.read(value) is None:
                return math.nan
            # Domains are trimmed when the project says so; a client's blanks are then not a new
            # category. A domain that kept its blanks is hit before this line.
            return codes.get(value.strip(), UNSEEN)
        if value is None:
            return math.nan
        raise Refused(f"{shown(value)} is not text; send text or null")

    return read


def _text_reader(column: Column, code: Callable[[str], float]) -> Reader:
    missing = column.missing

    def read(value: Any) -> float:
        if value.__class__ is str:
            text = value if missing is None else missing.read(value)
            return math.nan if text is None else code(text)
        if value is None:
            return math.nan
        raise Refused(f"{shown(value)} is not text; send text or null")

    return read


def _hash_of(text: str) -> float:
    return text_hash(text.strip())


def _words_reader(column: Column) -> Reader:
    return _text_reader(column, lambda text: float(len(text_words(text))))


def grams_counter(column: Column) -> Callable[[str | None], list[float]]:
    """A text to its hits per place, none for one that is missing; built once per column."""
    missing, grams = column.missing, column.grams

    def count(text: str | None) -> list[float]:
        if text is not None and missing is not None:
            text = missing.read(text)
        return gram_counts(text, grams)

    return count


READERS: dict[Kind, Callable[[Column], Reader]] = {
    Kind.NUMBER: _number_reader,
    Kind.INTEGER: _number_reader,
    Kind.BOOLEAN: _boolean_reader,
    Kind.DATETIME: _datetime_reader,
    Kind.CATEGORY: category_reader,
    Kind.TEXT: _words_reader,
    Kind.IDENTIFIER: category_reader,
    Kind.CONSTANT: category_reader,
}
"""By kind: a column to the function that reads its values."""


def shown(value: object) -> str:
    """A value as it may stand in an error: short, on one line, no control characters."""
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        return repr(value[:_SHOWN_CHARACTERS] + "…")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value)[: _SHOWN_CHARACTERS + 2]


def listed(names: Sequence[str], *, most: int = 8) -> str:
    """The first names, and how many more.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
