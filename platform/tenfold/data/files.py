"""Files as a source: one file, a folder of them, or a pattern; matched by column name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from tenfold.data.align import AlignedShard, Alignment
from tenfold.data.formats import ENDINGS, Format, format_of
from tenfold.data.jsonl_file import JsonlShard
from tenfold.data.source import Shard
from tenfold.data.spare import LostShard, SparedShard
from tenfold.data.text import plain_texts
from tenfold.errors import DataError

__all__ = ["SAMPLE_BYTES", "FileSource", "read_batches", "read_sample"]

SAMPLE_BYTES = 16 * 1024 * 1024
"""What `read_sample` reads at most, so that `tenfold init` answers at once on any table."""

_FINGERPRINT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FileSource:
    """Files of one table, read in the order of their names and matched by column name.

    A file that lacks a column has it missing; where types differ, the smallest that holds both
    wins. `alignment` tells what was changed; files that agree are read as they stand.

    Attributes:
        path: a file, a folder, or a pattern such as ``logs/*.csv``.
        name: the name in messages and in the quarantine table; the path's own if empty.
        format: ``csv``, ``parquet``, ``jsonl``, ``arrow``, or ``auto`` to go by each file's first
            bytes, then its ending.
        lineage: JSON of where copies came from; empty for files that are read in place.
        encoding: of CSV files, see `tenfold.data.encodings`.
        spare: a file, or a piece of one, that cannot be read is one reject and no error.
    """

    path: Path
    name: str = ""
    format: str = "auto"
    lineage: tuple[dict[str, Any], ...] = ()
    spare: bool = False
    encoding: str = "utf-8"

    def files(self) -> list[Path]:
        """The files, sorted by name.

        Raises:
            DataError: there are none.
        """
        if self.path.is_dir():
            found = sorted(p for p in self.path.iterdir() if p.suffix.lower() in ENDINGS)
            if not found:
                raise DataError(
                    f"source {self._label!r}: folder {self.path} holds no file ending in "
                    f"{', '.join(ENDINGS)}; put the table there or name its file"
                )
            return found
        if self.path.is_file():
            return [self.path]
        if any(mark in self.path.name for mark in "*?["):
            found = sorted(self.path.parent.glob(self.path.name))
            if found:
                return found
        raise DataError(
            f"source {self._label!r}: there is no file {self.path}; correct the path "
            "(relative paths start at the project file's folder)"
        )

    def columns(self) -> tuple[str, ...]:
        """The columns of all files, in order of first appearance.

        Raises:
            DataError: as `alignment`.
        """
        return self.alignment().columns

    def schema(self) -> pa.Schema:
        """The columns and the types that they are read as; text in a text format."""
        to = self.alignment()
        return pa.schema(list(zip(to.columns, to.types, strict=True)))

    def alignment(self) -> Alignment:
        """What the files have in common, and what is changed in which of them.

        Raises:
            DataError: no file, a damaged or empty one, a nested column, or a file that shares no
                column with the others.
        """
        return self._aligned(self._parts())

    def shards(self, *, tell_numbers: bool = False) -> Sequence[Shard]:
        """Pieces of all files in order.

        Args:
            tell_numbers: whether their blocks say which texts are numbers of the format's own, see
                `RawBlock`.
        """
        tried = self._tried()
        parts = [part for part in tried if isinstance(part, _Part)]
        to = replace(self._aligned(parts), changes=())  # they travel to every worker
        schema = pa.schema(list(zip(to.columns, to.types, strict=True)))
        pieces: list[Shard] = []
        for part in tried:
            if isinstance(part, _Lost):
                pieces.append(LostShard(str(part.path), part.reason, schema))
                continue
            try:
                found = part.format.shards(part.path, source=self._label)
            except DataError as error:
                if not self.spare:
                    raise
                pieces.append(LostShard(str(part.path), str(error), schema))
                continue
            if tell_numbers:
                found = [
                    replace(one, tells_numbers=True) if isinstance(one, JsonlShard) else one
                    for one in found
                ]
            fits = to.keeps(part.schema)
            read = found if fits else [AlignedShard(shard, to) for shard in found]
            pieces += [self._spared(shard, part.path, schema) for shard in read]
        return pieces

    def _spared(self, shard: Shard, path: Path, schema: pa.Schema) -> Shard:
        return SparedShard(shard, str(path), schema) if self.spare else shard

    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.files())

    def fingerprint(self) -> list[dict[str, Any]]:
        """Per file: name, size, time of change, and a digest of its first and last 64 KiB."""
        found = [_fingerprint(file) for file in self.files()]
        if self.encoding == "utf-8":
            return found
        return [{**facts, "encoding": self.encoding} for facts in found]

    @property
    def _label(self) -> str:
        return self.name or self.path.stem

    def _parts(self) -> list[_Part]:
        return [part for part in self._tried() if isinstance(part, _Part)]

    def _tried(self) -> list[_Part | _Lost]:
        """Every file by its head; one that cannot be read is lost if it is spared.

        Raises:
            DataError: the fault of the first file that is not spared, or of all of them.
        """
        tried: list[_Part | _Lost] = []
        faults: list[DataError] = []
        for file in self.files():
            try:
                kind = format_of(file, self.format, encoding=self.encoding)
                tried.append(_Part(file, kind, kind.schema(file, source=self._label)))
            except DataError as error:
                if not self.spare:
                    raise
                faults.append(error)
                tried.append(_Lost(file, str(error)))
        if len(faults) == len(tried):
            raise faults[0]
        return tried

    def _aligned(self, parts: Sequence[_Part]) -> Alignment:
        alike: dict[pa.Schema, list[str]] = {}
        known = set(parts[0].schema.names)
        for part in parts:
            if known.isdisjoint(part.schema.names):
                raise DataError(
                    f"source {self._label!r}: the files of one table share columns; "
                    f"{parts[0].path.name} has {_names(parts[0].schema)}, {part.path.name} has "
                    f"{_names(part.schema)}; name another table as a source of its own"
                )
            known.update(part.schema.names)
            alike.setdefault(part.schema, []).append(part.path.name)
        return Alignment.of({_group(files): schema for schema, files in alike.items()})


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    format: Format
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class _Lost:
    path: Path
    reason: str


def _names(schema: pa.Schema, most: int = 5) -> str:
    more = len(schema.names) - most
    return str(schema.names[:most]) + (f" and {more} more" if more > 0 else "")


def _group(files: Sequence[str]) -> str:
    return files[0] + (f" and {len(files) - 1} more" if len(files) > 1 else "")


def read_batches(path: str | Path, *, format: str = "auto") -> Iterator[pa.Table]:  # noqa: A002
    """A file in raw batches of about 1 MiB of source, in order; memory stays bounded.

    CSV gives text columns as they stand (not trimmed), Parquet the file's own types (a dictionary
    its values); feed them to `clean_table` with the model's schema. Nothing is dropped.

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
        yield plain_texts(block.table)


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
        tables.append(plain_texts(shard.read().table))
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
