"""Blocks: live counts cut into pieces of exactly the reference's size, and scored.

Messages carry counts of however many rows a replica saw in a second or two. A block must hold as
many rows as the reference's blocks, or their scores would not compare. So a message that crosses a
block's end is split at random, column by column: its values are put in a random order and cut
there. Of small blocks many are cut at once: the message is first split (multivariate
hypergeometric, which is the same) into pieces of some blocks, and each is put in order. With 20
columns of 22 cells that takes 16 us a block of 50 rows, where a draw for each takes 210; from 500
to 1,000 rows on a draw is quicker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.monitor.bins import FrozenBins
from tenfold.monitor.packing import pack, unpack

__all__ = ["BlockCutter", "block_scores"]

_PIECE_BLOCKS = 64
_PIECE_VALUES = 2**18
"""Blocks and values that are put in order at once; these take 6 MB meanwhile."""
_DRAWN_ROWS = 500
"""Larger blocks are drawn each for itself."""

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def block_scores(bins: FrozenBins, counts: Counts, shape: Floats) -> Floats:
    """How far blocks lie from the reference, per column.

    Args:
        bins: the layout of both vectors.
        counts: of a block, ``(n_cells,)``, or of many, ``(n_blocks, n_cells)``.
        shape: the reference's shares, ``(n_cells,)``; each column sums to 1.

    Returns:
        ``(n_columns,)``, or ``(n_blocks, n_columns)``, in [0, 1]: the Kolmogorov-Smirnov distance
        over the cells of a number, the largest difference of shares of a category; 0 for a column
        without rows.
    """
    rows = np.add.reduceat(counts, bins.offsets, axis=-1)
    difference = counts / np.repeat(np.maximum(rows, 1), bins.widths, axis=-1) - shape
    # Every column's differences sum to 0, so one running sum serves all columns.
    running = np.abs(np.cumsum(difference, axis=-1))
    ordered = np.maximum.reduceat(running, bins.offsets, axis=-1)
    nominal = np.maximum.reduceat(np.abs(difference), bins.offsets, axis=-1)
    return np.where(rows > 0, np.where(bins.ordered, ordered, nominal), 0.0)


class BlockCutter:
    """Collects counts and gives back whole blocks.

    Args:
        bins: the layout.
        block_rows: rows of every block.
        seed: makes the random splits repeatable; with the number of the block, nothing else
            decides them, so a restart from a checkpoint cuts as the first run did.

    >>> bins = FrozenBins(()).with_scores([[0.1], [0.9]])
    >>> cutter = BlockCutter(bins, block_rows=2, seed=1)
    >>> [blocks.tolist() for blocks in cutter.add(bins.count(np.zeros((3, 0)), [[.1], [.1], [.9]]))]
    [[[0, 2, 0, 0, 0]]]
    """

    def __init__(self, bins: FrozenBins, *, block_rows: int, seed: int) -> None:
        self._bins = bins
        self._block_rows = block_rows
        self._seed = seed
        in_memory = _PIECE_VALUES // (block_rows * max(len(bins.columns), 1))
        at_once = min(_PIECE_BLOCKS, in_memory) if block_rows <= _DRAWN_ROWS else 1
        self._at_once = max(at_once, 1)
        self._open = np.zeros(bins.n_cells, dtype=np.int64)
        self._rows = 0
        self.n_blocks = 0

    @property
    def open_rows(self) -> int:
        """Rows that wait for their block to fill."""
        return self._rows

    @property
    def open_counts(self) -> Counts:
        """Counts of the rows that wait, ``(n_cells,)``."""
        return self._open.copy()

    def add(self, counts: Counts) -> Iterator[Counts]:
        """Take a message's counts; yield the blocks that it fills, ``(n_blocks, n_cells)`` at once.

        Consume the iterator to its end: the counts that are left over are kept then.
        """
        left = counts.copy()
        n_left = int(left[: self._bins.columns[0].n_cells].sum()) if self._bins.columns else 0
        while n_left and self._rows + n_left >= self._block_rows:
            n_blocks = min((self._rows + n_left) // self._block_rows, self._at_once)
            n_take = n_blocks * self._block_rows - self._rows
            generator = np.random.default_rng([self._seed, self.n_blocks, 0])
            taken = left if n_take == n_left else self._draw(left, n_take, generator)
            blocks = self._cut(taken, n_blocks, generator)
            blocks[0] += self._open
            left, n_left = left - taken, n_left - n_take
            self._open, self._rows = np.zeros_like(self._open), 0
            self.n_blocks += n_blocks
            yield blocks
        self._open = self._open + left
        self._rows += n_left

    def ties(self, number: int) -> Floats:
        """Uniform numbers in (0, 1] for the ranks of a block, ``(n_columns,)``.

        Args:
            number: of the block since the first, which is 1.
        """
        generator = np.random.default_rng([self._seed, number, 1])
        return 1.0 - generator.random(len(self._bins.columns))

    def _draw(self, counts: Counts, n_rows: int, generator: np.random.Generator) -> Counts:
        parts = [
            generator.multivariate_hypergeometric(column, n_rows, method="marginals")
            for column in self._bins.split(counts)
        ]
        return np.concatenate(parts)

    def _cut(self, counts: Counts, n_blocks: int, generator: np.random.Generator) -> Counts:
        """Counts of so many blocks, ``(n_blocks, n_cells)``; the first lacks the rows that wait."""
        if n_blocks == 1:
            return counts[None].copy()
        n_cells = self._bins.n_cells
        sizes = np.full(n_blocks, self._block_rows)
        sizes[0] -= self._rows
        cells = np.repeat(np.arange(n_cells), counts).reshape(len(self._bins.columns), -1)
        shuffled = generator.permuted(cells, axis=1)
        shuffled += np.repeat(np.arange(n_blocks) * n_cells, sizes)
        return np.bincount(shuffled.ravel(), minlength=n_blocks * n_cells).reshape(n_blocks, -1)

    def state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        return {"open": pack(self._open), "rows": self._rows, "n_blocks": self.n_blocks}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of `state`."""
        self._open = unpack(state["open"])
        self._rows = int(state["rows"])
        self.n_blocks = int(state["n_blocks"])
