"""The formats of files: which one a file has, its columns, its pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from tenfold.data.csv_file import csv_shards, read_head
from tenfold.data.ipc_file import IPC_MAGIC, ipc_schema, ipc_shards
from tenfold.data.jsonl_file import jsonl_shards, read_jsonl
from tenfold.data.parquet_file import parquet_schema, parquet_shards
from tenfold.data.source import Shard
from tenfold.errors import DataError

__all__ = ["ENDINGS", "FORMATS", "Format", "format_of"]


_BOM = b"\xef\xbb\xbf"


class _Schema(Protocol):
    def __call__(self, path: Path, *, source: str) -> pa.Schema: ...


class _Shards(Protocol):
    def __call__(self, path: Path, *, source: str) -> Sequence[Shard]: ...


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one format are read.

    Attributes:
        endings: of file names, in lower case.
        magic: the first bytes of every such file, where the format has any.
        schema: the columns and types of a file; a text format has text columns.
        shards: its pieces, in order of the rows.
    """

    endings: tuple[str, ...]
    magic: bytes | None
    schema: _Schema
    shards: _Shards


def _csv_schema(path: Path, *, source: str, encoding: str = "utf-8") -> pa.Schema:
    return _text_columns(read_head(path, source=source, encoding=encoding).columns)


def _csv_shards(path: Path, *, source: str, encoding: str = "utf-8") -> Sequence[Shard]:
    return csv_shards(path, read_head(path, source=source, encoding=encoding), source=source)


def _jsonl_schema(path: Path, *, source: str) -> pa.Schema:
    return _text_columns(read_jsonl(path, source=source).columns)


def _text_columns(names: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


FORMATS: dict[str, Format] = {
    "csv": Format((".csv", ".tsv", ".txt"), None, _csv_schema, _csv_shards),
    "parquet": Format((".parquet", ".pq"), b"PAR1", parquet_schema, parquet_shards),
    "jsonl": Format((".jsonl", ".ndjson"), None, _jsonl_schema, jsonl_shards),
    "arrow": Format((".arrow", ".feather"), IPC_MAGIC, ipc_schema, ipc_shards),
}
"""By the word of ``data.sources[].format``."""

ENDINGS = tuple(ending for kind in FORMATS.values() for ending in kind.endings)
"""What a file of a folder must end in to be a part of the table."""


_UNREAD = {
    b"PK\x03\x04": ("a spreadsheet or another ZIP archive", "save its sheet as CSV, or unpack it"),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet of the old kind", "save its sheet as CSV"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it, or write Parquet, which is small by itself"),
    b"SQLite format 3": ("an SQLite database", "name it as a source of type sql"),
    b"<?xml": ("XML", "write its records as CSV or JSON lines; XML is not parsed"),
    b"<!doctype": ("a page or XML", "write its records as CSV or JSON lines; it is not parsed"),
    b"<html": ("a page, perhaps a server's error", "fetch the table itself"),
}
"""First bytes, in small letters, of what people name by mistake: what it is, and what to do."""


def format_of(path: Path, wanted: str = "auto", *, encoding: str = "utf-8") -> Format:
    """The format of a file: the wanted one, or by its first bytes, then its ending, then CSV.

    Args:
        path: of the file.
        wanted: a word of `FORMATS`, or ``auto``.
        encoding: of CSV; the other formats have their own.

    Raises:
        DataError: its first bytes are those of something that holds no table or is not parsed.
    """
    found = FORMATS[wanted] if wanted != "auto" else _told_format(path)
    if encoding == "utf-8" or found is not FORMATS["csv"]:
        return found
    return replace(
        found,
        schema=partial(_csv_schema, encoding=encoding),
        shards=partial(_csv_shards, encoding=encoding),
    )


def _told_format(path: Path) -> Format:
    longest = max(map(len, [*_UNREAD, *(kind.magic or b"" for kind in FORMATS.values())]))
    with path.open("rb") as stream:
        first = stream.read(longest + len(_BOM)).removeprefix(_BOM)
    for magic, (what, remedy) in _UNREAD.items():
        if first.lower().startswith(magic.lower()):
            raise DataError(
                f"{path} must be CSV, Parquet, JSON lines or Arrow, and is {what}; {remedy}"
            )

    def by(tell: Callable[[Format], bool]) -> Format | None:
        return next((kind for kind in FORMATS.values() if tell(kind)), None)

    return (
        by(lambda kind: kind.magic is not None and first.startswith(kind.magic))
        or by(lambda kind: path.suffix.lower() in kind.endings)
        or FORMATS["csv"]
    )
