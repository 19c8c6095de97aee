"""How much work a table is, in bytes and cells: what plans are made from."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["SEARCH_ROWS", "Work", "config_seconds", "in_words"]

SEARCH_ROWS = 200_000
"""Rows that a search holds in one process; the rest is for the last, distributed fit. Differences
between configurations are far above the noise of 200k rows."""

CELLS_PER_S = 300_000.0
"""Cells (rows x columns x folds) a second of an average configuration on one slow core."""
FIXED_S = 0.2
"""Of a configuration on a table without rows."""

FLOAT32_BYTES = 4
MATRIX_GROWTH = 4
"""Features made of one column (one-hot, indicators), as a cautious mean."""
MATRIX_COPIES = 3
"""A trainer holds the matrix, its own binned or batched copy, and one in flight."""
BIN_BYTES = 2
"""Of one feature of one row in XGBoost's quantized form: 9 bits for 256 bins and missing, and what
building it takes beside."""
ROW_STATE_BYTES = 64
"""Of one row in training, whatever its width: gradients, sums, its place in the tree."""


@dataclass(frozen=True, slots=True)
class Work:
    """The size of a table.

    Attributes:
        n_rows: rows.
        n_columns: columns.
        size_bytes: bytes of its files.

    >>> Work(n_rows=1_000_000, n_columns=20, size_bytes=0).training_bytes
    960000000
    """

    n_rows: int
    n_columns: int
    size_bytes: int

    @property
    def cells(self) -> int:
        """Rows times columns."""
        return self.n_rows * self.n_columns

    @property
    def training_bytes(self) -> int:
        """Memory that training on the whole table needs, on one device."""
        return self.cells * FLOAT32_BYTES * MATRIX_GROWTH * MATRIX_COPIES

    @property
    def quantized_bytes(self) -> int:
        """Memory that the whole table takes as quantized bins, over all workers of a fit that
        streams it."""
        return self.cells * MATRIX_GROWTH * BIN_BYTES + self.n_rows * ROW_STATE_BYTES

    @property
    def row_bytes(self) -> int:
        """Memory that one row of a batch takes in training."""
        return self.n_columns * FLOAT32_BYTES * MATRIX_GROWTH * MATRIX_COPIES

    def at_most(self, n_rows: int) -> Work:
        """The same table cut to some rows.

        >>> Work(n_rows=1_000_000, n_columns=20, size_bytes=500).at_most(1_000).cells
        20000
        """
        return replace(self, n_rows=min(self.n_rows, n_rows))


def config_seconds(n_cells: int, *, n_folds: int) -> float:
    """What an average configuration takes over all folds on one slow core, before any was seen.

    Args:
        n_cells: rows times columns of what is searched on.
        n_folds: that it is judged on.

    >>> config_seconds(30_000, n_folds=5)
    0.7
    """
    return FIXED_S + n_cells * n_folds / CELLS_PER_S


def in_words(size_bytes: int) -> str:
    """Bytes for people.

    >>> in_words(0), in_words(3_844_210), in_words(256 * 1024**2)
    ('0 B', '3.7 MiB', '256 MiB')
    """
    size, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if size == int(size) or size >= 100 else f"{size:.1f} {unit}"
