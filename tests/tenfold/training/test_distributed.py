"""Every row reaches exactly one worker, in a fixed order. The fits are in test_train_large."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tenfold.training.distributed import part_of, parts_of


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(1, 6))
def test_every_row_is_read_once(sizes: list[int], n_workers: int) -> None:
    blocks = {f"b{i}": pa.table({"r": [f"{i}:{k}" for k in range(n)]}) for i, n in enumerate(sizes)}
    shares = parts_of(list(blocks), n_workers)
    assert len(shares) == n_workers
    seen = [
        row
        for parts in shares
        for p in parts
        for row in part_of(blocks[p["path"]], p["part"], p["n_parts"])["r"].to_pylist()
    ]
    assert sorted(seen) == sorted(r for table in blocks.values() for r in table["r"].to_pylist())
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
