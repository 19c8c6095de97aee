"""Parquet names and pieces."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenfold.data.parquet_file import ParquetShard, parquet_schema, parquet_shards
from tenfold.errors import DataError


def test_duplicate_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), path)
    with pytest.raises(DataError, match="'a' names columns 1 and 2"):
        parquet_schema(path, source="t")


def test_a_table_without_rows_has_no_piece_with_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    assert sum(shard.read().n_records for shard in parquet_shards(path, source="t")) == 0


def test_names_are_trimmed_alike_in_head_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({" a ": [1]}), path)
    assert parquet_schema(path, source="t").names == ["a"]
    assert ParquetShard("t", str(path), (0,)).read().table.column_names == ["a"]
