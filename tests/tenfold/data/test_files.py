"""Files, folders and patterns as one source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.files import FileSource, read_batches, read_sample
from tenfold.data.parquet_file import ParquetShard, parquet_shards
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


def test_an_empty_folder_and_files_that_share_no_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no file ending in"):
        FileSource(tmp_path).files()
    (tmp_path / "a.csv").write_text("a,b,c,d,e,f,g\n1,2,3,4,5,6,7\n")
    (tmp_path / "b.csv").write_text("y\n1\n")
    with pytest.raises(DataError) as caught:
        FileSource(tmp_path, name="people").columns()
    assert str(caught.value) == (
        "source 'people': the files of one table share columns; a.csv has ['a', 'b', 'c', 'd', "
        "'e'] and 2 more, b.csv has ['y']; name another table as a source of its own"
    )


def test_files_whose_columns_drifted_are_matched_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,x\n1,2.5\n")
    (tmp_path / "b.csv").write_text("x,new,id\n3,hi,2\n")
    (tmp_path / "c.csv").write_text("id,x\n3,4\n")
    pq.write_table(pa.table({"x": [5.0], "id": [4]}), tmp_path / "d.parquet")
    (tmp_path / "e.jsonl").write_text('{"id": 5, "new": {"deep": [1]}}\n')
    pa.feather.write_feather(pa.table({"id": ["6"]}), tmp_path / "f.feather")
    source = FileSource(tmp_path)
    assert source.columns() == ("id", "x", "new", "new.deep")
    table = pa.concat_tables([shard.read().table for shard in source.shards()])
    assert table.to_pydict() == {
        "id": ["1", "2", "3", "4", "5", "6"],
        "x": ["2.5", "3", "4", "5", None, None],
        "new": [None, "hi", None, None, None, None],
        "new.deep": [None, None, None, None, "[1]", None],
    }
    told = [f"{c['part']}: {c['column']} {c['change']}" for c in source.alignment().changes]
    assert "a.csv and 1 more: new is not there" in told
    assert "d.parquet: x from double to string" in told
    assert not any(line.startswith("b.csv: x ") for line in told)
    assert read_sample(tmp_path).num_rows == 6


def test_typed_files_meet_in_the_smallest_type_that_holds_both(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": pa.array([1], pa.int32())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"n": pa.array([0.5], pa.float32())}), tmp_path / "b.parquet")
    source = FileSource(tmp_path)
    assert [shard.read().table["n"].type for shard in source.shards()] == [pa.float64()] * 2
    assert source.alignment().changes == (
        {"column": "n", "part": "a.parquet", "change": "from int32 to double"},
        {"column": "n", "part": "b.parquet", "change": "from float to double"},
    )


def test_files_that_agree_are_read_as_they_stand(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pq.write_table(pa.table({"n": pa.array([1], pa.int32())}), tmp_path / f"{name}.parquet")
    source = FileSource(tmp_path)
    assert source.alignment().changes == ()
    assert all(isinstance(shard, ParquetShard) for shard in source.shards())


def test_ten_thousand_columns_in_files_that_drifted(tmp_path: Path) -> None:
    names = [f"c{place}" for place in range(10_000)]
    for file, order in (("a.csv", names), ("b.csv", names[::-1]), ("c.csv", names[1:])):
        cells = [name[1:] for name in order]
        (tmp_path / file).write_text(",".join(order) + "\n" + ",".join(cells) + "\n")
    source = FileSource(tmp_path)
    assert list(source.columns()) == names
    rows = [shard.read().table.to_pylist()[0] for shard in source.shards()]
    assert rows[0] == rows[1] == {name: name[1:] for name in names}
    assert rows[2] == {**rows[0], "c0": None}
    assert source.alignment().changes == (
        {"column": "c0", "part": "c.csv", "change": "is not there"},
    )


@given(
    parts=st.lists(
        st.lists(st.sampled_from("abcdefgh"), unique=True).map(lambda names: ["k", *names]),
        min_size=1,
        max_size=5,
    ),
    data=st.data(),
)
def test_any_drift_keeps_every_cell_of_every_row(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[str]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("drift")
    wanted = []
    for number, names in enumerate(parts):
        names = data.draw(st.permutations(names))
        cells = [f"{name}{number}" for name in names]
        (folder / f"{number}.csv").write_text(f"{','.join(names)}\n{','.join(cells)}\n")
        wanted.append(dict(zip(names, cells, strict=True)))
    source = FileSource(folder)
    found = [shard.read().table.to_pylist()[0] for shard in source.shards()]
    assert [{k: v for k, v in row.items() if v is not None} for row in found] == wanted
    assert all(tuple(row) == source.columns() for row in found)


def test_a_damaged_parquet_file_among_many_is_named(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for number in range(5):
        table = pa.table({"x": random.normal(size=20_000)})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    bad = tmp_path / "3.parquet"
    data = bytearray(bad.read_bytes())
    data[4:2000] = bytes(1996)
    bad.write_bytes(data)
    with pytest.raises(DataError, match=r"3\.parquet is damaged in row groups 0 to 0"):
        [shard.read() for shard in FileSource(tmp_path).shards()]
    bad.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"3\.parquet is not a Parquet file"):
        FileSource(tmp_path).shards()


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_pickled_extension_types_are_refused_and_never_run(tmp_path: Path, ending: str) -> None:
    ran = tmp_path / "ran"
    code = b"cos\nsystem\n(S'touch " + str(ran).encode() + b"'\ntR."
    named = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": code,
    }
    schema = pa.schema([pa.field("x", pa.int64(), metadata=named)])
    path = tmp_path / f"t.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table({"x": [1]}).cast(schema), path)
    else:
        with pa.ipc.new_file(path, schema) as writer:
            writer.write_table(pa.table({"x": [1]}).cast(schema))
    with pytest.raises(DataError, match=r"and 'x' has the extension type 'arrow.py_extension_ty"):
        FileSource(path).columns()
    with pytest.raises(DataError, match="extension type"):
        FileSource(path).shards()[0].read()
    assert not ran.exists()


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
    with pytest.raises(DataError, match=r"must be UTF-8|has no NUL|is not"):
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


def test_parts_with_and_without_dictionaries_have_one_schema(tmp_path: Path) -> None:
    for name, use_dictionary in (("a", True), ("b", False)):
        table = pa.table({"city": ["Bonn am Rhein", "Ulm"] * 500})
        pq.write_table(table, tmp_path / f"{name}.parquet", use_dictionary=use_dictionary)
    batches = list(read_batches(tmp_path / "*.parquet"))
    assert [batch.schema.types for batch in batches] == [[pa.string()], [pa.string()]]
    assert read_sample(tmp_path / "*.parquet").num_rows == 2_000


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
