"""Ranges of a key: a partition, whatever the keys are."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.sql import SqlPlace
from tenfold.project.sources import SqlSource

KEYS = st.one_of(
    st.none(), st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 10**9])
)


@settings(max_examples=40)
@given(keys=st.lists(KEYS, min_size=1, max_size=60), rows_each=st.integers(1, 25))
def test_every_row_is_in_one_range_of_bounded_size(keys: list[int | None], rows_each: int) -> None:
    with TemporaryDirectory() as name:
        connection = sqlite3.connect(Path(name) / "keys.db", isolation_level=None)
        connection.execute("CREATE TABLE t (k INTEGER, n INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(k, n) for n, k in enumerate(keys)])
        connection.close()
        spec = SqlSource(type="sql", url="sqlite:///keys.db", table="t", shard_by="k")
        place = SqlPlace(spec, Path(name), rows_each)
        streams = [
            [row["n"] for table in stream.batches() for row in table.to_pylist()]
            for stream in place.streams(place.plan(None))
        ]
    assert sorted(n for stream in streams for n in stream) == list(range(len(keys)))
    most = Counter(keys).most_common(1)[0][1]  # the rows of one key stay together
    known = [stream for stream in streams if keys[stream[0]] is not None]
    assert all(0 < len(stream) < rows_each + most for stream in known)
    assert len(known) <= -(-sum(key is not None for key in keys) // rows_each)
