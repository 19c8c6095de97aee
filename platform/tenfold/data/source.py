"""Where rows come from: the contract of a source, its shards and what a shard gives.

A source is cut into shards by its own content, never by the cluster that reads it: the same file
gives the same shards on a laptop and on a hundred nodes, and the snapshot's blocks follow them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["BLOCK_BYTES", "RawBlock", "Reject", "Shard", "Source", "TableShard", "TableSource"]

BLOCK_BYTES = 1024 * 1024
"""Bytes of source a block aims at: thousands of rows, small enough to redo after a loss."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not be split into cells.

    Attributes:
        position: record number within its shard, from 0.
        text: the record as it stands.
        reason: e.g. ``"has 3 cells, the header names 2"``.
    """

    position: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class RawBlock:
    """One shard, read.

    Attributes:
        table: the rows as they stand; text columns, or typed ones from a typed source.
        positions: record number of each row within the shard, from 0; shape (n_rows,).
        n_records: rows and rejects together.
        rejects: records that are no rows.
        source: the name of its own source, where several are stacked; else empty.
        numbers: by column, which of its texts are numbers of the format's own, (n_rows,): of a
            typed file among files of texts, and of JSON lines where a shard was asked to tell.
    """

    table: pa.Table
    positions: NDArray[np.int64]
    n_records: int
    rejects: tuple[Reject, ...] = ()
    source: str = ""
    numbers: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


class Shard(Protocol):
    """A piece of a source: a small value that travels to any process and is read there."""

    def read(self) -> RawBlock:
        """The rows of the piece; may be called again and gives the same.

        Raises:
            DataError: the bytes are not what the source's format demands.
        """
        ...


class Source(Protocol):
    """A named place to read rows from. Reading twice gives the same rows unless it changed."""

    @property
    def name(self) -> str:
        """The name in messages and in the quarantine table."""
        ...

    def columns(self) -> tuple[str, ...]:
        """The column names, unique.

        Raises:
            DataError: the place is missing, empty or not readable.
        """
        ...

    def schema(self) -> pa.Schema:
        """The columns as stored: text where the format has no types; cheap, no full read.

        Raises:
            DataError: as `columns`.
        """
        ...

    def shards(self) -> Sequence[Shard]:
        """The pieces, in order of the rows; a function of the content alone."""
        ...

    def size_bytes(self) -> int:
        """Stored size, to choose a driver by."""
        ...

    def fingerprint(self) -> list[dict[str, Any]]:
        """JSON values that change when the content does; cheap, no full read."""
        ...


@dataclass(frozen=True, slots=True)
class TableShard:
    """Rows of a table in memory."""

    table: pa.Table

    def read(self) -> RawBlock:
        """The rows."""
        n_rows = self.table.num_rows
        return RawBlock(self.table, np.arange(n_rows, dtype=np.int64), n_rows)


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table in memory as a source; shards of a fixed number of rows.

    Attributes:
        table: text or typed columns.
        name: the name in messages.
        block_rows: rows a shard holds.
    """

    table: pa.Table
    name: str = "table"
    block_rows: int = field(default=8192)

    def columns(self) -> tuple[str, ...]:
        """The table's column names."""
        return tuple(self.table.column_names)

    def schema(self) -> pa.Schema:
        """The table's schema."""
        return self.table.schema

    def shards(self) -> Sequence[TableShard]:
        """Slices of ``block_rows`` rows."""
        starts = range(0, self.table.num_rows, self.block_rows)
        return [TableShard(self.table.slice(start, self.block_rows)) for start in starts]

    def size_bytes(self) -> int:
        """Bytes in memory."""
        return int(self.table.nbytes)

    def fingerprint(self) -> list[dict[str, Any]]:
        """A digest of the table's own bytes."""
        import hashlib

        digest = hashlib.sha256()
        for batch in self.table.combine_chunks().to_batches():
            digest.update(batch.serialize())
        return [{"table": self.name, "sha256": digest.hexdigest()}]
