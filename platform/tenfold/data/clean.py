"""Cleaning: raw rows as the schema's types, and the cells that could not be mended.

`clean_table` keeps every row (a bad cell becomes null and is reported); `clean_block` takes rows
with a bad cell out, for the quarantine table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.data.convert import UNDECIDED, Converted, convert
from tenfold.data.source import RawBlock
from tenfold.data.text import DEFAULT_MARKERS, as_mask, to_text, type_word, whole
from tenfold.errors import DataError
from tenfold.schema import Column, Kind, Role, Schema

__all__ = ["PROBLEMS", "CleanBlock", "Rules", "clean_block", "clean_table", "reject_problems"]

PROBLEMS = pa.schema(
    [
        ("source", pa.string()),
        ("position", pa.int64()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("reason", pa.string()),
    ]
)
"""A bad cell: where, what and why. ``position`` counts data rows from 1, header not counted."""

MAX_VALUE_CHARACTERS = 200
"""A quarantined value is cut there: it is shown to a person, not parsed again."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How cells are read.

    Attributes:
        markers: texts that mean missing, compared after trimming.
        trim: strip blanks around every cell.
        limits: declared smallest and largest value by column; None for no limit.
    """

    markers: Collection[str] = DEFAULT_MARKERS
    trim: bool = True
    limits: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CleanBlock:
    """What a block gives.

    Attributes:
        table: the good rows with the schema's columns and types.
        positions: record number of each good row within the shard, from 0; shape (n_good,).
        problems: the bad cells of the rest, see `PROBLEMS`; positions within the shard, from 1.
        n_records: good rows, bad rows and rejects together.
        n_bad: records that are not in ``table``.
    """

    table: pa.Table
    positions: NDArray[np.int64]
    problems: pa.Table
    n_records: int
    n_bad: int


@dataclass(frozen=True, slots=True)
class _Fault:
    column: str
    bad: NDArray[np.bool_]
    reason: str


def clean_table(
    raw: pa.Table,
    schema: Schema,
    *,
    markers: Collection[str] = DEFAULT_MARKERS,
    trim: bool = True,
    numbers: Mapping[str, NDArray[np.bool_]] | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Read a raw table by a schema that exists already; every row stays, in its place.

    Columns that the schema does not know are left out. A column that is neither a feature nor
    present becomes null. A category that the schema's domain lacks stays as it is, except in
    the target, where it is a problem.

    Args:
        raw: text columns as they stand in a file, or typed ones.
        schema: of the model or of the snapshot.
        markers: texts that mean missing.
        trim: strip blanks around every cell.
        numbers: see `RawBlock`.

    Returns:
        The table in the schema's order and Arrow types, and its bad cells (null in the table)
        as `PROBLEMS` with positions from 1.

    Raises:
        DataError: a feature is not there, or a column is nested.

    >>> schema = Schema((Column("age", Kind.INTEGER), Column("sex", Kind.CATEGORY)))
    >>> table, problems = clean_table(pa.table({"sex": [" F"], "age": ["old"]}), schema)
    >>> table.to_pylist()
    [{'age': None, 'sex': 'F'}]
    >>> problems.select(["position", "column", "value", "reason"]).to_pylist()[0]
    {'position': 1, 'column': 'age', 'value': 'old', 'reason': 'is not a whole number'}
    """
    table, faults = _convert_all(raw, schema, Rules(markers, trim), numbers or {})
    problems = [_problems(raw, fault, np.arange(raw.num_rows)) for fault in faults]
    return table, pa.concat_tables([PROBLEMS.empty_table(), *problems])


def clean_block(block: RawBlock, schema: Schema, rules: Rules, *, source: str = "") -> CleanBlock:
    """Clean a block and part its rows into good and bad.

    A row is bad if a cell of a column that counts (any role but ignored) cannot be read as the
    column's kind or lies outside declared limits, or if its target or its time is missing.
    """
    table, faults = _convert_all(block.table, schema, rules, block.numbers)
    faults = [fault for fault in faults if schema.column(fault.column).role is not Role.IGNORED]
    bad = np.zeros(table.num_rows, dtype=bool)
    for fault in faults:
        bad |= fault.bad
    for column in schema.columns:
        if column.role in (Role.TARGET, Role.TIME):
            absent = _nulls(table, column.name) & ~bad  # a bad cell is told already
            faults.append(_Fault(column.name, absent, f"the {column.role} is missing"))
            bad |= absent
    problems = [
        reject_problems(block, source=source),
        *(_problems(block.table, fault, block.positions, source=source) for fault in faults),
    ]
    keep = np.flatnonzero(~bad)
    return CleanBlock(
        table=table if len(keep) == table.num_rows else table.take(pa.array(keep)),
        positions=block.positions[keep],
        problems=pa.concat_tables(problems).sort_by([("position", "ascending")]),
        n_records=block.n_records,
        n_bad=block.n_records - len(keep),
    )


