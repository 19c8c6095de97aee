"""The form of the prediction log: one Arrow row per answered row, features first.

Features keep their own names and types (`Schema.arrow_schema`), so a retrain reads them like a
snapshot; a category that the model did not know is kept as it came. The columns beside them start
with two underscores, as in snapshots:

``__id`` string, ``__at`` timestamp[us, UTC], ``__version`` int32, ``__digest`` string, ``__arm``
string, ``__replica`` string, ``__value`` string (the class, or the number's exact text),
``__scores`` list<float64>.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tenfold.schema import Column, Kind, Schema

__all__ = ["META_FIELDS", "Entry", "LoggedArm", "entries_table", "write_segment"]

Floats = npt.NDArray[np.float64]

META_FIELDS = (
    pa.field("__id", pa.string()),
    pa.field("__at", pa.timestamp("us", tz="UTC")),
    pa.field("__version", pa.int32()),
    pa.field("__digest", pa.string()),
    pa.field("__arm", pa.string()),
    pa.field("__replica", pa.string()),
    pa.field("__value", pa.string()),
    pa.field("__scores", pa.list_(pa.float64())),
)


class LoggedArm(Protocol):
    """What the recorder needs to know about a model that answers."""

    @property
    def name(self) -> str:
        """``champion`` or ``challenger``."""

    @property
    def version(self) -> int:
        """The model's version."""

    @property
    def digest(self) -> str:
        """The model's digest."""

    @property
    def schema(self) -> Schema:
        """The model's schema."""

    def count(self, codes: Floats, scores: Floats) -> npt.NDArray[np.int64]:
        """Rows counted into the frozen bins, ``(n_cells,)``."""


class Entry(NamedTuple):
    """One answered request, as it lies in the ring.

    Attributes:
        ids: prediction ids, one per row.
        rows: the rows as they came, parsed; nobody changes them any more.
        codes: float64 ``(n_rows, n_columns)``.
        scores: float64 ``(n_rows, k)``.
        values: what was answered, one per row: classes as strings, or numbers.
        arm: the model that answered.
        at_ms: milliseconds since 1970.
    """

    ids: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    codes: Floats
    scores: Floats
    values: Sequence[str | float]
    arm: LoggedArm
    at_ms: int


def entries_table(entries: Sequence[Entry], *, schema: Schema, replica: str) -> pa.Table:
    """The log rows of requests that one schema describes, in their order."""
    codes = np.concatenate([entry.codes for entry in entries])
    rows = [row for entry in entries for row in entry.rows]
    arrays = [
        _feature(column, codes[:, index], rows) for index, column in enumerate(schema.features)
    ]
    fields = [
        pa.field(column.name, array.type)
        for column, array in zip(schema.features, arrays, strict=True)
    ]
    sizes = [len(entry.ids) for entry in entries]
    arms = [entry.arm for entry in entries]

    def repeat(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
        return pa.array(np.repeat(np.array(values, dtype=object), sizes).tolist(), kind)

    values = [_text(value) for entry in entries for value in entry.values]
    arrays += [
        pa.array([one for entry in entries for one in entry.ids], pa.string()),
        repeat([entry.at_ms * 1000 for entry in entries], pa.int64()).cast(META_FIELDS[1].type),
        repeat([arm.version for arm in arms], pa.int32()),
        repeat([arm.digest for arm in arms], pa.string()),
        repeat([arm.name for arm in arms], pa.string()),
        pa.array([replica] * len(rows), pa.string()),
        pa.array(values, pa.string()),
        pa.array([row.tolist() for entry in entries for row in entry.scores], META_FIELDS[-1].type),
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema([*fields, *META_FIELDS]))


def write_segment(path: Path, entries: Sequence[Entry], *, replica: str) -> None:
    """Write a segment whole: an Arrow file under a temporary name, then one rename.

    Entries of models with different columns share a segment; a column that one lacks is null.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
        pa.ArrowTypeError: two models read a column as kinds that no type holds; nothing is written.
    """
    tables = []
    start = 0
    for end in range(1, len(entries) + 1):
        if end == len(entries) or entries[end].arm.schema is not entries[start].arm.schema:
            part = entries[start:end]
            tables.append(entries_table(part, schema=part[0].arm.schema, replica=replica))
            start = end
    table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            pa.OSFile(os.fspath(temporary), "wb") as file,
            pa.ipc.new_file(file, table.schema) as writer,
        ):
            writer.write_table(table)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _feature(column: Column, codes: Floats, rows: Sequence[Mapping[str, Any]]) -> pa.Array:
    missing = np.isnan(codes)
    if column.kind in (Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN, Kind.DATETIME):
        filled = np.where(missing, 0.0, codes)
        if column.kind is Kind.NUMBER:
            return pa.array(filled, pa.float64(), mask=missing)
        if column.kind is Kind.BOOLEAN:
            return pa.array(filled != 0, pa.bool_(), mask=missing)
        if column.kind is Kind.DATETIME:
            micros = np.round(filled * 1e6).astype(np.int64)
            return pa.array(micros, pa.int64(), mask=missing).cast(pa.timestamp("us", tz="UTC"))
        # A whole number beyond 64 bits is a float to JSON and null to the log.
        beyond = missing | (np.abs(filled) >= 2.0**63)
        return pa.array(np.where(beyond, 0.0, filled).astype(np.int64), pa.int64(), mask=beyond)
    return pa.array([row.get(column.name) for row in rows], pa.string())


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else repr(float(value))
