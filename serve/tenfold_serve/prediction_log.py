"""The form of the prediction log: one Arrow row per answered row, features as text.

A feature stands under its own name as the text that a file would hold: a number's shortest exact
digits, ``true`` or ``false``, a moment in UTC, a category as it came even if the model did not know
it. So one table serves every version of a model, also when a column changes its kind between them,
and a retrain reads it back by whatever schema it has (`tenfold.data.clean_table`). A replica leaves
numbers and moments in its segments as they are, where one schema describes all their rows; the
committer makes texts of them (1.6 us a row of 20 numbers that no request has to wait for). The
columns before them start with two underscores, as in snapshots, and come first because Delta keeps
smallest and largest values of the first 32 columns only:

``__id`` string, ``__at`` timestamp[us, UTC], ``__version`` int32, ``__digest`` string, ``__arm``
string, ``__replica`` string, ``__value`` string (the class, or the number's exact text),
``__scores`` list<float64>.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tenfold.features.columnpath import Columns
from tenfold.schema import Column, Kind, Schema

if TYPE_CHECKING:
    from tenfold_serve.arms import Arm

__all__ = [
    "ANOTHERS_CALL",
    "META_FIELDS",
    "Answers",
    "Call",
    "Entry",
    "LoggedArm",
    "answers_table",
    "by_arm",
    "features_as_text",
    "write_segment",
]

Floats = npt.NDArray[np.float64]

_IN_CODES = (Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN, Kind.DATETIME)
"""Kinds whose codes are their values; of the others the log keeps what came."""

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


_META_NAMES = [field.name for field in META_FIELDS]


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


class Call(NamedTuple):
    """A call of a model that scored several requests together.

    Attributes:
        seconds: that it took.
        n_rows: of all its requests.
    """

    seconds: float
    n_rows: int


ANOTHERS_CALL = Call(0.0, 0)
"""Of a request whose call another of its requests tells of."""


class Entry(NamedTuple):
    """One answered request, as it lies in the ring.

    Attributes:
        ids: prediction ids, one per row.
        rows: the rows as they came, parsed, or their columns; nobody changes them any more.
        codes: float64 ``(n_rows, n_columns)``.
        scores: float64 ``(n_rows, k)``.
        values: what was answered, one per row: classes as strings, or numbers.
        arm: the model that answered.
        at_ms: milliseconds since 1970.
        seconds: that the model took to read and score the rows; of a call that it shared, its rows'
            part.
        beside: the champion, where a canary answered.
        call: that it shared; None if it had one of its own.
    """

    ids: Sequence[str]
    rows: Sequence[Mapping[str, Any]] | Columns
    codes: Floats
    scores: Floats
    values: Sequence[str | float]
    arm: LoggedArm
    at_ms: int
    seconds: float = 0.0
    beside: Arm | None = None
    call: Call | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one model answered, by field: a part of the ring turned on its side, once for all who
    count and log it.

    Attributes:
        arm: the model.
        entries: its requests, in their order.
        sizes: rows of each request, int64 ``(n_requests,)``.
        ids: prediction ids, one per row.
        codes: float64 ``(n_rows, n_columns)``.
        scores: float64 ``(n_rows, k)``.
    """

    arm: LoggedArm
    entries: Sequence[Entry]
    sizes: npt.NDArray[np.int64]
    ids: Sequence[str]
    codes: Floats
    scores: Floats

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Answers:
        """Of requests that one model answered, at least one."""
        ids, _rows, codes, scores, *_others = zip(*entries, strict=True)
        return cls(
            entries[0].arm,
            entries,
            np.fromiter(map(len, ids), dtype=np.int64, count=len(ids)),
            list(chain.from_iterable(ids)),
            np.concatenate(codes),
            np.concatenate(scores),
        )


def by_arm(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Answered requests by the model that answered them; those of one keep their order."""
    found: dict[int, list[Entry]] = {}
    for entry in entries:
        found.setdefault(id(entry.arm), []).append(entry)
    return list(found.values())


def answers_table(answers: Answers, *, replica: str) -> pa.Table:
    """The log rows of what one model answered, in their order."""
    arm, n_rows = answers.arm, len(answers.codes)
    at_us = np.array([entry.at_ms for entry in answers.entries], dtype=np.int64) * 1000
    constants = (arm.version, arm.digest, arm.name, replica)
    fields = META_FIELDS[2:6]
    arrays = [
        pa.array(answers.ids, pa.string()),
        pa.array(np.repeat(at_us, answers.sizes)).view(META_FIELDS[1].type),
        *(
            pa.repeat(pa.scalar(value, field.type), n_rows)
            for value, field in zip(constants, fields, strict=True)
        ),
        pa.array(_values(answers.entries), pa.string()),
        _lists(answers.scores),
    ]
    by_column = np.ascontiguousarray(answers.codes.T)
    features = arm.schema.features
    arrays += [_feature(column, by_column[k], answers.entries) for k, column in enumerate(features)]
    return pa.Table.from_arrays(arrays, [*_META_NAMES, *(column.name for column in features)])


def features_as_text(table: pa.Table) -> pa.Table:
    """The table with every column that is no meta field as text.

    >>> table = features_as_text(pa.table({"__id": ["a"], "x": [1.5]}))
    >>> table.schema.types
    [DataType(string), DataType(string)]
    """
    known = {field.name: field.type for field in META_FIELDS}
    fields = [pa.field(name, known.get(name, pa.string())) for name in table.column_names]
    return table.cast(pa.schema(fields))  # 0.07 us a number; repr would take 0.4


def write_segment(path: Path, tables: Sequence[pa.Table]) -> None:
    """Write a segment whole: an Arrow file under a temporary name, then one rename.

    Tables of models with different columns or kinds of them share a segment, features as text; a
    column that one lacks is null.

    Args:
        path: of the segment.
        tables: of `answers_table`, at least one.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    if any(table.schema != tables[0].schema for table in tables):
        tables = [features_as_text(table) for table in tables]
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


def _lists(scores: Floats) -> pa.Array:
    """One list a row."""
    n_rows, width = scores.shape
    ends = np.arange(0, (n_rows + 1) * width, width, dtype=np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(scores.ravel()))


def _values(entries: Sequence[Entry]) -> list[str]:
    """What was answered, one text per row: a class, or a number's shortest exact digits."""
    values = chain.from_iterable(entry.values for entry in entries)
    return [value if isinstance(value, str) else repr(float(value)) for value in values]


def _feature(column: Column, codes: Floats, entries: Sequence[Entry]) -> pa.Array:
    """A column's values as they are told; the texts of these are the log's."""
    if column.kind not in _IN_CODES:
        return pa.array([text for entry in entries for text in _texts(entry, column.name)],
                        pa.string())  # fmt: skip
    if column.kind is Kind.NUMBER:
        return pa.array(codes, from_pandas=True)
    missing = np.isnan(codes)
    filled = np.where(missing, 0.0, codes)
    if column.kind is Kind.BOOLEAN:
        return pa.array(filled != 0, pa.bool_(), mask=missing)
    if column.kind is Kind.DATETIME:
        micros = np.round(filled * 1e6).astype(np.int64)
        return pa.array(micros, mask=missing).cast(META_FIELDS[1].type)
    if bool((np.abs(filled) < 2.0**63).all()):
        return pa.array(filled.astype(np.int64), mask=missing)  # 1000, not 1e+3
    return pa.array(filled, mask=missing)


def _texts(entry: Entry, name: str) -> list[str | None]:
    if isinstance(entry.rows, Columns):
        return entry.rows.texts(name)
    return [row.get(name) for row in entry.rows]
