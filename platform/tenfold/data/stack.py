"""Several sources of one table, one below the other: columns matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tenfold.data.align import AlignedShard, Alignment
from tenfold.data.source import Source

__all__ = ["Stack"]


@dataclass(frozen=True)
class Stack:
    """Sources in the order of their rows.

    Attributes:
        parts: at least two.
    """

    parts: tuple[Source, ...]

    @property
    def name(self) -> str:
        """All names: ``a + b``."""
        return " + ".join(part.name for part in self.parts)

    def alignment(self) -> Alignment:
        """What the parts have in common, and what was reconciled."""
        return Alignment.of({part.name: part.schema() for part in self.parts})

    def schema(self) -> pa.Schema:
        """The common columns and types."""
        to = self.alignment()
        return pa.schema(list(zip(to.columns, to.types, strict=True)))

    def columns(self) -> tuple[str, ...]:
        """The column names of all parts."""
        return self.alignment().columns

    def shards(self) -> Sequence[AlignedShard]:
        """Those of each part in turn."""
        to = self.alignment()
        return [
            AlignedShard(shard, to, part.name) for part in self.parts for shard in part.shards()
        ]

    def size_bytes(self) -> int:
        """Stored size of all parts."""
        return sum(part.size_bytes() for part in self.parts)

    def fingerprint(self) -> list[dict[str, Any]]:
        """Those of the parts in turn."""
        return [fact for part in self.parts for fact in part.fingerprint()]
