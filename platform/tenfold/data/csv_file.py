"""CSV files: the dialect, cuts at record ends, and pieces read as text.

A record end is a line feed outside quotes, told by the parity of the quotes before it. All
columns are read as text; kinds are inferred from the whole table, never from its first rows.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from tenfold.data.encodings import UTF_8, Encoding, Undecodable, encoding_of
from tenfold.data.source import BLOCK_BYTES, RawBlock, Reject
from tenfold.errors import DataError

__all__ = [
    "MAX_COLUMNS",
    "MAX_RECORD_BYTES",
    "CsvHead",
    "CsvShard",
    "csv_shards",
    "read_head",
    "record_ends",
    "unique_names",
]

MAX_RECORD_BYTES = 64 * 1024 * 1024
"""A piece without any record end for so long means that the quotes do not match."""

MAX_COLUMNS = 50_000
"""More columns than that are a file without line ends, or a table that lies on its side."""
WIDE_COLUMN_BYTES = 4096
"""Bytes of a piece for each column: the work on a piece is mostly per column, so wide tables are
cut into larger pieces."""

_CHUNK_BYTES = 4 * 1024 * 1024
_HEAD_BYTES = 1024 * 1024
_DELIMITERS = ",;\t|"
_MARKED = {  # the longer first: that of UTF-32 begins with that of UTF-16
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_LINE_FEED, _QUOTE = 10, 34


@dataclass(frozen=True, slots=True)
class CsvHead:
    """What the first record tells.

    Attributes:
        columns: unique names; a nameless column is called ``unnamed_N``, N from 1.
        delimiter: one of comma, semicolon, tab, bar.
        start: byte at which the first row begins.
        size_bytes: size of the file.
        encoding: of the file.
    """

    columns: tuple[str, ...]
    delimiter: str
    start: int
    size_bytes: int
    encoding: Encoding = UTF_8


def read_head(path: Path, *, source: str, encoding: str = "utf-8") -> CsvHead:
    """Read the header record.

    Args:
        path: of the file.
        source: what messages call it.
        encoding: as the project declares it, in Python's spelling.

    Raises:
        DataError: the file is empty, not of the encoding, or names a column twice.
    """
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise DataError(
            f"source {source!r}: {path} is empty (0 bytes); give a header and at least one row"
        )
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    _check_mark(head, path, source, encoding)
    kind, start = encoding_of(encoding, head)
    ends = record_ends(head, start, encoding=kind)
    if not len(ends) and size_bytes > len(head):
        raise DataError(
            f"source {source!r}: the header of {path} must end within {_HEAD_BYTES} bytes, and "
            "does not; it has no line ends, or a quote is not closed there"
        )
    end = int(ends[0]) if len(ends) else len(head)
    line = _text(head[start:end], path, start, source, kind)
    # A mark inside quotes is text: under a wrong delimiter such quotes end in the wrong place.
    strict = {mark: len(_split(line, mark, strict=True)) for mark in _DELIMITERS}
    votes = strict if any(strict.values()) else {m: len(_split(line, m)) for m in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=votes.__getitem__)
    names = _split(line, delimiter)
    if len(names) > MAX_COLUMNS:
        raise DataError(
            f"source {source!r}: a table has at most {MAX_COLUMNS} columns, and the header of "
            f"{path} names {len(names)}; turn the table, or give its line ends"
        )
    return CsvHead(unique_names(names, source=source), delimiter, end, size_bytes, kind)


def unique_names(names: list[str], *, source: str) -> tuple[str, ...]:
    """Trimmed column names, each of them once.

    Raises:
        DataError: a name occurs twice.

    >>> unique_names(["", " age", "sex"], source="s")
    ('unnamed_1', 'age', 'sex')
    """
    clean = [name.strip() or f"unnamed_{place}" for place, name in enumerate(names, start=1)]
    for name, count in Counter(clean).items():
        if count > 1:
            places = [str(at) for at, other in enumerate(clean, start=1) if other == name]
            raise DataError(
                f"source {source!r}: column names must be unique, and {name!r} names columns "
                f"{' and '.join(places)}; rename all but one in the header"
            )
    return tuple(clean)


@dataclass(frozen=True, slots=True)
class CsvShard:
    """A byte range of whole records."""

    source: str
    path: str
    start: int
    end: int
    columns: tuple[str, ...]
    delimiter: str
    encoding: Encoding = UTF_8

    def read(self) -> RawBlock:
        """The records as text columns.

        Raises:
            DataError: the bytes are not of the encoding.
        """
        with Path(self.path).open("rb") as file:
            file.seek(self.start)
            data = file.read(self.end - self.start)
        text = _text(data, Path(self.path), self.start, self.source, self.encoding)
        if self.encoding != UTF_8:
            data = text.encode()
        if not data.strip():
            empty = pa.table({name: pa.array([], pa.string()) for name in self.columns})
            return RawBlock(empty, np.zeros(0, dtype=np.int64), 0)
        rejects: list[Reject] = []
        table = self._parse(data, rejects)
        n_records = table.num_rows + len(rejects)
        positions = np.arange(n_records, dtype=np.int64)
        skipped = np.array([reject.position for reject in rejects], dtype=np.int64)
        return RawBlock(table, np.delete(positions, skipped), n_records, tuple(rejects))

    def _parse(self, data: bytes, rejects: list[Reject]) -> pa.Table:
        def reject(row: pacsv.InvalidRow) -> str:
            reason = f"has {row.actual_columns} cells, the header names {row.expected_columns}"
            rejects.append(Reject(row.number - 1, row.text, reason))
            return "skip"

        try:
            return pacsv.read_csv(
                pa.BufferReader(data),
                read_options=pacsv.ReadOptions(
                    column_names=list(self.columns),
                    use_threads=False,  # record numbers are only known without
                    block_size=len(data) + 1,
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=reject
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(self.columns, pa.string()),
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise DataError(
                f"source {self.source!r}: {self.path} is not CSV between bytes {self.start} and "
                f"{self.end} ({error}); mend the quoting"
            ) from error


def csv_shards(path: Path, head: CsvHead, *, source: str) -> list[CsvShard]:
    """Cut a file at record ends, at least `BLOCK_BYTES` apart, more where there are many columns.

    Raises:
        DataError: no record ends for `MAX_RECORD_BYTES`.
    """
    piece = min(max(BLOCK_BYTES, WIDE_COLUMN_BYTES * len(head.columns)), MAX_RECORD_BYTES // 2)
    cuts = [head.start, *_cuts(path, head.start, piece, head.encoding), head.size_bytes]
    bounds = [(a, b) for a, b in pairwise(cuts) if b > a]
    for start, end in bounds:
        if end - start > MAX_RECORD_BYTES:
            raise DataError(
                f"source {source!r}: {path} has no end of a record for "
                f"{MAX_RECORD_BYTES} bytes after byte {start}; a quote is not closed there"
            )
    return [
        CsvShard(source, str(path), start, end, head.columns, head.delimiter, head.encoding)
        for start, end in bounds
    ]


def _cuts(path: Path, start: int, piece: int, encoding: Encoding) -> Iterator[int]:
    offset, wanted, n_quotes = start, start + piece, 0
    with path.open("rb") as file:
        file.seek(start)
        while chunk := file.read(_CHUNK_BYTES):
            end = offset + len(chunk)
            if wanted < end:
                ends = record_ends(chunk, 0, n_quotes=n_quotes, encoding=encoding) + offset
                place = int(np.searchsorted(ends, wanted))
                while place < len(ends):
                    yield int(ends[place])
                    wanted = int(ends[place]) + piece
                    place = int(np.searchsorted(ends, wanted))
            n_quotes += _count_quotes(chunk, encoding)
            offset = end


def _count_quotes(chunk: bytes, encoding: Encoding) -> int:
    if encoding.unit_bytes == 1:
        return chunk.count(b'"')  # faster by far than over an array
    return int(np.count_nonzero(encoding.units(chunk) == _QUOTE))


def record_ends(
    data: bytes, start: int, *, n_quotes: int = 0, encoding: Encoding = UTF_8
) -> NDArray[np.int64]:
    """Offsets just behind the line feeds that stand outside quotes, from ``start`` on.

    Args:
        data: bytes of a CSV file.
        start: where to begin; ``n_quotes`` quotes stand before it in the file.
        n_quotes: its parity tells whether the data begins inside quotes.
        encoding: of the file; the data begins at a whole unit.

    >>> record_ends(bytes([97, 10, 34, 98, 10, 99, 34, 10]), 0).tolist()  # a "b c", two feeds
    [2, 8]
    """
    view = encoding.units(data[start:] if start else data)
    feeds = np.flatnonzero(view == _LINE_FEED)
    quotes = np.flatnonzero(view == _QUOTE)
    before = np.searchsorted(quotes, feeds) + n_quotes
    ends = (feeds[before % 2 == 0] + 1) * encoding.unit_bytes + start
    return np.asarray(ends, dtype=np.int64)


def _split(line: str, delimiter: str, *, strict: bool = False) -> list[str]:
    lines = io.StringIO(line, newline="")
    try:
        return next(csv.reader(lines, delimiter=delimiter, strict=strict), [])
    except csv.Error:  # a delimiter under which the quotes do not match
        return []


def _check_mark(head: bytes, path: Path, source: str, encoding: str) -> None:
    """Refuse a file that says by its mark that it is of another encoding."""
    for mark, marked in _MARKED.items():
        if not head.startswith(mark):
            continue
        if not encoding.startswith(marked):
            said = "UTF-8" if encoding == "utf-8" else encoding
            convert = f"convert the file, e.g. iconv -f {marked} -t utf-8"
            declare = f"declare encoding: {marked}"
            remedies = {"utf-8": declare, "utf-16": f"{convert}, or {declare}", "utf-32": convert}
            raise DataError(
                f"source {source!r}: text must be {said}, and {path} is marked as {marked}; "
                f"{remedies[marked]}"
            )
        return


def _text(data: bytes, path: Path, start: int, source: str, encoding: Encoding) -> str:
    nul = data.find(b"\0") if encoding.unit_bytes == 1 else -1
    if nul >= 0:
        raise DataError(
            f"source {source!r}: text has no NUL bytes, and {path} has one at offset "
            f"{start + nul}; it is no text, or UTF-16: convert the file, e.g. iconv -f utf-16 "
            "-t utf-8, or declare encoding: utf-16"
        )
    try:
        text = encoding.decode(data)
    except Undecodable as error:
        said = "UTF-8" if encoding == UTF_8 else encoding.name
        raise DataError(
            f"source {source!r}: text must be {said}, and byte 0x{error.byte:02X} at "
            f"offset {start + error.offset} of {path} is not; convert the file, e.g. "
            "iconv -f latin1 -t utf-8, or declare its encoding, e.g. encoding: latin-1 "
            "(at tenfold predict --encoding latin-1)"
        ) from error
    if encoding.unit_bytes > 1 and "\0" in text:
        at = start + text.index("\0") * encoding.unit_bytes
        raise DataError(
            f"source {source!r}: text has no NUL characters, and {path} has one about offset "
            f"{at}; it is no text, or not {encoding.name}: correct encoding"
        )
    return text
