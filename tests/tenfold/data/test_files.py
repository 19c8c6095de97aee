"""Files, folders and patterns as one source."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenfold.data.files import FileSource, read_batches, read_sample
from tenfold.data.parquet_file import parquet_shards
from tenfold.errors import DataError


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "none.csv", name="people")
    with pytest.raises(DataError) as caught:
        source.columns()
    assert str(caught.value) == (
        f"source 'people': there is no file {tmp_path / 'none.csv'}; correct the path "
        "(relative paths start at the project file's folder)"
    )


def test_a_folder_and_a_pattern_are_read_in_order_of_names(tmp_path: Path) -> None:
    for name, value in (("b.csv", "2"), ("a.csv", "1"), ("c.csv", "3")):
        (tmp_path / name).write_text(f"x\n{value}\n")
    (tmp_path / "notes.md").write_text("not a table")
    for path in (tmp_path, tmp_path / "*.csv"):
        source = FileSource(path)
        assert source.columns() == ("x",)
        rows = [shard.read().table["x"].to_pylist() for shard in source.shards()]
        assert rows == [["1"], ["2"], ["3"]]
        assert source.size_bytes() == 12


def test_an_empty_folder_and_unequal_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no file ending in"):
        FileSource(tmp_path).files()
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv").write_text("y\n1\n")
    with pytest.raises(DataError, match=r"a.csv has \['x'\], b.csv has \['y'\]; make them equal"):
        FileSource(tmp_path).columns()


def test_the_fingerprint_changes_with_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x\n1\n")
    source = FileSource(path)
    before = source.fingerprint()
    assert source.fingerprint() == before
    path.write_text("x\n2\n")
    assert source.fingerprint() != before


def test_parquet_is_told_by_its_first_bytes_and_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "table.data"
    pq.write_table(pa.table({"a": [1, 2], "b": [0.5, None]}), path)
    source = FileSource(path)
    assert source.columns() == ("a", "b")
    assert source.shards()[0].read().table.to_pylist() == [{"a": 1, "b": 0.5}, {"a": 2, "b": None}]
    with pytest.raises(DataError, match=r"must be UTF-8|column names|is not"):
        FileSource(path, format="csv").shards()[0].read()


def test_a_csv_called_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    with pytest.raises(DataError, match="is not a Parquet file"):
        FileSource(path, format="parquet").columns()


def test_row_groups_are_run_together_to_a_block(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": list(range(400_000))}), path, row_group_size=50_000)
    shards = parquet_shards(path, source="t")
    assert [group for shard in shards for group in shard.groups] == list(range(8))
    assert 1 < len(shards) < 8
    assert sum(shard.read().n_records for shard in shards) == 400_000


def test_batches_give_every_row_as_it_stands(table_file: Path) -> None:
    batches = list(read_batches(table_file))
    assert sum(batch.num_rows for batch in batches) == 600
    assert batches[0].schema.types == [pa.string()] * 5
    assert batches[0]["city"][1].as_py() in (" Bonn", " Köln")


def test_batches_refuse_a_row_of_another_width(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(DataError) as caught:
        list(read_batches(path))
    assert str(caught.value) == (
        f"{path}: row 2 has 1 cells, the header names 2: '3'; mend that row"
    )


def test_a_sample_is_bounded_and_needs_a_row(tmp_path: Path, table_file: Path) -> None:
    assert read_sample(table_file).num_rows == 600
    big = tmp_path / "big.csv"
    big.write_text("a\n" + "123456789\n" * 400_000)
    assert read_sample(big, max_bytes=1).num_rows < 200_000
    empty = tmp_path / "empty.csv"
    empty.write_text("a,b\n")
    with pytest.raises(DataError, match="has a header and no rows; give at least one row"):
        read_sample(empty)
