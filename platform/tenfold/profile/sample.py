"""A sample of rows that depends on the rows alone: those with the smallest hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tenfold.profile.grid import Ints

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SAMPLE_ROWS", "Sample", "hash_limit"]

SAMPLE_ROWS = 10_000
"""A correlation's standard error is then 1 %; a table of fewer rows is its own sample."""
MARGIN = 1.5
"""Blocks pass on so many times their share: that fewer than `SAMPLE_ROWS` come through has odds
below 1e-100 for hashes that are uniform."""

Hashes = npt.NDArray[np.uint64]


def hash_limit(n_rows: int) -> int:
    """The largest hash that can be among the smallest of so many rows, with a margin.

    >>> hash_limit(5_000) == 2**64 - 1, round(hash_limit(1_500_000) / 2**64, 6)
    (True, 0.01)
    """
    share = MARGIN * SAMPLE_ROWS / max(1, n_rows)
    return 2**64 - 1 if share >= 1.0 else int(share * 2**64)


@dataclass(frozen=True, eq=False)
class Sample:
    """At most `SAMPLE_ROWS` rows, in order of the source; the same for any cut and any order.

    Attributes:
        hashes: of the rows, shape (n_rows,).
        positions: in the source, increasing, shape (n_rows,).
        table: the rows.
    """

    hashes: Hashes
    positions: Ints
    table: pa.Table

    @classmethod
    def from_table(
        cls, table: pa.Table, *, hashes: Hashes, positions: Ints, limit: int = 2**64 - 1
    ) -> Sample:
        """Those of a block's rows that may be in the sample.

        Args:
            table: the rows.
            hashes: a uniform hash of each, shape (n_rows,).
            positions: in the source, shape (n_rows,).
            limit: largest hash taken, see `hash_limit`; the same for every block.
        """
        may = np.flatnonzero(hashes <= np.uint64(limit))
        return cls(hashes[may], positions[may], _take(table, may))._smallest()

    @classmethod
    def merge_all(cls, parts: Sequence[Sample]) -> Sample:
        """The sample of the rows of all; at least one part."""
        import pyarrow as pa

        return cls(
            np.concatenate([part.hashes for part in parts]),
            np.concatenate([part.positions for part in parts]),
            pa.concat_tables([part.table for part in parts]),
        )._smallest()

    def _smallest(self) -> Sample:
        kept = np.lexsort((self.positions, self.hashes))[:SAMPLE_ROWS]
        kept = kept[np.argsort(self.positions[kept], kind="stable")]
        return Sample(self.hashes[kept], self.positions[kept], _take(self.table, kept))

    @property
    def n_rows(self) -> int:
        """Rows in the sample."""
        return len(self.positions)


def _take(table: pa.Table, rows: npt.NDArray[np.intp]) -> pa.Table:
    return table.take(rows).combine_chunks()
