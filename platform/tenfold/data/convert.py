"""One column, text or typed, as the Arrow type of its kind, with a mask of what could not be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.data import parse
from tenfold.data.dates import read_dates, read_serials
from tenfold.data.numerals import read_integers, read_numbers
from tenfold.data.stamps import typed_micros
from tenfold.data.text import DEFAULT_MARKERS, as_mask, code_text, is_text, to_text, whole
from tenfold.schema import Form, Kind

__all__ = ["ARROW_TYPES", "UNDECIDED", "Converted", "convert"]

PLAIN = Form()
"""Bare numbers with a decimal point, dates that need no order."""
_LONGEST = 200
"""Bytes of a text that holds a number, a truth value or a time; what is longer holds none, and is
not looked at: one text of megabytes would take a second."""
ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.NUMBER: pa.float64(),
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATETIME: pa.timestamp("us", tz="UTC"),
}
"""Arrow type of a cleaned column; every other kind is a string."""

_REASONS = {
    Kind.NUMBER: "is not a number",
    Kind.INTEGER: "is not a whole number",
    Kind.BOOLEAN: "is not true or false",
    Kind.DATETIME: "is not a date or time",
}
UNDECIDED = {
    Kind.NUMBER: "may be a fraction or thousands; declare decimal for the column",
    Kind.INTEGER: "may be a fraction or thousands; declare decimal for the column",
    Kind.DATETIME: "may have its day or its month first; declare dates for the column",
}
"""Why a value that reads in two ways is refused."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A column after conversion.

    Attributes:
        array: values of the kind's Arrow type; null where missing or bad; shape (n_rows,).
        bad: True where a value was there and could not be read as the kind; shape (n_rows,).
        reason: what is wrong with the bad ones, e.g. ``"is not a number"``.
        undecided: of the bad ones, those that read in two ways (see `UNDECIDED`); None: none.
    """

    array: pa.Array
    bad: NDArray[np.bool_]
    reason: str
    undecided: NDArray[np.bool_] | None = None


def convert(
    column: pa.Array | pa.ChunkedArray,
    kind: Kind,
    *,
    markers: Collection[str] = DEFAULT_MARKERS,
    trim: bool = True,
    form: Form = PLAIN,
    numbers: NDArray[np.bool_] | None = None,
) -> Converted:
    """Read a column as a kind, its texts in their form.

    Args:
        column: texts, or of a type.
        kind: what they mean.
        markers: texts that mean missing.
        trim: strip blanks around texts.
        form: how texts are written.
        numbers: which of the texts are numbers as JSON writes them, whatever the form of the
            others, (n_rows,); None: none of them.

    >>> done = convert(pa.array(["1", " 2 ", "x", "?"]), Kind.INTEGER)
    >>> done.array.to_pylist(), done.bad.tolist(), done.reason
    ([1, 2, None, None], [False, False, True, False], 'is not a whole number')
    """
    array = whole(column)
    if numbers is not None and kind in (Kind.NUMBER, Kind.INTEGER) and form != PLAIN:
        own = convert(array, kind, markers=markers, trim=trim, form=form)
        return _chosen(numbers, convert(array, kind, markers=markers, trim=trim), own)
    reason = _REASONS.get(kind, "is not a text")
    if pa.types.is_null(array.type):
        nothing = pa.nulls(len(array), ARROW_TYPES.get(kind, pa.string()))
        return Converted(nothing, np.zeros(len(array), dtype=bool), reason)
    if not is_text(array.type):
        if kind is Kind.DATETIME and form.dates == "excel" and _is_numeric(array.type):
            return _from_serials(array, reason)
        return _from_typed(array, kind, reason)
    coded = code_text(array, markers=markers, trim=trim)
    if kind not in ARROW_TYPES:
        return Converted(coded.array(), np.zeros(len(array), dtype=bool), reason)
    values, readable, unsure = _read_texts(coded.values, kind, form)
    missing = coded.codes < 0
    bad = ~missing & ~np.append(readable, True)[coded.codes]
    spread = np.append(values, values.dtype.type(0))[coded.codes]
    undecided = np.append(unsure, False)[coded.codes] & bad if unsure.any() else None
    return Converted(_typed(spread, missing | bad, kind), bad, reason, undecided)


def _chosen(first: NDArray[np.bool_], one: Converted, other: Converted) -> Converted:
    """Of two readings of a column the first where it is asked for."""
    undecided = other.undecided
    return Converted(
        pc.if_else(pa.array(first), one.array, other.array),
        np.where(first, one.bad, other.bad),
        other.reason,
        None if undecided is None else undecided & ~first,
    )


def _read_texts(
    values: pa.StringArray, kind: Kind, form: Form
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    """Values, which are readable, and which only lack a decision; shapes (n_values,)."""
    long = as_mask(pc.greater(pc.binary_length(values), _LONGEST))
    if long.any():
        values = pc.if_else(pa.array(long), "", values)  # which is readable as nothing
    if kind is Kind.NUMBER:
        return read_numbers(values, form)
    if kind is Kind.INTEGER:
        return read_integers(values, form)
    if kind is Kind.DATETIME and form.dates != "excel":
        return read_dates(values, form.dates)
    nobody = np.zeros(len(values), dtype=bool)
    if kind is Kind.DATETIME:  # an export may mix serial numbers with dates that it did write
        stamps, is_date, _ = read_dates(values, "undecided")
        serials, is_serial = read_serials(*parse.parse_numbers(values))
        return np.where(is_serial, serials, stamps), is_serial | is_date, nobody
    return *parse.parse_booleans(values), nobody


def _typed(values: NDArray[np.generic], null: NDArray[np.bool_], kind: Kind) -> pa.Array:
    if kind is Kind.DATETIME:
        return pa.array(values, pa.int64(), mask=null).cast(ARROW_TYPES[kind])
    return pa.array(values, ARROW_TYPES[kind], mask=null)


def _from_typed(array: pa.Array, kind: Kind, reason: str) -> Converted:
    good = np.zeros(len(array), dtype=bool)
    if kind not in ARROW_TYPES:
        if pa.types.is_floating(array.type):
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        return Converted(to_text(array), good, reason)
    if kind is Kind.DATETIME:
        if not pa.types.is_temporal(array.type):
            return Converted(pa.nulls(len(array), ARROW_TYPES[kind]), _present(array), reason)
        stamps, known, outside = typed_micros(array)
        return Converted(_typed(stamps, ~known, kind), outside, reason)
    if pa.types.is_temporal(array.type):
        return Converted(pa.nulls(len(array), ARROW_TYPES[kind]), _present(array), reason)
    if kind is Kind.INTEGER and array.type == pa.uint64():
        beyond = pc.fill_null(
            pc.greater_equal(array, pa.scalar(2**63, pa.uint64())), fill_value=False
        )
        fits = pc.if_else(beyond, pa.scalar(None, pa.uint64()), array)
        return Converted(fits.cast(pa.int64()), as_mask(beyond), reason)
    if kind is Kind.INTEGER and pa.types.is_integer(array.type):
        return Converted(array.cast(pa.int64()), good, reason)
    return _from_numbers(array, kind, reason)


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _from_serials(array: pa.Array, reason: str) -> Converted:
    """Typed day numbers of a spreadsheet."""
    floats = np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    missing = np.isnan(floats)
    stamps, readable = read_serials(np.where(missing, 0.0, floats), ~missing)
    return Converted(
        _typed(np.where(readable, stamps, 0), ~readable, Kind.DATETIME),
        ~missing & ~readable,
        reason,
    )


def _from_numbers(array: pa.Array, kind: Kind, reason: str) -> Converted:
    """Numbers, decimals and booleans by way of float64."""
    if pa.types.is_boolean(array.type):
        if kind is Kind.BOOLEAN:
            return Converted(array, np.zeros(len(array), dtype=bool), reason)
        array = array.cast(pa.int64())
    floats = np.asarray(
        array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64
    )
    missing = np.isnan(floats)
    bad = np.isinf(floats)
    if kind is Kind.INTEGER:
        with np.errstate(invalid="ignore"):  # a NaN that signals is missing as any other
            whole = np.floor(floats) == floats
        bad |= ~missing & (~whole | (np.abs(floats) > 2**53))
    elif kind is Kind.BOOLEAN:
        bad |= ~missing & (floats != 0) & (floats != 1)
    null = missing | bad
    clean = np.where(null, 0.0, floats)
    if kind is Kind.INTEGER:
        return Converted(pa.array(clean.astype(np.int64), mask=null), bad, reason)
    if kind is Kind.BOOLEAN:
        return Converted(pa.array(clean != 0, mask=null), bad, reason)
    return Converted(pa.array(clean, pa.float64(), mask=null), bad, reason)


def _present(array: pa.Array) -> NDArray[np.bool_]:
    return np.array(pc.is_valid(array).to_numpy(zero_copy_only=False), dtype=bool)
