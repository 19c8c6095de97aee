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
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tenfold.features.columnpath import Columns
from tenfold.schema import Column, Kind
from tenfold_serve.answers import IN_CODES, Answers, Floats

__all__ = ["META_FIELDS", "answers_table", "features_as_text", "table_steps", "write_segment"]

_STEP_S: Final = 0.0003
"""After so long a table's maker lets others have the interpreter."""
_TEXTS_AT_ONCE: Final = 512
"""Numbers made texts in a step, a quarter of a millisecond."""

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


def answers_table(answers: Answers, *, replica: str) -> pa.Table:
    """The log rows of what one model answered, in their order."""
    steps = table_steps(answers, replica=replica)
    while True:
        try:
            next(steps)
        except StopIteration as whole:
            return whole.value


def table_steps(answers: Answers, *, replica: str) -> Generator[None, None, pa.Table]:
    """`answers_table`, made in steps of some third of a millisecond, so that requests come between;
    a column of a thousand rows takes up to half of that."""
    arm, n_rows = answers.arm, len(answers.codes)
    constants = (arm.version, arm.digest, arm.name, replica)
    features = arm.schema.features
    by_column = np.ascontiguousarray(answers.codes.T)
    arrays: list[pa.Array] = []

    def columns() -> Iterator[None]:
        arrays.append(pa.array(answers.ids, pa.string()))
        at_us = np.repeat(answers.at_ms * 1000, answers.sizes)
        arrays.append(pa.array(at_us).view(META_FIELDS[1].type))
        for value, field in zip(constants, META_FIELDS[2:6], strict=True):
            arrays.append(pa.repeat(pa.scalar(value, field.type), n_rows))
        texts: list[str] = []
        for start in range(0, n_rows, _TEXTS_AT_ONCE):
            yield
            texts += _values(answers.values[start : start + _TEXTS_AT_ONCE])
        arrays.extend((pa.array(texts, pa.string()), _lists(answers.scores)))
        for k, column in enumerate(features):
            yield
            arrays.append(_feature(column, by_column[k], answers.rows))

    began = time.perf_counter()
    for _ in columns():
        if time.perf_counter() - began > _STEP_S:
            yield
            began = time.perf_counter()
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


def _values(values: Sequence[str | float]) -> list[str]:
    """What was answered, one text per row: a class, or a number's shortest exact digits."""
    return [value if isinstance(value, str) else repr(float(value)) for value in values]


def _feature(
    column: Column, codes: Floats, requests: Sequence[Sequence[Mapping[str, Any]] | Columns]
) -> pa.Array:
    """A column's values as they are told; the texts of these are the log's."""
    if column.kind not in IN_CODES:
        texts = [text for rows in requests for text in _texts(rows, column.name)]
        return pa.array(texts, pa.string())
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


def _texts(rows: Sequence[Mapping[str, Any]] | Columns, name: str) -> Sequence[str | None]:
    if isinstance(rows, Columns):
        return rows.texts(name)
    return [row.get(name) for row in rows]
