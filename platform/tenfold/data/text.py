"""Text columns as unique values and codes: every later step looks at each different value once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.data.stamps import typed_micros
from tenfold.errors import DataError
from tenfold.schema import MISSING_MARKERS

__all__ = [
    "DEFAULT_MARKERS",
    "Coded",
    "Noted",
    "as_mask",
    "code_and_note",
    "code_text",
    "code_typed",
    "is_text",
    "plain_schema",
    "plain_texts",
    "to_text",
    "type_word",
    "whole",
    "without_views",
]

DEFAULT_MARKERS = MISSING_MARKERS


@dataclass(frozen=True, slots=True)
class Coded:
    """A column as its unique values and one code a row.

    Attributes:
        values: the different values as strings, without nulls, in no particular order.
        codes: index into ``values``, -1 for missing; shape (n_rows,).
    """

    values: pa.StringArray
    codes: NDArray[np.int64]

    def weights(self) -> NDArray[np.int64]:
        """How often each value occurs; shape (n_values,)."""
        present = self.codes[self.codes >= 0]
        return np.bincount(present, minlength=len(self.values)).astype(np.int64)

    def array(self) -> pa.StringArray:
        """The column again, one string or null a row."""
        return self.values.take(pa.array(self.codes, mask=self.codes < 0))


@dataclass(frozen=True, slots=True)
class Noted:
    """What coding a text column passed over, as counts of cells.

    Attributes:
        n_padded: cells with a value that had blanks around it.
        markers: cells by the marker that made them missing, as it stood in the source, blanks
            before and behind it each shortened to one: ``" ?"``.
    """

    n_padded: int
    markers: Mapping[str, int]


def as_mask(array: pa.BooleanArray | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Which rows are true; null is not.

    >>> as_mask(pa.array([True, None])).tolist()
    [True, False]
    """
    filled = pc.fill_null(whole(array), pa.scalar(value=False))
    return np.array(filled.to_numpy(zero_copy_only=False), dtype=bool)


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column in one piece."""
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column


def is_text(kind: pa.DataType) -> bool:
    """Whether Arrow holds this column as text, plain or as a dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def plain_texts(table: pa.Table) -> pa.Table:
    """The table with its dictionaries as plain values: blocks of one source may have some as the
    one and some as the other.

    >>> plain_texts(pa.table({"a": pa.array(["x", None]).dictionary_encode()})).schema.types
    [DataType(string)]
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            values = table.column(place).cast(field.type.value_type)
            table = table.set_column(place, field.name, values)
    return table


def plain_schema(names: Sequence[str], types: Sequence[pa.DataType]) -> pa.Schema:
    """The schema of a table after `without_views`."""
    plain = (pa.string() if pa.types.is_string_view(kind) else kind for kind in types)
    return pa.schema(list(zip(names, plain, strict=True)))


def without_views(table: pa.Table) -> pa.Table:
    """The table with its views of texts as plain texts: Arrow takes no rows of views.

    >>> without_views(pa.table({"a": pa.array(["x"], pa.string_view())})).schema.types
    [DataType(string)]
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            plain = table.column(place).cast(pa.string())
            table = table.set_column(place, field.name, plain)
    return table


def type_word(name: str, kind: pa.DataType) -> str:
    """The family of an Arrow type.

    Raises:
        DataError: the type is nested or binary: Tenfold reads flat columns.
    """
    types = pa.types
    if is_text(kind) or types.is_null(kind):
        return "text"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind):
        return "integer"
    if types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_timestamp(kind) or types.is_date(kind):
        return "datetime"
    raise DataError(
        f"column {name!r} has type {kind}, and Tenfold reads flat columns of text, numbers, "
        "booleans and dates; flatten it or leave it out of the file"
    )


def code_text(
    column: pa.Array | pa.ChunkedArray,
    *,
    markers: Collection[str] = DEFAULT_MARKERS,
    trim: bool = True,
) -> Coded:
    """Trim a text column, turn markers into missing, and code it.

    >>> coded = code_text(pa.array([" a", "a", " ?", None]))
    >>> coded.values.to_pylist(), coded.codes.tolist()
    (['a'], [0, 0, -1, -1])
    """
    return code_and_note(column, markers=markers, trim=trim)[0]


