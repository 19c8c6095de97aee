"""Runs of adjacent rows: what a sample of a very large table cannot hold, rows that stand together.

The sample's rows are spread over the table, so that in one of many millions two of them are never
of one group of the file's order. The runs lie at places that the number of records alone decides,
evenly along the source, so they are the same for any cut and any order of merging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tenfold.profile.grid import Ints
from tenfold.profile.sample import SAMPLE_ROWS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NO_WINDOWS", "RUN_ROWS", "Runs", "Windows"]

N_RUNS = 64
RUN_ROWS = 64
"""Records of a run. 64 runs of 64 give 4,032 pairs of neighbors, so a likeness of 0.07 stands out
of chance over a hundred columns; groups of two rows have 0.5."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Where the runs lie.

    Attributes:
        starts: position of the first record of each, increasing; none for a table that the sample
            holds whole.
    """

    starts: tuple[int, ...]

    @classmethod
    def of(cls, n_records: int) -> Windows:
        """The windows of a source.

        Args:
            n_records: of the source, those included that were set aside.

        >>> Windows.of(1_000).starts, Windows.of(1_000_000).starts[:3]
        ((), (0, 15872, 31744))
        """
        if n_records <= SAMPLE_ROWS:
            return NO_WINDOWS
        last = n_records - RUN_ROWS
        return cls(tuple(k * last // (N_RUNS - 1) for k in range(N_RUNS)))

    def holds(self, positions: Ints) -> npt.NDArray[np.bool_]:
        """Whether each position lies in a window, shape (n_rows,)."""
        if not self.starts:
            return np.zeros(len(positions), dtype=bool)
        starts = np.array(self.starts, dtype=np.int64)
        before = np.searchsorted(starts, positions, side="right") - 1
        return (before >= 0) & (positions - starts[np.maximum(before, 0)] < RUN_ROWS)


NO_WINDOWS = Windows(())


@dataclass(frozen=True, eq=False)
class Runs:
    """The rows of the windows, in order of the source. An immutable value.

    Attributes:
        positions: in the source, increasing, shape (n_rows,).
        table: the rows.
    """

    positions: Ints
    table: pa.Table

    @classmethod
    def from_table(cls, table: pa.Table, *, positions: Ints, windows: Windows) -> Runs:
        """Those of a block's rows that lie in a window.

        Args:
            table: the rows.
            positions: in the source, shape (n_rows,).
            windows: the same for every block.
        """
        held = np.flatnonzero(windows.holds(positions))
        return cls(positions[held], table.take(held))._in_order()

    @classmethod
    def merge_all(cls, parts: Sequence[Runs]) -> Runs:
        """The runs of all; at least one part."""
        import pyarrow as pa

        return cls(
            np.concatenate([part.positions for part in parts]),
            pa.concat_tables([part.table for part in parts]),
        )._in_order()

    def _in_order(self) -> Runs:
        order = np.argsort(self.positions, kind="stable")
        return Runs(self.positions[order], self.table.take(order).combine_chunks())

    @property
    def n_rows(self) -> int:
        """Rows in the runs."""
        return len(self.positions)

    def same_run(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Whether each of some rows and the next one of them are of one run.

        Args:
            rows: increasing places among these rows, shape (n,).

        Returns:
            Shape (n - 1,); windows are further apart than they are long.
        """
        return np.diff(self.positions[rows]) < RUN_ROWS
