"""What both kinds of lake tables share: runs of files, tables of flat columns, chosen columns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from tenfold.data.pull import Stream
from tenfold.data.text import is_text, type_word
from tenfold.errors import DataError
from tenfold.project.secrets import resolve_secrets

__all__ = [
    "batch_rows",
    "check_columns",
    "check_flat",
    "file_runs",
    "flat",
    "nonempty",
    "opened",
    "sample_of",
]

RUN_BYTES = 64 * 1024 * 1024
"""Stored bytes of a stream: a few seconds of work, so that little is lost with a worker."""

MAX_STREAMS = 2000
"""Each stream opens the table anew."""

_BATCH_BYTES = 4 * 1024 * 1024
_CELL_BYTES = 16
"""A guess of what a cell takes, to bound batches of wide tables."""
_SAMPLE_ROWS = 1000


def file_runs(files: Sequence[tuple[str, int]]) -> list[list[str]]:
    """Files put together to streams of about `RUN_BYTES`, at most `MAX_STREAMS` of them.

    Args:
        files: names and sizes in bytes, in order.

    >>> file_runs([("a", 10), ("b", 70_000_000), ("c", 1), ("d", 1)])
    [['a', 'b'], ['c', 'd']]
    """
    wanted = max(RUN_BYTES, sum(size for _, size in files) // MAX_STREAMS + 1)
    runs: list[list[str]] = []
    filled = wanted
    for name, size in files:
        if filled >= wanted:
            runs.append([])
            filled = 0
        runs[-1].append(name)
        filled += size
    return runs


def batch_rows(n_columns: int) -> int:
    """Rows of a batch that keep a table of so many columns to a few MiB.

    >>> batch_rows(4), batch_rows(10_000)
    (65536, 26)
    """
    return max(1, min(65_536, _BATCH_BYTES // (_CELL_BYTES * max(n_columns, 1))))


def check_columns(wanted: Sequence[str], found: Sequence[str], *, source: str) -> list[str]:
    """The columns to read: the wanted ones, or all.

    Raises:
        DataError: the table has no such column.
    """
    for name in wanted:
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else "correct 'columns'"
            raise DataError(
                f"source {source!r}: every one of 'columns' must be a column of the table at this "
                f"version, and {name!r} is none; {remedy}"
            )
    return list(wanted or found)


def check_flat(schema: pa.Schema, *, source: str) -> None:
    """Refuse columns that are no cells.

    Raises:
        DataError: a column is nested, binary, a time of day or of an extension type.
    """
    for field in schema:
        try:
            type_word(field.name, field.type)
        except DataError:
            raise DataError(
                f"source {source!r}: column {field.name!r} has type {field.type}, and Tenfold "
                "reads flat columns of text, numbers, booleans and dates; name the columns to read "
                "in 'columns'"
            ) from None


def flat(batch: pa.RecordBatch, *, source: str) -> pa.Table:
    """A batch as a table without metadata; every text is a plain string.

    Raises:
        DataError: as `check_flat`.
    """
    check_flat(batch.schema, source=source)
    kinds = [
        (field.name, pa.string() if is_text(field.type) else field.type) for field in batch.schema
    ]
    return pa.Table.from_batches([batch]).replace_schema_metadata().cast(pa.schema(kinds))


def sample_of(streams: Iterable[Stream], *, source: str, what: str) -> pa.Table:
    """The first rows of streams of equal types, at most 1,000.

    Raises:
        DataError: there is no row.
    """
    found: list[pa.Table] = []
    for table in (table for stream in streams for table in stream.batches()):
        found.append(table)
        if sum(part.num_rows for part in found) >= _SAMPLE_ROWS:
            break
    if not found:
        raise DataError(f"source {source!r}: {what} has no rows; give at least one row")
    return pa.concat_tables(found).slice(0, _SAMPLE_ROWS)


def opened(options: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Options with their secrets put in, and what messages show in the place of each secret.

    Raises:
        ProjectError: a reference leads nowhere.
    """
    values = {key: resolve_secrets(text) for key, text in options.items()}
    hide = {values[key]: text for key, text in options.items() if values[key] not in (text, "")}
    return values, hide


def nonempty(batches: Iterable[pa.RecordBatch], *, source: str) -> Iterator[pa.Table]:
    """Batches as flat tables, without those that hold no row."""
    for batch in batches:
        if batch.num_rows:
            yield flat(batch, source=source)
