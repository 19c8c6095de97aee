"""How much work a table is, in bytes and cells: what plans are made from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Work", "in_words"]

FLOAT32_BYTES = 4
MATRIX_GROWTH = 4
"""Features made of one column (one-hot, indicators), as a cautious mean."""
MATRIX_COPIES = 3
"""A trainer holds the matrix, its own binned or batched copy, and one in flight."""


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
