"""The one entrance: a table or a JSON row becomes float64 codes, before any model sees it.

One column of codes per feature of the schema, in its order:

- numbers as they are, booleans 0 or 1, times as seconds since 1970 UTC,
- a category as its place in the column's domain, -1 for one that is not in it; without a domain (a
  column whose texts are too many, or unknown) as a hash of the text from 0 to 2**32 - 1,
- a text as its number of words,
- NaN for a missing value, whatever the kind; in a request also for a text that means one.

Behind them stand `N_TEXT_SLOTS` columns of counts for each text, see `tenfold.profile.texts`; all 0
for a missing one.

Preprocessing, scoring and the drift monitor all start from these codes, so they agree on what a row
is. `encode_table` is for training and batch scoring and takes cleaned tables; `RowEncoder` and
`ColumnEncoder` are for the endpoint, are strict about types and say which column of which row is
wrong and why. For equal values all give the same bits: categories go through one function, texts
that hold numbers or times through the one that cleans tables (`tenfold.data.convert`), and the
arithmetic on times is the same two roundings.

Measured (adult.csv, 14 columns, 8 of them categories, one core of a quiet 2-core box): 0.13 us a
row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tenfold.errors import DataError
from tenfold.features.readers import READERS, UNSEEN, grams_counter, listed
from tenfold.profile.columns import places_among, plain, without_null_texts
from tenfold.profile.texts import N_TEXT_SLOTS
from tenfold.schema import Column, Kind, Schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "UNSEEN",
    "Codes",
    "EncodedColumns",
    "code_places",
    "code_width",
    "encode_column",
    "encode_columns",
    "encode_table",
    "text_places",
]

Codes = npt.NDArray[np.float64]


def text_places(schema: Schema) -> tuple[tuple[Column, int], ...]:
    """The features that are texts, each with the place of its first count in the codes.

    >>> text_places(Schema((Column("note", Kind.TEXT), Column("age", Kind.NUMBER))))[0][1]
    2
    """
    texts = [column for column in schema.features if column.kind is Kind.TEXT]
    first = len(schema.features)
    return tuple((column, first + k * N_TEXT_SLOTS) for k, column in enumerate(texts))


def code_width(schema: Schema) -> int:
    """Columns of the codes: one per feature, then the counts of the texts."""
    return len(schema.features) + N_TEXT_SLOTS * len(text_places(schema))


def code_places(schema: Schema, features: Sequence[int]) -> tuple[int, ...]:
    """Places in the codes of some features: their own, in the given order, then the counts of the
    texts among them, which is how the codes of a schema of these features are laid out.

    >>> texts = Schema((Column("a", Kind.TEXT), Column("n", Kind.NUMBER), Column("b", Kind.TEXT)))
    >>> places = code_places(texts, [1, 2])
    >>> places[:2], places[2] == 3 + N_TEXT_SLOTS, len(places) == 2 + N_TEXT_SLOTS
    ((1, 2), True, True)
    """
    first = {column.name: place for column, place in text_places(schema)}
    texts = [schema.features[place].name for place in features]
    counts = [first[name] + k for name in texts if name in first for k in range(N_TEXT_SLOTS)]
    return (*features, *counts)


_CACHED_ROWS = 2048
"""Rows of all columns that are written at once: their lines stay in a core's cache meanwhile."""


def encode_table(schema: Schema, table: pa.Table) -> Codes:
    """The codes of a cleaned table.

    Args:
        schema: what the columns mean; only its features are read, in the schema's order.
        table: at least the feature columns, in any order, with the Arrow types of
            `Schema.arrow_schema` or ones that convert to them; it is not changed.

    Returns:
        float64 (n_rows, `code_width`). An infinity counts as missing.

    Raises:
        DataError: a feature column is missing, or its type does not fit its kind.

    >>> import pyarrow as pa
    >>> sex = Column("sex", Kind.CATEGORY, domain=("f", "m"))
    >>> schema = Schema((Column("age", Kind.NUMBER), sex))
    >>> encode_table(schema, pa.table({"sex": ["m", None, "x"], "age": [1.5, 2, None]}))
    array([[ 1.5,  1. ],
           [ 2. ,  nan],
           [ nan, -1. ]])
    """
    return encode_columns(schema, table).rows(0, table.num_rows)


