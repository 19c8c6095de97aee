"""Parquet files: pieces are runs of row groups, read as the types that the file declares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.data.csv_file import unique_names
from tenfold.data.source import BLOCK_BYTES, RawBlock
from tenfold.errors import DataError

__all__ = ["ParquetShard", "parquet_columns", "parquet_schema", "parquet_shards"]


def parquet_columns(path: Path, *, source: str) -> tuple[str, ...]:
    """The column names.

    Raises:
        DataError: the file is not Parquet, or names a column twice.
    """
    return unique_names(parquet_schema(path, source=source).names, source=source)


def parquet_schema(path: Path, *, source: str) -> pa.Schema:
    """The columns as the file declares them.

    Raises:
        DataError: the file is not Parquet.
    """
    return _open(path, source).schema_arrow


@dataclass(frozen=True, slots=True)
class ParquetShard:
    """A run of row groups of one file."""

    source: str
    path: str
    groups: tuple[int, ...]

    def read(self) -> RawBlock:
        """The rows with the file's own types.

        Raises:
            DataError: the file is not Parquet.
        """
        table = _open(Path(self.path), self.source).read_row_groups(list(self.groups))
        names = unique_names(table.column_names, source=self.source)
        n_rows = table.num_rows
        return RawBlock(table.rename_columns(names), np.arange(n_rows, dtype=np.int64), n_rows)


def parquet_shards(path: Path, *, source: str) -> list[ParquetShard]:
    """Runs of row groups of at least `BLOCK_BYTES` (uncompressed), the last one shorter."""
    metadata = _open(path, source).metadata
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
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"source {source!r}: {path} is not a Parquet file ({error}); "
            "name its format in the project file or write it again"
        ) from error