def _convert_all(
    raw: pa.Table, schema: Schema, rules: Rules, numbers: Mapping[str, NDArray[np.bool_]]
) -> tuple[pa.Table, list[_Fault]]:
    places = {name: place for place, name in enumerate(raw.column_names)}
    types = raw.schema.types
    missing = [c.name for c in schema.features if c.name not in places]
    if missing:
        raise DataError(
            f"the table must have every feature of the schema, and lacks "
            f"{', '.join(map(repr, missing))}; it has {', '.join(map(repr, raw.column_names))}"
        )
    arrays: list[pa.Array] = []
    faults: list[_Fault] = []
    for column, declared in zip(schema.columns, schema.arrow_schema(), strict=True):
        place = places.get(column.name)
        if place is None:
            arrays.append(pa.nulls(raw.num_rows, declared.type))
            continue
        type_word(column.name, types[place])  # refuses nested columns
        done = convert(
            raw.column(place),
            column.kind,
            markers=rules.markers,
            trim=rules.trim,
            form=column.form,
            numbers=numbers.get(column.name),
        )
        refused = [*_outside(column, done.array, rules), *_unknown_class(column, done.array)]
        arrays.append(_nulled(done.array, refused))
        faults += [*_unread(column, done), *refused]
    faults = [fault for fault in faults if fault.bad.any()]
    return pa.table(arrays, schema=schema.arrow_schema()), faults


def _unread(column: Column, done: Converted) -> list[_Fault]:
    if done.undecided is None:
        return [_Fault(column.name, done.bad, done.reason)]
    return [
        _Fault(column.name, done.bad & ~done.undecided, done.reason),
        _Fault(column.name, done.undecided, UNDECIDED[column.kind]),
    ]


def _outside(column: Column, array: pa.Array, rules: Rules) -> list[_Fault]:
    low, high = rules.limits.get(column.name, (None, None))
    if column.kind not in (Kind.NUMBER, Kind.INTEGER) or (low is None and high is None):
        return []
    values = np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    faults = []
    if low is not None:
        faults.append(_Fault(column.name, values < low, f"is below the minimum {low:g}"))
    if high is not None:
        faults.append(_Fault(column.name, values > high, f"is above the maximum {high:g}"))
    return faults


def _unknown_class(column: Column, array: pa.Array) -> list[_Fault]:
    if column.role is not Role.TARGET or column.domain is None:
        return []
    known = pc.is_in(array, value_set=pa.array(column.domain, pa.string()))
    strange = pc.and_(pc.is_valid(array), pc.invert(known))
    return [_Fault(column.name, as_mask(strange), "is not one of the classes")]


def _nulled(array: pa.Array, faults: list[_Fault]) -> pa.Array:
    for fault in faults:
        array = pc.if_else(pa.array(fault.bad), pa.scalar(None, array.type), array)
    return array


def _problems(
    raw: pa.Table, fault: _Fault, positions: NDArray[np.int64], *, source: str = ""
) -> pa.Table:
    rows = np.flatnonzero(fault.bad)
    if fault.column in raw.column_names and len(rows):
        values = _shown(whole(raw.column(fault.column).take(pa.array(rows))))
    else:
        values = pa.nulls(len(rows), pa.string())
    n_rows = len(rows)
    return pa.table(
        [
            pa.array([source] * n_rows, pa.string()),
            pa.array(positions[rows] + 1, pa.int64()),
            pa.array([fault.column] * n_rows, pa.string()),
            values,
            pa.array([fault.reason] * n_rows, pa.string()),
        ],
        schema=PROBLEMS,
    )


def reject_problems(block: RawBlock, *, source: str = "") -> pa.Table:
    """The records of a block that are no rows, as `PROBLEMS` without a column."""
    rows = [
        {
            "source": source,
            "position": reject.position + 1,
            "column": None,
            "value": reject.text[:MAX_VALUE_CHARACTERS],
            "reason": reject.reason,
        }
        for reject in block.rejects
    ]
    return pa.Table.from_pylist(rows, schema=PROBLEMS)


def _shown(values: pa.Array) -> pa.Array:
    return pc.utf8_slice_codeunits(to_text(values), 0, MAX_VALUE_CHARACTERS)


def _nulls(table: pa.Table, name: str) -> NDArray[np.bool_]:
    return as_mask(pc.is_null(whole(table.column(name))))
