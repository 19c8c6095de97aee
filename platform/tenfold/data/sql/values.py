"""Rows of a database as flat Arrow columns.

PostgreSQL says the type of every column, so a column has one Arrow type in every batch; dates,
times and decimals travel as text and are read by Arrow, so that a value outside of its range
(``infinity``, 44 BC) is no error: the batch's column stays text, and cleaning puts that one cell
into the quarantine. Other databases are read by the values they give: SQLite, for one, keeps any
value in any column.

==============================  ===============================================================
integers                        int64 (text beyond its range)
float, real                     float64
numeric, decimal                float64: about 15 digits are kept
boolean                         bool (SQLite has none: 0 and 1)
text, enum, uuid, time,         string, as the database writes it
interval, network, money
date                            date32
timestamp                       timestamp[us]
timestamp with time zone        timestamp[us, UTC]
bytes, arrays, JSON, composite  refused, with the remedy
==============================  ===============================================================
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa

from tenfold.errors import DataError

__all__ = ["Kind", "to_table"]

Kind = Literal[
    "integer", "float", "real", "decimal", "boolean", "text", "date", "time", "instant", "any"
]
"""What a column holds; ``any`` where only its values tell."""

_STRAIGHT: dict[Kind, pa.DataType] = {
    "integer": pa.int64(),
    "float": pa.float64(),
    "real": pa.float64(),
    "boolean": pa.bool_(),
    "text": pa.string(),
}
_READ: dict[Kind, pa.DataType] = {
    "decimal": pa.float64(),
    "date": pa.date32(),
    "time": pa.timestamp("us"),
    "instant": pa.timestamp("us", tz="UTC"),
}
"""Kinds that arrive as text."""

_INT64 = range(-(2**63), 2**63)


def to_table(
    rows: Sequence[Sequence[Any]], kinds: dict[str, Kind], *, name: str = "table"
) -> pa.Table:
    """The rows as a table.

    Args:
        rows: at least one, each with a value a column.
        kinds: of the columns, in their order.
        name: of the source, for the message.

    Raises:
        DataError: a value is of a type that is not flat.

    >>> to_table([(1, "2.50"), (2, None)], {"a": "any", "b": "decimal"}).to_pylist()
    [{'a': 1, 'b': 2.5}, {'a': 2, 'b': None}]
    """
    columns = zip(*rows, strict=True)
    arrays = [
        _array(list(values), kind, f"source {name!r}: column {column!r}")
        for values, (column, kind) in zip(columns, kinds.items(), strict=True)
    ]
    return pa.table(arrays, names=list(kinds))


def _array(values: list[Any], kind: Kind, where: str) -> pa.Array:
    if kind in _STRAIGHT:
        return pa.array(values, _STRAIGHT[kind])
    if kind in _READ:
        texts = pa.array(values, pa.string())
        try:
            return texts.cast(_READ[kind])
        except pa.ArrowInvalid:
            return texts
    return _by_value(values, where)


def _by_value(values: list[Any], where: str) -> pa.Array:
    found = {type(value) for value in values} - {type(None)}
    if not found:
        return pa.nulls(len(values))
    if not found <= _FLAT:
        raise _not_flat(found - _FLAT, where)
    if found == {bool}:
        return pa.array(values, pa.bool_())
    if found <= {int, bool}:
        fits = all(value is None or value in _INT64 for value in values)
        return pa.array([None if v is None else int(v) for v in values] if fits else _texts(values))
    if found <= {int, bool, float, Decimal}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    if found == {dt.date}:
        return pa.array(values, pa.date32())
    if found == {dt.datetime}:
        zones = {value.tzinfo is not None for value in values if value is not None}
        if len(zones) == 1:
            return pa.array(values, pa.timestamp("us", tz="UTC" if zones == {True} else None))
    return pa.array(_texts(values), pa.string())


_FLAT: set[type] = {
    bool, int, float, Decimal, str, dt.date, dt.datetime, dt.time, dt.timedelta, uuid.UUID
}  # fmt: skip


def _texts(values: list[Any]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]


def _not_flat(found: set[type], where: str) -> DataError:
    words = ", ".join(sorted(kind.__name__ for kind in found))
    return DataError(
        f"{where} must hold numbers, texts, booleans or times, and holds {words}; cast it in a "
        "query (bytes to hex, a list or an object to text or to columns of its own), or leave it "
        "out with 'columns'"
    )
