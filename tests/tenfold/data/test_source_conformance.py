"""Every source of ours keeps the contract of a source."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.data.files import FileSource
from tenfold.data.source import Source, TableSource
from tenfold.testing.sources import SourceConformance

TABLE = pa.table({"a": list(range(5000)), "b": [f"v{i % 7}" for i in range(5000)]})


class TestTable(SourceConformance):
    """A table in memory."""

    def source(self, folder: Path) -> Source:
        """Five shards."""
        return TableSource(TABLE, block_rows=1000)

    def n_rows(self) -> int:
        """All of them."""
        return 5000


class TestCsv(SourceConformance):
    """A CSV file of several pieces, with quotes, blank lines and a record of another width."""

    def source(self, folder: Path) -> Source:
        """About 3 MiB."""
        path = folder / "t.csv"
        if not path.exists():
            row = '{},"two\nlines, ""quoted""",' + "x" * 50 + "\n"
            text = "a,b,c\n" + "".join(row.format(i) for i in range(40_000)) + "\n1,2\n"
            path.write_text(text)
        return FileSource(path)

    def n_rows(self) -> int:
        """Without the short one."""
        return 40_000


class TestFolder(SourceConformance):
    """A folder of CSV files."""

    def source(self, folder: Path) -> Source:
        """Three files."""
        for name in "abc":
            if not (folder / f"{name}.csv").exists():
                (folder / f"{name}.csv").write_text("x,y\n1,2\n3,4\n")
        return FileSource(folder, name="parts")

    def n_rows(self) -> int:
        """Two a file."""
        return 6


class TestParquet(SourceConformance):
    """A Parquet file of several row groups."""

    def source(self, folder: Path) -> Source:
        """Five row groups."""
        path = folder / "t.parquet"
        if not path.exists():
            pq.write_table(TABLE, path, row_group_size=1000)
        return FileSource(path)

    def n_rows(self) -> int:
        """All of them."""
        return 5000
