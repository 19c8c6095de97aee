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
from tenfold.schema import FALSE_WORDS, TRUE_WORDS, Column, Kind

__all__ = [
    "MAX_EXACT",
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

MAX_EXACT = float(2**53)
"""A float up to here is the whole number that its sender meant."""
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
    """The value is a text that all laws of files decide on, see `tenfold.features.written`."""


Reads = Callable[[str], float]
"""Reads a text as a number, or raises `Odd`."""

_NUMBER = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,4})?")
_PERCENT = re.compile(r"([+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})) ?%")
_COMMA = re.compile(r"[+-]?[0-9]{1,40}(,[0-9]{0,40})?")
_DIGITS = re.compile(r"[+-]?[0-9]{1,40}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_EXACT = re.compile(r"[+-]?[0-9]{1,15}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-7]):[0-5][0-9])?)?"
)


def _by(pattern: re.Pattern[str], read: Reads) -> Reads:
    """Reads texts of one pattern, which are finite; all others are odd."""

    def found(text: str) -> float:
        match = pattern.fullmatch(text)
        if match is None:
            raise Odd
        number = read(match[0])
        if number - number != 0:  # 1e999 is none
            raise Odd
        return number

    return found


def _number_in_text(column: Column) -> Reads:
    """How the commonest writings of a column's numbers are read, to the bits of
    `tenfold.data.convert`."""
    form = column.form
    if column.kind is Kind.INTEGER:
        as_bare = form.decimal == "point" and not form.unit
        pattern = _WHOLE if as_bare else _EXACT
        return _never if form.unit == "%" else _by(pattern, lambda text: float(int(text)))
    if form.unit == "%":
        as_percent = form.decimal == "point"
        return _by(_PERCENT, lambda text: float(text[:-1]) / 100) if as_percent else _never
    if form.decimal == "comma":
        return _by(_COMMA, lambda text: float(text.replace(",", ".")))
    return _by(_NUMBER if form.decimal == "point" else _DIGITS, float)


def _never(_text: str) -> float:
    raise Odd


def _markers(column: Column) -> frozenset[str]:
    """Those that mean it as they are."""
    missing = column.missing
    if missing is None:
        return frozenset()
    return frozenset(text for text in missing.markers if missing.read(text) is None)


def _number_reader(column: Column) -> Reader:
    whole = column.kind is Kind.INTEGER
    markers = _markers(column)
    in_text = _number_in_text(column)

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
            if whole:
                if kind is float and not number.is_integer():
                    raise Refused(f"{number} is not whole; send an integer")
                if abs(number) > MAX_EXACT and (kind is float or not -(2**63) <= value < 2**63):
                    raise Refused(f"{shown(value)} is too large for a whole number; send null")
                return number + 0.0  # -0.0 is no whole number
            return number
        if value is None:
            return math.nan
        if isinstance(value, str):
            return math.nan if value in markers else in_text(value)
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
    missing = column.missing

    def read(value: Any) -> float:
        if value is True:
            return 1.0
        if value is False:
            return 0.0
        if value is None:
            return math.nan
        if isinstance(value, str):
            text = value if missing is None else missing.read(value)
            if text is None:
                return math.nan
            code = _TRUTH.get(text.lower()) if len(text) <= _LONGEST_WORD else None
            if code is not None:
                return code
        raise Refused(f"{shown(value)} is not a boolean; send true, false or null")

    return read


_TRUTH = dict.fromkeys(TRUE_WORDS, 1.0) | dict.fromkeys(FALSE_WORDS, 0.0)
_LONGEST_WORD = max(map(len, _TRUTH))


def _datetime_reader(column: Column) -> Reader:
    markers = _markers(column)
    of_day = _day_reader() if column.form.dates == "excel" else None

    def read(value: Any) -> float:
        if value is None:
            return math.nan
        if isinstance(value, str):
            if value in markers:
                return math.nan
            if not _TIME.fullmatch(value):
                raise Odd
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise Odd from None
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        elif of_day is not None and value.__class__ in (int, float):
            return of_day(value)
        if not isinstance(value, datetime):
            raise Refused(f"{shown(value)} is not a time; send {TIME_TEXT} or null")
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return float((moment - _EPOCH) // _MICROSECOND) / 1e6

    return read


def _day_reader() -> Reader:
    """Of a spreadsheet's day numbers, as typed files have them, too."""
    from tenfold.data.dates import read_serials

    def read(value: Any) -> float:
        if value != value:
            return math.nan
        if abs(value) < _MANY_DAYS:
            micros, readable = read_serials(np.array([value], np.float64), np.array([True]))
            if readable[0]:
                return float(micros[0]) / 1e6
        raise Refused(f"{shown(value)} is no day of a spreadsheet; send {TIME_TEXT} or null")

    return read


_MANY_DAYS = 1e9


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
