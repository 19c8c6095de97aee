"""Rows that we stored ourselves as Arrow files, as a source: what a pull or a join left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tenfold.data.align import AlignedShard, Alignment
from tenfold.data.arrow_file import read_arrow
from tenfold.data.source import RawBlock
from tenfold.errors import StoreError

__all__ = ["StoredShard", "StoredSource"]


@dataclass(frozen=True, slots=True)
class StoredShard:
    """One file."""

    path: str

    def read(self) -> RawBlock:
        """All its rows, mapped."""
        table = read_arrow(Path(self.path))
        return RawBlock(table, np.arange(table.num_rows, dtype=np.int64), table.num_rows)


@dataclass(frozen=True, slots=True)
class StoredSource:
    """Files in the order of their rows; each is a shard, matched by column name.

    Attributes:
        name: the name in messages and in the quarantine table.
        files: the files.
        digests: SHA-256 of each, which is what the content is told by.
        lineage: JSON of each pull that added to it, oldest first.
    """

    name: str
    files: tuple[Path, ...]
    digests: tuple[str, ...]
    lineage: tuple[dict[str, Any], ...] = ()

    def columns(self) -> tuple[str, ...]:
        """The column names of all files."""
        return self.alignment().columns

    def alignment(self) -> Alignment:
        """What the files have in common.

        Raises:
            StoreError: a file is gone or damaged.
        """
        schemas: dict[str, pa.Schema] = {}
        for file in self.files:
            try:
                with pa.memory_map(str(file)) as source:
                    found = pa.ipc.open_file(source).schema.remove_metadata()
            except (OSError, pa.ArrowInvalid) as error:
                raise StoreError(
                    f"{file} must be a whole Arrow file ({error}); remove its folder, then run "
                    "the command again"
                ) from error
            if found not in schemas.values():  # files of one schema need one entry only
                schemas[f"{file.parent.name}/{file.name}"] = found  # pulls name their parts alike
        return Alignment.of(schemas)

    def schema(self) -> pa.Schema:
        """The common columns and types."""
        to = self.alignment()
        return pa.schema(list(zip(to.columns, to.types, strict=True)))

    def shards(self) -> Sequence[AlignedShard]:
        """One a file."""
        to = self.alignment()
        return [AlignedShard(StoredShard(str(file)), to) for file in self.files]

    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.files)

    def fingerprint(self) -> list[dict[str, Any]]:
        """The digests of the files."""
        return [{"source": self.name, "sha256": digest} for digest in self.digests]
