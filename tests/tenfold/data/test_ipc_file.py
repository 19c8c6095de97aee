"""Arrow IPC files that others wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from tenfold.data.files import FileSource
from tenfold.data.ipc_file import IpcShard, ipc_shards
from tenfold.errors import DataError


def write_stream(path: Path, table: pa.Table, *, rows: int, compression: str | None = None) -> None:
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)


def read_all(path: Path, *, format: str = "auto") -> pa.Table:
    return pa.concat_tables([s.read().table for s in FileSource(path, format=format).shards()])


def test_types_and_order_are_kept_and_metadata_is_not(tmp_path: Path) -> None:
    table = pa.table({"n": [2, 1, None], "t": ["x", "y", None], "d": [0.5, None, float("nan")]})
    path = tmp_path / "t.feather"
    pa.feather.write_feather(table.replace_schema_metadata({"pandas": "{}"}), path)
    found = FileSource(path).shards()[0].read().table
    assert found.schema.types == table.schema.types
    assert found.schema.metadata is None
    assert str(found.to_pydict()) == str(table.to_pydict())


def test_one_large_batch_is_sliced_and_a_compressed_one_is_not(tmp_path: Path) -> None:
    table = pa.table({"n": np.arange(500_000)})
    path = tmp_path / "t.arrow"
    for compression, n_shards in ((None, 3), ("zstd", 1)):
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.ipc.new_file(path, table.schema, options=options) as writer:
            writer.write_table(table)
        shards = ipc_shards(path, source="t")
        assert len(shards) == n_shards
        assert all(isinstance(shard, IpcShard) for shard in shards)
        assert read_all(path).equals(table)


def test_a_stream_with_changing_dictionaries_is_cut_rightly(tmp_path: Path) -> None:
    kind = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([("n", pa.int64()), ("city", kind)])
    path = tmp_path / "t.arrow"
    wanted = []
    with pa.ipc.new_stream(path, schema) as writer:
        for number in range(6):
            city = pa.array([f"city{number}", f"town{number}"] * 60_000, pa.string())
            arrays = [pa.array(range(120_000)), city.dictionary_encode().cast(kind)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            wanted += city.to_pylist()
    shards = FileSource(path).shards()
    assert len(shards) == 6
    found = [v for shard in shards for v in shard.read().table["city"].to_pylist()]
    assert found == wanted


@pytest.mark.parametrize("kept", [3, 100, 5_000, 11_000])
@pytest.mark.parametrize("stream", [False, True])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, kept: int, stream: bool) -> None:
    table = pa.table({"n": list(range(1500)), "t": ["abc"] * 1500})
    path = tmp_path / "t.arrow"
    if stream:
        write_stream(path, table, rows=500)
    else:
        pa.feather.write_feather(table, path, compression="uncompressed")
    assert read_all(path).equals(table)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"t\.arrow is not a whole Arrow file"):
        read_all(path)


def test_bytes_that_break_the_layout_are_found_before_they_are_used(tmp_path: Path) -> None:
    layout = np.array([0, 3, 6], np.int32).tobytes()
    broken = np.array([0, 3, 2_000_000_000], np.int32).tobytes()
    path = tmp_path / "t.arrow"
    schema = pa.schema([("t", pa.string())])
    for new in (pa.ipc.new_file, pa.ipc.new_stream):
        good = pa.record_batch([pa.array(["abc", "def"])], schema=schema)
        with new(path, schema) as writer:
            writer.write_batch(good)
        data = path.read_bytes()
        assert data.count(layout) == 1
        path.write_bytes(data.replace(layout, broken))
        with pytest.raises(DataError, match="is not a whole Arrow file"):
            read_all(path)


def test_text_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    path = tmp_path / "t.arrow"
    pa.feather.write_feather(pa.table({"t": ["caffe"]}), path, compression="uncompressed")
    path.write_bytes(path.read_bytes().replace(b"caffe", b"caf\xe9e"))
    with pytest.raises(DataError, match="is not a whole Arrow file"):
        read_all(path)


def test_other_files_old_feather_and_nested_columns_are_told(tmp_path: Path) -> None:
    path = tmp_path / "t.arrow"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="is not a whole Arrow file"):
        FileSource(path).columns()
    path.write_bytes(b"FEA1" + bytes(100))
    with pytest.raises(DataError, match="Feather of version 1; write it as version 2"):
        FileSource(path).columns()
    pa.feather.write_feather(pa.table({"a": [[1, 2]]}), path)
    with pytest.raises(DataError, match="column 'a' has type list<item: int64>"):
        FileSource(path).columns()
    with pa.ipc.new_file(path, pa.schema([("a", pa.int64()), ("a", pa.int64())])):
        pass
    with pytest.raises(DataError, match="'a' names columns 1 and 2"):
        FileSource(path).columns()


def test_known_extension_types_are_refused_too_even_inside_of_others(tmp_path: Path) -> None:
    path = tmp_path / "t.arrow"
    kind = pa.struct([("deep", pa.uuid())])
    with pa.ipc.new_file(path, pa.schema([("u", kind)])):
        pass
    with pytest.raises(DataError, match=r"and 'u' has the extension type 'arrow\.uuid'"):
        FileSource(path).columns()


def test_format_is_told_by_first_bytes_then_ending(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    path = tmp_path / "t.data"
    pa.feather.write_feather(table, path)
    assert read_all(path).equals(table)
    write_stream(path, table, rows=1)
    assert read_all(path, format="arrow").equals(table)
    lines = tmp_path / "t.NDJSON"
    lines.write_text('{"a": 1}\n')
    assert read_all(lines).to_pydict() == {"a": ["1"]}


@pytest.mark.parametrize("kind", ["file", "stream", "parquet"])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_any_damage_is_refused_or_harmless(
    tmp_path: Path, kind: str, compression: str | None
) -> None:
    codes = pa.array(["x", "y", "z"] * 100).dictionary_encode()
    table = pa.table({"n": list(range(300)), "text": ["ab", "cdé", None] * 100, "code": codes})
    path = tmp_path / f"t.{'parquet' if kind == 'parquet' else 'arrow'}"
    if kind == "stream":
        write_stream(path, table, rows=100, compression=compression)
    elif kind == "file":
        pa.feather.write_feather(table, path, compression=compression or "uncompressed")
    else:
        pq.write_table(table, path, compression=compression or "none")
    data = path.read_bytes()
    random = np.random.default_rng(11)
    n_refused = 0
    for _ in range(150):
        broken = bytearray(data)
        for place in random.integers(len(data), size=3):
            broken[place] = random.integers(256)
        path.write_bytes(broken)
        try:
            read_all(path, format="parquet" if kind == "parquet" else "arrow").validate(full=True)
        except DataError:
            n_refused += 1
    assert 0 < n_refused < 150
