"""Files as a source: one file, a folder of them, or a pattern; CSV or Parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tenfold.data.csv_file import csv_shards, read_head
from tenfold.data.parquet_file import parquet_columns, parquet_schema, parquet_shards
from tenfold.data.source import Shard
from tenfold.errors import DataError

__all__ = ["SAMPLE_BYTES", "FileSource", "read_batches", "read_sample"]

SAMPLE_BYTES = 16 * 1024 * 1024
"""What `read_sample` reads at most, so that `tenfold init` answers at once on any table."""

_PARQUET_MAGIC = b"PAR1"
_PARQUET_ENDINGS = (".parquet", ".pq")
_ENDINGS = (".csv", ".tsv", ".txt", *_PARQUET_ENDINGS)
_FINGERPRINT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FileSource:
    """Files of equal columns, read in the order of their names.

    Attributes:
        path: a file, a folder, or a pattern such as ``logs/*.csv``.
        name: the name in messages and in the quarantine table; the path's own if empty.
        format: ``csv``, ``parquet``, or ``auto`` to go by each file's first bytes, then its ending.
    """

    path: Path
    name: str = ""
    format: str = "auto"

    def files(self) -> list[Path]:
        """The files, sorted by name.

        Raises:
            DataError: there are none.
        """
        label = self.name or self.path.stem
        if self.path.is_dir():
            found = sorted(p for p in self.path.iterdir() if p.suffix.lower() in _ENDINGS)
            if not found:
                raise DataError(
                    f"source {label!r}: folder {self.path} holds no file ending in "
                    f"{', '.join(_ENDINGS)}; put the table there or name its file"
                )
            return found
        if self.path.is_file():
            return [self.path]
        if any(mark in self.path.name for mark in "*?["):
            found = sorted(self.path.parent.glob(self.path.name))
            if found:
                return found
        raise DataError(
            f"source {label!r}: there is no file {self.path}; correct the path "
            "(relative paths start at the project file's folder)"
        )

    def columns(self) -> tuple[str, ...]:
        """The column names that all files share.

        Raises:
            DataError: no file, an empty one, or files with different columns.
        """
        label = self.name or self.path.stem
        first, *others = [(file, self._columns_of(file, label)) for file in self.files()]
        for file, columns in others:
            if columns != first[1]:
                raise DataError(
                    f"source {label!r}: every file has the same columns in the same order; "
                    f"{first[0].name} has {list(first[1])}, {file.name} has {list(columns)}; "
                    "make them equal"
                )
        return first[1]

    def schema(self) -> pa.Schema:
        """The columns as stored: text in CSV, the first file's own types in Parquet."""
        label, columns = self.name or self.path.stem, self.columns()
        first = self.files()[0]
        if self._is_parquet(first):
            types = parquet_schema(first, source=label).types
            return pa.schema(list(zip(columns, types, strict=True)))
        return pa.schema([(name, pa.string()) for name in columns])

    def shards(self) -> Sequence[Shard]:
        """Pieces of all files in order."""
        label = self.name or self.path.stem
        pieces: list[Shard] = []
        for file in self.files():
            if self._is_parquet(file):
                pieces += parquet_shards(file, source=label)
            else:
                pieces += csv_shards(file, read_head(file, source=label), source=label)
        return pieces

    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.files())

    def fingerprint(self) -> list[dict[str, Any]]:
        """Per file: name, size, time of change, and a digest of its first and last 64 KiB."""
        return [_fingerprint(file) for file in self.files()]

    def _is_parquet(self, file: Path) -> bool:
        if self.format != "auto":
            return self.format == "parquet"
        with file.open("rb") as stream:
            first = stream.read(len(_PARQUET_MAGIC))
        return first == _PARQUET_MAGIC or file.suffix.lower() in _PARQUET_ENDINGS

    def _columns_of(self, file: Path, label: str) -> tuple[str, ...]:
        if self._is_parquet(file):
            return parquet_columns(file, source=label)
        return read_head(file, source=label).columns


def read_batches(path: str | Path, *, format: str = "auto") -> Iterator[pa.Table]:  # noqa: A002
    """A file in raw batches of about 1 MiB of source, in order; memory stays bounded.

    CSV gives text columns as they stand (not trimmed), Parquet the file's own types; feed them
    to `clean_table` with the model's schema. Nothing is dropped.

    Raises:
        DataError: the file is missing, empty, not UTF-8, or has a record that does not have as
            many cells as the header (every row must get its answer, so none is skipped).
    """
    source = FileSource(Path(path), format=format)
    source.columns()
    n_before = 0
    for shard in source.shards():
        block = shard.read()
        for reject in block.rejects[:1]:
            raise DataError(
                f"{path}: row {n_before + reject.position + 1} {reject.reason}: "
                f"{reject.text[:80]!r}; mend that row"
            )
        n_before += block.n_records
        yield block.table


def read_sample(
    path: str | Path,
    *,
    format: str = "auto",  # noqa: A002
    max_bytes: int = SAMPLE_BYTES,
) -> pa.Table:
    """The first rows of a file, raw, at most about ``max_bytes`` of them; for a first look.

    Records with a wrong number of cells are left out here; `prepare` quarantines them.

    Raises:
        DataError: the file is missing, empty or not UTF-8.
    """
    source = FileSource(Path(path), format=format)
    source.columns()
    tables: list[pa.Table] = []
    for shard in source.shards():
        tables.append(shard.read().table)
        if sum(table.nbytes for table in tables) >= max_bytes:
            break
    if not tables:
        raise DataError(f"{path} has a header and no rows; give at least one row")
    return pa.concat_tables(tables)


def _fingerprint(file: Path) -> dict[str, Any]:
    status = file.stat()
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        digest.update(stream.read(_FINGERPRINT_BYTES))
        stream.seek(max(0, status.st_size - _FINGERPRINT_BYTES))
        digest.update(stream.read(_FINGERPRINT_BYTES))
    return {
        "path": str(file.absolute()),
        "size_bytes": status.st_size,
        "changed_ns": status.st_mtime_ns,
        "ends_sha256": digest.hexdigest(),
    }
