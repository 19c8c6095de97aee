"""Columns of a cleaned Arrow table as the float64 values that a profile counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.errors import DataError
from tenfold.profile.grid import Floats
from tenfold.profile.target import MAX_CLASSES, OTHER_CLASS
from tenfold.schema import Column, Kind

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "NUMBER_KINDS",
    "class_codes",
    "column_values",
    "one_array",
    "places_among",
    "plain",
    "target_classes",
    "without_null_texts",
]

NUMBER_KINDS = frozenset({Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN, Kind.DATETIME})
"""Kinds that are profiled as numbers: booleans as 0 and 1, date-times as epoch seconds."""


def one_array(table: pa.Table, name: str) -> pa.Array:
    """A table's column in one piece; a dictionary has no null among its texts.

    Raises:
        DataError: there is no such column.
    """
    place = table.schema.get_field_index(name)  # table.column(name) looks at every name
    if place < 0:
        raise DataError(
            f"column {name!r} must be in the table: it has {table.column_names}; "
            "prepare the data again"
        )
    column = table.column(place)
    return without_null_texts(
        column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    )


def column_values(array: pa.Array) -> Floats:
    """A column of numbers as float64, NaN where null.

    >>> import pyarrow as pa
    >>> column_values(pa.array([True, None, False]))
    array([ 1., nan,  0.])
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_timestamp(kind):
        micros = array.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
        return np.asarray(_floats(micros, pc) / 1e6)
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    return _floats(array, pc)


def _floats(array: pa.Array, pc: Any) -> Floats:
    numbers = pc.cast(array, "float64", safe=False)
    return np.asarray(numbers.fill_null(np.nan).to_numpy(), dtype=np.float64)


def target_classes(column: Column) -> tuple[str, ...]:
    """The classes that are told apart; at most `MAX_CLASSES`, the last for all others then.

    Raises:
        DataError: a class target came without its classes.
    """
    if column.domain is None:
        raise DataError(
            f"target {column.name!r} is a {column.kind.value}: its column must carry its classes "
            "as the domain; prepare the data again"
        )
    if len(column.domain) <= MAX_CLASSES:
        return column.domain
    return (*column.domain[: MAX_CLASSES - 1], OTHER_CLASS)


def places_among(array: pa.Array, texts: Sequence[str] | pa.Array) -> pa.Array:
    """The place of each text among some; null where it is missing or none of them.

    A dictionary's texts are looked up once each, plain ones one by one.

    >>> import pyarrow as pa
    >>> places_among(pa.array(["b", None, "c"]), ("a", "b")).to_pylist()
    [1, None, None]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = pa.types.is_dictionary(array.type)
    values = array.dictionary if coded else array
    found = pc.index_in(values, value_set=pa.array(texts, type=values.type), skip_nulls=True)
    return found.take(array.indices) if coded else found


def plain(array: pa.Array) -> pa.Array:
    """Texts one by one, where they are a dictionary."""
    import pyarrow as pa

    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def without_null_texts(array: pa.Array) -> pa.Array:
    """The same, plain where a dictionary holds null as a text, which no look at its rows tells."""
    import pyarrow as pa

    odd = pa.types.is_dictionary(array.type) and array.dictionary.null_count
    return plain(array) if odd else array


def class_codes(array: pa.Array, classes: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The class of each row as an index; -1 where missing.

    >>> import pyarrow as pa
    >>> class_codes(pa.array(["b", None, "a"]), ("a", "b"))
    array([ 1, -1,  0])
    """
    found = places_among(array, classes)
    codes = np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.intp)
    if classes[-1] == OTHER_CLASS:
        present = array.is_valid().to_numpy(zero_copy_only=False)
        codes = np.where(present & (codes < 0), len(classes) - 1, codes)
    return codes
