"""Parquet files: pieces are runs of row groups, or slices of a large one, in the file's types."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.data.csv_file import unique_names
from tenfold.data.ipc_file import BROKEN, refuse_extensions
from tenfold.data.reasons import reason_of
from tenfold.data.source import BLOCK_BYTES, RawBlock
from tenfold.data.text import plain_schema, without_views
from tenfold.errors import DataError

__all__ = ["SLICE_BYTES", "ParquetShard", "parquet_schema", "parquet_shards"]

SLICE_BYTES = 32 * 1024 * 1024
"""A group of a million rows, as most writers leave it, would cost a worker gigabytes: a piece takes
about ten times its size. Its last slice has to be decoded from the group's start on, so slices are
not as small as blocks may be."""
_BATCH_ROWS = 65_536
_MOST_CODED = 3
"""Bytes a value of a column that is a dictionary throughout, its texts included: plain ones have a
length of four bytes each."""
_BUFFER_BYTES = 1024 * 1024
"""Read at once of a column, instead of all that a group has of it."""


def parquet_schema(path: Path, *, source: str) -> pa.Schema:
    """The columns and their types.

    Raises:
        DataError: the file is not Parquet, has an extension type, or names a column twice.
    """
    with _open(path, source) as file:
        schema = file.schema_arrow
    names = unique_names(schema.names, source=source)
    return plain_schema(names, schema.types)


@dataclass(frozen=True, slots=True)
class ParquetShard:
    """A run of row groups of one file, or rows of one group.

    It is decoded by one thread: as many shards are read at once as there are cores, and threads of
    each that take turns on them cost a third more.

    Attributes:
        source: the name in messages.
        path: of the file.
        groups: numbers of the row groups, in order.
        rows: the first row within the one group, and the one behind the last; None for all.
    """

    source: str
    path: str
    groups: tuple[int, ...]
    rows: tuple[int, int] | None = None

    def read(self) -> RawBlock:
        """The rows with the file's own types; texts that the file holds as a dictionary throughout
        stay one: each is then made, checked and cleaned once, two thirds of reading them.

        Raises:
            DataError: the file is not Parquet, or a row group is damaged.
        """
        try:
            with _open(Path(self.path), self.source, coded=True) as file:
                table = (
                    self._slice(file)
                    if self.rows
                    else file.read_row_groups([*self.groups], use_threads=False)
                )
            table.validate(full=True)  # texts that are no UTF-8 would fail much later
        except BROKEN as error:
            raise DataError(
                f"source {self.source!r}: {self.path} is damaged in row groups {self.groups[0]} to "
                f"{self.groups[-1]} ({reason_of(error)}); write the file again"
            ) from error
        names = unique_names(table.column_names, source=self.source)
        n_rows = table.num_rows
        table = without_views(table.rename_columns(names))
        return RawBlock(table, np.arange(n_rows, dtype=np.int64), n_rows)

    def _slice(self, file: pq.ParquetFile) -> pa.Table:
        """Rows of a group, decoded up to the last and held from the first on."""
        start, end = self.rows or (0, 0)
        parts: list[pa.RecordBatch] = []
        n_before = 0
        for batch in file.iter_batches(
            batch_size=_BATCH_ROWS, row_groups=[*self.groups], use_threads=False
        ):
            low, high = max(start - n_before, 0), min(end - n_before, batch.num_rows)
            if low < high:
                parts.append(batch.slice(low, high - low))
            n_before += batch.num_rows
            if n_before >= end:
                break
        return pa.Table.from_batches(parts, file.schema_arrow).combine_chunks()


def parquet_shards(path: Path, *, source: str) -> list[ParquetShard]:
    """Runs of row groups of at least `BLOCK_BYTES` (uncompressed), the last one shorter.

    A group of twice `SLICE_BYTES` or more is cut into slices of rows.
    """
    with _open(path, source) as file:
        metadata = file.metadata
    shards: list[ParquetShard] = []
    run: list[int] = []
    filled = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        n_slices = min(group.num_rows, group.total_byte_size // SLICE_BYTES)
        if run and (filled >= BLOCK_BYTES or n_slices > 1):
            shards.append(ParquetShard(source, str(path), tuple(run)))
            run, filled = [], 0
        if n_slices > 1:
            bounds = [group.num_rows * place // n_slices for place in range(n_slices + 1)]
            shards += [
                ParquetShard(source, str(path), (number,), pair) for pair in pairwise(bounds)
            ]
            continue
        run.append(number)
        filled += group.total_byte_size
    return [*shards, ParquetShard(source, str(path), tuple(run))] if run else shards


@dataclass(frozen=True, slots=True)
class _Footer:
    metadata: pq.FileMetaData
    coded: tuple[str, ...]


@lru_cache(maxsize=2)
def _footer(path: Path, _inode: int, _size: int, _written_ns: int, _changed_ns: int) -> _Footer:
    """The footer of a file as it is: of a thousand groups it takes 20 ms, and every shard asks."""
    with pq.ParquetFile(path) as file:
        return _Footer(file.metadata, _coded(file))


def _coded(file: pq.ParquetFile) -> tuple[str, ...]:
    """Columns of texts that are a dictionary throughout. A writer whose dictionary grew too long
    goes on with plain texts, each of four bytes and more."""
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    kinds = (pa.string(), pa.large_string())
    texts = {field.name for field in file.schema_arrow if field.type in kinds}
    paths = [file.schema.column(place).path for place in range(file.metadata.num_columns)]
    uses = Counter(paths)  # a text "a.b" has the path of a struct's field, too
    return tuple(
        name
        for place, name in enumerate(paths)
        if name in texts
        and uses[name] == 1
        and all(_is_coded(group.column(place)) for group in groups)
    )


def _is_coded(chunk: pq.ColumnChunkMetaData) -> bool:
    few = chunk.total_uncompressed_size <= _MOST_CODED * chunk.num_values
    return bool(chunk.has_dictionary_page and few)


def _open(path: Path, source: str, *, coded: bool = False) -> pq.ParquetFile:
    try:
        now = path.stat()
        footer = _footer(path, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
        file = pq.ParquetFile(
            path,
            buffer_size=_BUFFER_BYTES,
            metadata=footer.metadata,
            read_dictionary=[*footer.coded] if coded else [],
        )
        refuse_extensions(file.schema_arrow, path, source=source)
    except BROKEN as error:
        raise DataError(
            f"source {source!r}: {path} is not a Parquet file ({reason_of(error)}); "
            "name its format in the project file or write it again"
        ) from error
    return file
