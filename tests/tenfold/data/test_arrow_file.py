"""Small Arrow files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from tenfold.data.arrow_file import read_arrow, read_facts, to_ipc, write_arrow


def test_rows_and_facts_come_back(tmp_path: Path) -> None:
    table = pa.table({"a": pa.chunked_array([[1], [2, 3]])})
    data = write_arrow(tmp_path / "t.arrow", table, {"n": 3})
    assert (tmp_path / "t.arrow").read_bytes() == data
    assert read_arrow(tmp_path / "t.arrow").to_pydict() == {"a": [1, 2, 3]}
    assert read_facts(tmp_path / "t.arrow") == {"n": 3}


def test_equal_rows_give_equal_bytes_however_they_were_chunked() -> None:
    chunked = pa.table({"a": pa.chunked_array([["x"], ["y", None]])})
    assert to_ipc(chunked) == to_ipc(chunked.combine_chunks())
    sliced = pa.table({"a": ["w", "x", "y", None]}).slice(1)
    assert read_back(to_ipc(sliced)) == {"a": ["x", "y", None]}


def read_back(data: bytes) -> dict[str, list[object]]:
    """Rows of IPC bytes."""
    return pa.ipc.open_file(data).read_all().to_pydict()
