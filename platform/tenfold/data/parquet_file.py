"""Parquet files: pieces are runs of row groups, read as the types that the file declares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.data.csv_file import unique_names
from tenfold.data.ipc_file import BROKEN, refuse_extensions
from tenfold.data.reasons import reason_of
from tenfold.data.source import BLOCK_BYTES, RawBlock
from tenfold.errors import DataError

__all__ = ["ParquetShard", "parquet_schema", "parquet_shards"]


def parquet_schema(path: Path, *, source: str) -> pa.Schema:
    """The columns and their types.

    Raises:
        DataError: the file is not Parquet, has an extension type, or names a column twice.
    """
    with _open(path, source) as file:
        schema = file.schema_arrow
    names = unique_names(schema.names, source=source)
    return pa.schema(list(zip(names, schema.types, strict=True)))


@dataclass(frozen=True, slots=True)
class ParquetShard:
    """A run of row groups of one file."""

    source: str
    path: str
    groups: tuple[int, ...]

    def read(self) -> RawBlock:
        """The rows with the file's own types.

        Raises:
            DataError: the file is not Parquet, or a row group is damaged.
        """
        try:
            with _open(Path(self.path), self.source) as file:
                table = file.read_row_groups(list(self.groups))
            table.validate(full=True)  # texts that are no UTF-8 would fail much later
        except BROKEN as error:
            raise DataError(
                f"source {self.source!r}: {self.path} is damaged in row groups {self.groups[0]} to "
                f"{self.groups[-1]} ({reason_of(error)}); write the file again"
            ) from error
        names = unique_names(table.column_names, source=self.source)
        n_rows = table.num_rows
        return RawBlock(table.rename_columns(names), np.arange(n_rows, dtype=np.int64), n_rows)


def parquet_shards(path: Path, *, source: str) -> list[ParquetShard]:
    """Runs of row groups of at least `BLOCK_BYTES` (uncompressed), the last one shorter."""
    with _open(path, source) as file:
        metadata = file.metadata
    runs: list[list[int]] = []
    filled = BLOCK_BYTES
    for group in range(metadata.num_row_groups):
        if filled >= BLOCK_BYTES:
            runs.append([])
            filled = 0
        runs[-1].append(group)
        filled += metadata.row_group(group).total_byte_size
    return [ParquetShard(source, str(path), tuple(run)) for run in runs]


def _open(path: Path, source: str) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
        refuse_extensions(file.schema_arrow, path, source=source)
    except BROKEN as error:
        raise DataError(
            f"source {source!r}: {path} is not a Parquet file ({reason_of(error)}); "
            "name its format in the project file or write it again"
        ) from error
    return file
