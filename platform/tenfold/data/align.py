"""Tables of one thing whose columns drifted: matched by name, types reconciled, all of it told.

Files of a folder, parts of a pull and sources that are stacked may lack columns, order them anew or
type them otherwise. `Alignment` says what they have in common; `align` brings a table to it. A
column that a part lacks is missing there. Where types differ the smallest type that holds both
wins, and text where there is none; every such change is listed for the lineage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenfold.data.source import RawBlock, Shard
from tenfold.data.text import is_text, to_text, type_word, whole

__all__ = ["AlignedShard", "Alignment", "align", "common_type"]


@dataclass(frozen=True, slots=True)
class Alignment:
    """What parts have in common.

    Attributes:
        columns: every column of any part, in order of first appearance.
        types: the Arrow type of each.
        changes: what was reconciled, as JSON: ``{"column", "part", "change"}``.
    """

    columns: tuple[str, ...]
    types: tuple[pa.DataType, ...]
    changes: tuple[dict[str, str], ...]

    @classmethod
    def of(cls, parts: Mapping[str, pa.Schema]) -> Alignment:
        """The alignment of parts by their names, in the given order.

        Args:
            parts: each part's flat schema; text columns are strings.

        Raises:
            DataError: a column is nested.

        >>> parts = {"a": pa.schema([("x", pa.int32())]),
        ...          "b": pa.schema([("y", pa.string()), ("x", pa.float64())])}
        >>> made = Alignment.of(parts)
        >>> made.columns, [str(kind) for kind in made.types]
        (('x', 'y'), ['double', 'string'])
        >>> [f"{c['part']}: {c['column']} {c['change']}" for c in made.changes]
        ['a: x from int32 to double', 'a: y is not there']
        """
        kinds: dict[str, list[pa.DataType]] = {}
        for schema in parts.values():
            for field in schema:
                type_word(field.name, field.type)  # refuses nested columns
                kinds.setdefault(field.name, []).append(field.type)
        types = {name: reduce(common_type, found) for name, found in kinds.items()}
        changes = [
            {"column": name, "part": part, "change": change}
            for part, schema in parts.items()
            for name, kind in types.items()
            if (change := _change(schema, name, kind)) is not None
        ]
        return cls(tuple(types), tuple(types.values()), tuple(changes))

    def keeps(self, schema: pa.Schema) -> bool:
        """Whether a part of this schema stays as it is."""
        return tuple(schema.names) == self.columns and tuple(schema.types) == self.types


def _change(schema: pa.Schema, name: str, kind: pa.DataType) -> str | None:
    place = schema.get_field_index(name)
    if place < 0:
        return "is not there"
    found = schema.field(place).type
    if found == kind or pa.types.is_null(found) or (is_text(found) and is_text(kind)):
        return None
    return f"from {found} to {kind}"


def common_type(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """The smallest type that holds the values of both; text where no other does.

    Integers and floats meet in float64 (exact up to 2^53), dates and times in a timestamp;
    commutative and associative.

    >>> str(common_type(pa.int32(), pa.int64())), str(common_type(pa.bool_(), pa.int8()))
    ('int64', 'string')
    """
    if first == second:
        return pa.string() if is_text(first) else first
    if pa.types.is_null(first) or pa.types.is_null(second):
        other = second if pa.types.is_null(first) else first
        return pa.string() if is_text(other) else other
    words = {type_word("", first), type_word("", second)}
    if words == {"integer"}:
        return pa.int64() if pa.uint64() not in (first, second) else pa.float64()
    if words <= {"integer", "number"}:
        return pa.float64()
    if words == {"datetime"}:
        zones = {getattr(kind, "tz", None) for kind in (first, second)} - {None}
        return pa.timestamp("us", tz="UTC") if zones else pa.timestamp("us")
    return pa.string()


def align(table: pa.Table, to: Alignment) -> pa.Table:
    """A table with the columns and types of an alignment; the rows are the same.

    >>> to = Alignment.of({"a": pa.schema([("x", pa.int8()), ("y", pa.string())])})
    >>> align(pa.table({"x": pa.array([1], pa.int8())}), to).to_pylist()
    [{'x': 1, 'y': None}]
    """
    if to.keeps(table.schema):
        return table
    present = set(table.column_names)
    arrays = [
        _as_type(whole(table.column(name)), kind)
        if name in present
        else pa.nulls(table.num_rows, kind)
        for name, kind in zip(to.columns, to.types, strict=True)
    ]
    return pa.table(arrays, names=list(to.columns))


def _as_type(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if pa.types.is_string(kind):
        return to_text(array) if not pa.types.is_null(array.type) else array.cast(kind)
    if pa.types.is_timestamp(kind) and not pa.types.is_null(array.type):
        stamps = array.cast(pa.timestamp("us", tz=getattr(array.type, "tz", None)), safe=False)
        return pc.assume_timezone(stamps, "UTC") if kind.tz and not stamps.type.tz else stamps
    return array.cast(kind, safe=False)


@dataclass(frozen=True, slots=True)
class AlignedShard:
    """A shard whose rows are brought to an alignment when it is read.

    Attributes:
        shard: the piece.
        to: what to bring it to.
        source: the name of its own source, where several are stacked.
    """

    shard: Shard
    to: Alignment
    source: str = ""

    def read(self) -> RawBlock:
        """See `Shard`."""
        block = self.shard.read()
        source = block.source or self.source
        table = align(block.table, self.to)
        numbers = dict(block.numbers)
        for field in block.table.schema:
            if is_text(table.schema.field(field.name).type) and _is_number(field.type):
                numbers[field.name] = np.ones(table.num_rows, dtype=bool)
        return replace(block, table=table, source=source, numbers=numbers)


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