def code_and_note(
    column: pa.Array | pa.ChunkedArray,
    *,
    markers: Collection[str] = DEFAULT_MARKERS,
    trim: bool = True,
) -> tuple[Coded, Noted]:
    """As `code_text`, with what was trimmed and which markers were met.

    >>> code_and_note(pa.array([" a", "a", " ?", "?", "", None]))[1]
    Noted(n_padded=1, markers={'': 1, ' ?': 1, '?': 1})
    """
    encoded = whole(column)
    if pa.types.is_dictionary(encoded.type) and not _in_use(encoded):
        encoded = encoded.cast(pa.string())
    encoded = encoded.dictionary_encode()
    raw = encoded.dictionary.cast(pa.string())
    trimmed = pc.utf8_trim_whitespace(raw)
    clean = trimmed if trim else raw
    missing = pc.is_in(clean, value_set=pa.array(sorted(markers), pa.string()))
    codes = _indices(encoded)
    noted = _note(raw, trimmed, missing, codes)
    clean = pc.if_else(missing, pa.scalar(None, pa.string()), clean).dictionary_encode()
    return Coded(clean.dictionary, _through(codes, _indices(clean))), noted


def _in_use(array: pa.DictionaryArray) -> bool:
    """Whether a dictionary is what `dictionary_encode` makes of its texts but for the order."""
    codes = _indices(array)
    used = np.zeros(len(array.dictionary), dtype=bool)
    used[codes[codes >= 0]] = True
    texts = array.dictionary
    return bool(used.all()) and not texts.null_count and len(texts.unique()) == len(texts)


def _note(
    raw: pa.StringArray, trimmed: pa.StringArray, missing: pa.BooleanArray, codes: NDArray[np.int64]
) -> Noted:
    odd = pc.or_(missing, pc.not_equal(raw, trimmed))
    if not pc.any(odd).as_py():  # the common case costs no look at the rows
        return Noted(0, {})
    cells = np.bincount(codes[codes >= 0], minlength=len(raw))
    at = np.flatnonzero(odd.to_numpy(zero_copy_only=False))
    gone = missing.take(pa.array(at)).to_pylist()
    forms: dict[str, int] = {}
    n_padded = 0
    for text, row, is_missing in zip(raw.take(pa.array(at)).to_pylist(), at, gone, strict=True):
        if is_missing:
            form = re.sub(r"^\s+|\s+$", " ", text)
            forms[form] = forms.get(form, 0) + int(cells[row])
        else:
            n_padded += int(cells[row])
    return Noted(n_padded, dict(sorted(forms.items())))


def code_typed(column: pa.Array | pa.ChunkedArray) -> Coded:
    """Code a typed column (integers, floats, booleans, dates) by its texts; NaN is missing."""
    array = whole(column)
    if array.type == pa.float16():  # Arrow codes no half floats
        array = array.cast(pa.float32())
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    encoded = array.dictionary_encode()
    clean = to_text(encoded.dictionary).dictionary_encode()
    return Coded(clean.dictionary, _through(_indices(encoded), _indices(clean)))


def to_text(array: pa.Array) -> pa.StringArray:
    """Typed values as the texts that a person would write: ``1`` for 1.0, ``true`` for True.

    >>> to_text(pa.array([1.0, 2.5, None])).to_pylist()
    ['1', '2.5', None]
    """
    kind = array.type
    if is_text(kind):
        return array.cast(pa.string())
    if pa.types.is_floating(kind):
        values = array.cast(pa.float64()).to_pylist()
        return pa.array([_float_text(value) for value in values], pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _stamp_texts(array)
    return array.cast(pa.string())


def _stamp_texts(array: pa.Array) -> pa.StringArray:
    """Dates as ``2031-05-04``, times as ``2031-05-04T13:30:00.000000``, as the type says.

    One outside the years 1 to 9999 is told by its number and unit, which nothing reads as a date.
    """
    stamps, known, outside = typed_micros(array)
    form = "%Y-%m-%d" if pa.types.is_date(array.type) else "%Y-%m-%dT%H:%M:%S"
    texts = pc.strftime(
        pa.array(stamps, pa.int64(), mask=~known).cast(pa.timestamp("us")), format=form
    )
    if pa.types.is_date(array.type):
        texts = pc.utf8_slice_codeunits(texts, 0, 10)
    if not outside.any():
        return texts
    raw = array.cast(pa.int32()) if array.type == pa.date32() else array.cast(pa.int64())
    told = pc.binary_join_element_wise(raw.cast(pa.string()), str(array.type), " ")
    return pc.if_else(pa.array(outside), told, texts)


def _float_text(value: float | None) -> str | None:
    if value is None:
        return None
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _indices(encoded: pa.DictionaryArray) -> NDArray[np.int64]:
    filled = pc.fill_null(encoded.indices.cast(pa.int64()), -1)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.int64)


def _through(outer: NDArray[np.int64], inner: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.append(inner, -1)[outer]  # code -1 reads the appended -1
