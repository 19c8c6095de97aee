"""Parquet names and pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenfold.data.parquet_file import SLICE_BYTES, ParquetShard, parquet_schema, parquet_shards
from tenfold.data.text import plain_texts
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


def test_a_large_row_group_is_cut_into_slices_of_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    table = pa.table({f"x{i}": random.normal(size=300_000) for i in range(32)})
    table = table.append_column("n", pa.array(np.arange(300_000)))
    path = tmp_path / "t.parquet"
    with pq.ParquetWriter(path, table.schema, compression="none") as writer:
        writer.write_table(table.slice(0, 1000))
        writer.write_table(table.slice(1000), row_group_size=2**20)
    shards = parquet_shards(path, source="t")
    assert [shard.groups for shard in shards] == [(0,), (1,), (1,)]
    assert table.nbytes > 2 * SLICE_BYTES
    read = [shard.read() for shard in shards]
    assert pa.concat_tables(block.table for block in read).equals(table)
    assert [block.n_records for block in read] == [1000, 149_500, 149_500]
    assert all(block.positions[0] == 0 for block in read)


def test_texts_that_are_a_dictionary_throughout_stay_one(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    few = [f"level {k}" for k in random.integers(0, 30, 20_000)]
    rare = pa.array(few, mask=random.random(20_000) < 0.9)
    many = [f"name {k}" for k in range(20_000)]
    table = pa.table({"few": few, "rare": rare, "many": many, "number": np.arange(20_000) % 3})
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, row_group_size=5_000, dictionary_pagesize_limit=8_192)
    (shard,) = parquet_shards(path, source="t")
    read = shard.read().table
    assert [field.name for field in read.schema if pa.types.is_dictionary(field.type)] == [
        "few", "rare",
    ]  # fmt: skip
    assert read.schema.field("many").type == pa.string()
    assert plain_texts(read).equals(table)
    assert parquet_schema(path, source="t").field("few").type == pa.string()


def test_a_struct_is_not_mistaken_for_a_text_of_the_same_path(tmp_path: Path) -> None:
    struct = pa.array([{"b": "x"}] * 500)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a.b": ["y"] * 500, "a": struct}), path)
    read = parquet_shards(path, source="t")[0].read().table
    assert read.schema.types == [pa.string(), struct.type]


def test_a_file_that_changed_since_it_was_planned_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": ["x"] * 500}), path)
    (shard,) = parquet_shards(path, source="t")
    pq.write_table(pa.table({"b": ["x"] * 500}), path)
    assert shard.read().table.column_names == ["b"]


def test_a_file_that_was_written_again_is_read_by_its_own_footer(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    for n_rows in (10, 20):
        pq.write_table(pa.table({"a": np.arange(n_rows)}), path)
        assert sum(shard.read().n_records for shard in parquet_shards(path, source="t")) == n_rows
