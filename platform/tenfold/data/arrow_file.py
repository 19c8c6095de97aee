"""Small Arrow IPC files: written whole, read by memory map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from tenfold.canonical import canonical_json, write_atomic

__all__ = ["read_arrow", "read_facts", "to_ipc", "write_arrow"]

_FACTS = b"tenfold"


def to_ipc(table: pa.Table, facts: dict[str, Any] | None = None) -> bytes:
    """A table as an Arrow IPC file in one batch, with JSON facts in its schema's metadata.

    >>> data = to_ipc(pa.table({"a": [1]}), {"n": 1})
    >>> pa.ipc.open_file(data).read_all().num_rows
    1
    """
    metadata = {_FACTS: canonical_json(facts)} if facts is not None else None
    table = table.combine_chunks().replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def write_arrow(path: Path, table: pa.Table, facts: dict[str, Any] | None = None) -> bytes:
    """Write a table whole and durably; returns the bytes written.

    Raises:
        StoreError: the disk refuses.
    """
    data = to_ipc(table, facts)
    write_atomic(path, data)
    return data


def read_arrow(path: Path) -> pa.Table:
    """The table, mapped: pages are read when they are used."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def read_facts(path: Path) -> dict[str, Any]:
    """The JSON facts of a file, without its rows."""
    with pa.memory_map(str(path)) as source:
        metadata = pa.ipc.open_file(source).schema.metadata or {}
    return dict(json.loads(metadata[_FACTS]))