@dataclass(frozen=True, eq=False)
class EncodedColumns:
    """The codes of a table column by column, to be laid side by side a few rows at a time: a
    matrix of all rows, 13 MB for a block, would go through memory twice.

    Attributes:
        columns: one per feature of the schema, each of shape (n_rows,).
        counts: one per text of the schema, each of shape (n_rows, `N_TEXT_SLOTS`).
    """

    columns: Sequence[Codes]
    counts: Sequence[Codes]

    def rows(self, start: int, end: int) -> Codes:
        """The codes of some rows, shape (end - start, `code_width`)."""
        first = len(self.columns)
        width = first + N_TEXT_SLOTS * len(self.counts)
        out = np.empty((end - start, width), dtype=np.float64)
        for at in range(start, end, _CACHED_ROWS):
            seen = slice(at, min(at + _CACHED_ROWS, end))
            here = out[at - start : seen.stop - start]
            for index, column in enumerate(self.columns):
                here[:, index] = column[seen]
            for index, counts in enumerate(self.counts):
                place = first + index * N_TEXT_SLOTS
                here[:, place : place + N_TEXT_SLOTS] = counts[seen]
        return out


def encode_columns(schema: Schema, table: pa.Table) -> EncodedColumns:
    """What `encode_table` gives, column by column.

    Raises:
        DataError: see `encode_table`.
    """
    present = set(table.column_names)
    missing = [column.name for column in schema.features if column.name not in present]
    if missing:
        raise DataError(
            f"the model needs {len(schema.features)} columns and the table lacks "
            f"{listed(missing)}; add {'it' if len(missing) == 1 else 'them'} "
            "(an empty column counts as missing values)"
        )
    return EncodedColumns(
        [encode_column(c, table.column(c.name)) for c in schema.features],
        [_count_texts(table.column(c.name), grams_counter(c)) for c, _ in text_places(schema)],
    )


def encode_column(column: Column, values: pa.ChunkedArray) -> Codes:
    """A column's own codes, float64 (n_rows,); see `encode_table`.

    Raises:
        DataError: its type does not fit its kind.
    """
    import pyarrow as pa

    kind = values.type
    if pa.types.is_null(kind):
        return np.full(len(values), np.nan)
    if pa.types.is_dictionary(kind):
        if column.kind is Kind.CATEGORY and pa.types.is_string(kind.value_type):
            return _encode_categories(column, values)
        values = values.cast(kind.value_type)
        kind = values.type
    if column.kind in (Kind.NUMBER, Kind.INTEGER):
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return _finite(_floats(values))
    elif column.kind is Kind.BOOLEAN:
        if pa.types.is_boolean(kind):
            return _floats(values.cast(pa.uint8()))
    elif column.kind is Kind.DATETIME:
        if pa.types.is_date(kind):
            values = values.cast(pa.timestamp("us"))
            kind = values.type
        if pa.types.is_timestamp(kind):
            whole = values.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(pa.int64())
            return _floats(whole) / 1e6
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _encode_categories(column, values)
    raise DataError(
        f"column {column.name!r} is {column.kind.value} in the model and {kind} in the table; "
        "convert it, or prepare the project again"
    )


def _floats(values: pa.ChunkedArray) -> Codes:
    import pyarrow as pa

    numbers = values.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    return np.asarray(numbers, dtype=np.float64)


def _finite(values: Codes) -> Codes:
    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values


def _encode_categories(column: Column, values: pa.ChunkedArray) -> Codes:
    """Texts of the domain by one look-up in C; every other distinct text once, with the same
    function as the row path."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(values):
        return np.empty(0)
    whole = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    array = without_null_texts(whole)
    found = places_among(array, column.domain or ())
    codes = found.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if found.null_count > array.null_count:
        codes = codes.copy()
        others = pc.and_(found.is_null(), array.is_valid())
        encoded = plain(array.filter(others)).dictionary_encode()
        read = READERS[column.kind](column)
        table = np.array([read(text) for text in encoded.dictionary.to_pylist()])
        codes[others.to_numpy(zero_copy_only=False)] = table[encoded.indices.to_numpy()]
    return np.asarray(codes, dtype=np.float64)


def _count_texts(values: pa.ChunkedArray, count: Callable[[str | None], list[float]]) -> Codes:
    """Hits per place (n_rows, N_TEXT_SLOTS); every distinct text is cut once."""
    import pyarrow as pa

    if pa.types.is_null(values.type) or not len(values):
        return np.zeros((len(values), N_TEXT_SLOTS))
    encoded = values.cast(pa.large_string()).combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    table = np.zeros((len(texts) + 1, N_TEXT_SLOTS))  # the last for a missing text
    for index, text in enumerate(texts):
        table[index] = count(text)
    places = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return np.asarray(table[places], dtype=np.float64)
