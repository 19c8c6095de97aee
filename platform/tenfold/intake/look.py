"""A first look at a table: a bounded sample spread over the file, and how many rows there are.

`tenfold.data` is imported when a look is asked for, so that the command starts quickly.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.schema import MISSING_MARKERS

if TYPE_CHECKING:
    from tenfold.data.scan import ColumnScan, TableScan

__all__ = ["SAMPLE_PIECES", "Look", "look_at"]

SAMPLE_PIECES = 16
"""Pieces (about 1 MiB each) that are read at most: a second's work on a table of any size."""


@dataclass(frozen=True)
class Look:
    """What a look showed.

    Attributes:
        path: the file, folder or pattern.
        size_bytes: bytes on disk.
        n_rows: rows of the whole table; an estimate unless ``exact``.
        exact: whether the whole table was read.
        scan: evidence about each column, of the sampled rows.
    """

    path: Path
    size_bytes: int
    n_rows: int
    exact: bool
    scan: TableScan

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names in order."""
        return self.scan.names

    @cached_property
    def columns(self) -> dict[str, ColumnScan]:
        """The evidence by column name."""
        return dict(zip(self.scan.names, self.scan.columns, strict=True))

    def rows_in_words(self) -> str:
        """``1,000`` or ``about 1,000``.

        An estimate keeps two digits: more would pretend.
        """
        if self.exact:
            return f"{self.n_rows:,}"
        return f"about {int(float(f'{self.n_rows:.2g}')):,}"


def look_at(
    path: Path,
    *,
    format: str = "auto",  # noqa: A002
    name: str = "",
    encoding: str = "utf-8",
    markers: Collection[str] = MISSING_MARKERS,
    trim: bool = True,
) -> Look:
    """Look at a table without reading all of it.

    Args:
        path: a file, a folder or a pattern.
        format: as of `FileSource`.
        name: what messages call the source.
        encoding: of CSV files.
        markers: cells that mean missing.
        trim: whether blanks around a cell count for nothing.

    Raises:
        DataError: there is no such file, or it is no table: empty, not UTF-8, a column named
            twice, no rows.
    """
    from tenfold.data import FileSource
    from tenfold.data.scan import TableScan, scan_table
    from tenfold.errors import DataError

    source = FileSource(path, name=name, format=format, encoding=encoding)
    source.columns()
    shards = source.shards()
    chosen = _spread(len(shards), SAMPLE_PIECES)
    blocks = [shards[index].read() for index in chosen]
    n_seen = sum(block.n_records for block in blocks)
    if not n_seen:
        raise DataError(f"{path} has a header and no rows; give at least one row")
    n_rows = n_seen if len(chosen) == len(shards) else n_seen * len(shards) // len(chosen)
    scans = [scan_table(block.table, markers=markers, trim=trim) for block in blocks]
    return Look(
        path=path,
        size_bytes=source.size_bytes(),
        n_rows=n_rows,
        exact=len(chosen) == len(shards),
        scan=TableScan.merge_all(scans),
    )


def _spread(count: int, most: int) -> list[int]:
    """Up to ``most`` places spread evenly over ``count``: a sorted file has no typical head.

    >>> _spread(3, 16), _spread(10, 4)
    ([0, 1, 2], [0, 2, 5, 7])
    """
    if count <= most:
        return list(range(count))
    return [place * count // most for place in range(most)]
