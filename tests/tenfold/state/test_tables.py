from __future__ import annotations

from tenfold.state import tables


def test_every_table_is_ours_by_name() -> None:
    names = set(tables.metadata.tables)
    assert len(names) == 6
    assert all(name.startswith("tenfold_") for name in names)
