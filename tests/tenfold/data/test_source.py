"""A table in memory as a source."""

from __future__ import annotations

import pyarrow as pa

from tenfold.data.source import TableSource


def test_shards_cover_the_rows_once_and_in_order() -> None:
    source = TableSource(pa.table({"a": list(range(25))}), block_rows=10)
    blocks = [shard.read() for shard in source.shards()]
    assert [block.n_records for block in blocks] == [10, 10, 5]
    assert [value for block in blocks for value in block.table["a"].to_pylist()] == list(range(25))
    assert source.columns() == ("a",)
    assert source.size_bytes() > 0


def test_the_fingerprint_is_of_the_rows() -> None:
    one, same = (TableSource(pa.table({"a": [1, 2]})) for _ in range(2))
    assert one.fingerprint() == same.fingerprint()
    assert one.fingerprint() != TableSource(pa.table({"a": [2, 1]})).fingerprint()
