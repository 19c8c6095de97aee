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


class TestJsonLines(SourceConformance):
    """JSON lines of several pieces, with nested fields and lines that are no records."""

    def source(self, folder: Path) -> Source:
        """About 4 MiB."""
        path = folder / "t.jsonl"
        if not path.exists():
            row = '{{"id": {0}, "at": {{"lat": {0}.5, "tags": ["a", {0}]}}, "text": "{1}"}}\n'
            lines = [row.format(i, "x" * (i % 90)) for i in range(40_000)]
            lines[1000:1000] = ["[1]\n", "\n", "{broken\n"]
            path.write_text("".join(lines) + '{"id": 40000, "late": true}')
        return FileSource(path)

    def n_rows(self) -> int:
        """Without the two that are no objects."""
        return 40_001


class _TestIpc(SourceConformance):
    """Arrow IPC with a dictionary column; several batches."""

    compression: str | None = None
    stream = False

    def source(self, folder: Path) -> Source:
        """About 5 MiB in 25 batches."""
        path = folder / "t.arrow"
        if not path.exists():
            city = pa.array(["Bonn", "Ulm", None, "Köln"] * 50_000).dictionary_encode()
            table = pa.table({"n": list(range(200_000)), "x": [0.5] * 200_000, "city": city})
            options = pa.ipc.IpcWriteOptions(compression=self.compression)
            new = pa.ipc.new_stream if self.stream else pa.ipc.new_file
            with new(path, table.schema, options=options) as writer:
                writer.write_table(table, max_chunksize=8_000)
        return FileSource(path)

    def n_rows(self) -> int:
        """All of them."""
        return 200_000


class TestIpcFile(_TestIpc):
    """The file format."""


class TestIpcFileCompressed(_TestIpc):
    """The file format, compressed."""

    compression = "zstd"


class TestIpcStream(_TestIpc):
    """The stream format."""

    stream = True


class TestIpcStreamCompressed(_TestIpc):
    """The stream format, compressed."""

    stream = True
    compression = "lz4"


class TestDrifted(SourceConformance):
    """Files of four formats whose columns and types differ."""

    def source(self, folder: Path) -> Source:
        """One row each, but Parquet."""
        if not (folder / "a.csv").exists():
            (folder / "a.csv").write_text("a,b\n1,2\n")
            (folder / "b.csv").write_text("c,b\n1,2\n")
            (folder / "c.jsonl").write_text('{"b": 3}\n[]\n')
            pq.write_table(TABLE, folder / "d.parquet", row_group_size=1000)
        return FileSource(folder, name="drifted")

    def n_rows(self) -> int:
        """Of all."""
        return 5003
