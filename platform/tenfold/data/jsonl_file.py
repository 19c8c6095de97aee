"""JSON lines: one object a line, cut at line ends, read as text columns.

The column of a value is the path to it, with dots. Numbers are text as the file writes them, so no
digit is lost; a list is one value, its JSON text, and rows are never multiplied; null and an empty
object are missing. Kinds are inferred from the whole table later, as for CSV. A line that is no
such object is a reject with its reason.

The columns are those of every line, in order of first appearance: the whole file is parsed for
them once, since a field that the first lines lack is a field all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from tenfold.data.json_cells import Number, cell_text, nesting, no_number, text_array, whole_text
from tenfold.data.source import BLOCK_BYTES, RawBlock, Reject
from tenfold.errors import DataError

__all__ = [
    "MAX_COLUMNS",
    "JsonlHead",
    "JsonlShard",
    "NoRecord",
    "jsonl_shards",
    "leaves",
    "read_jsonl",
]

MAX_COLUMNS = 20_000
"""More fields than that are keys of a map, not columns of a table."""

MAX_DEPTH = 64
"""Objects and lists inside of each other; no table needs many."""

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A longer line is no record."""

_WIDE_COLUMN_BYTES = 4096
"""Bytes of a piece for each column: the work on a piece is mostly per column, so wide tables are
cut into larger pieces."""

_BOM = b"\xef\xbb\xbf"


class NoRecord(ValueError):
    """A line is no record; the text says why, e.g. ``is not JSON (…)``."""


@dataclass(frozen=True, slots=True)
class JsonlHead:
    """What one pass over a file tells.

    Attributes:
        columns: every field of any line, in order of first appearance.
        cuts: byte offsets between pieces, first and last included.
    """

    columns: tuple[str, ...]
    cuts: tuple[int, ...]


def read_jsonl(path: Path, *, source: str) -> JsonlHead:
    """Find the columns and the cuts; an unchanged file is not read for them again.

    Raises:
        DataError: the file is empty, holds no object, has too many fields or a line without end.
    """
    status = path.stat()
    if status.st_size == 0:
        raise DataError(
            f"source {source!r}: {path} is empty (0 bytes); give one JSON object a line"
        )
    return _read_head(str(path), status.st_size, status.st_mtime_ns, source)


def leaves(line: str) -> dict[str, str | None]:
    """The texts of one line by column; nulls included.

    Of keys that an object names twice the last one counts, as with every parser of note.

    Raises:
        NoRecord: the line is not JSON, is no object, is too deep or gives a column twice.

    >>> leaves('{"id": 7, "at": {"lat": 1.50, "tags": ["a"]}, "x": null}')
    {'id': '7', 'at.lat': '1.50', 'at.tags': '["a"]', 'x': None}
    """
    return {name: cell_text(value) for name, value in _flat(_parse_exactly, line, {}).items()}


@dataclass(frozen=True, slots=True)
class JsonlShard:
    """A byte range of whole lines.

    Attributes:
        tells_numbers: whether its blocks say which texts are JSON numbers; costs a third more.
    """

    source: str
    path: str
    start: int
    end: int
    columns: tuple[str, ...]
    tells_numbers: bool = False

    def read(self) -> RawBlock:
        """The objects as text columns.

        Raises:
            DataError: the bytes are not UTF-8.
        """
        with Path(self.path).open("rb") as file:
            file.seek(self.start)
            data = file.read(self.end - self.start)
        cells: dict[str, list[str | None]] = {name: [] for name in self.columns}
        positions: list[int] = []
        rejects: list[Reject] = []
        names: _Names = {}
        numbers: dict[str, list[int]] = {}
        parse = _DECODER.decode if self.tells_numbers else _parse_exactly
        n_records = 0
        for line in self._decoded(data).split("\n"):
            if not line or line.isspace():
                continue
            try:
                found = _flat(parse, line, names)
                _add(found, cells, len(positions))
                if self.tells_numbers:
                    for name, value in found.items():
                        if type(value) is Number:
                            numbers.setdefault(name, []).append(len(positions))
                positions.append(n_records)
            except NoRecord as why:
                rejects.append(Reject(n_records, line.rstrip("\r"), str(why)))
            n_records += 1
        n_rows = len(positions)
        arrays = [text_array(values + [None] * (n_rows - len(values))) for values in cells.values()]
        table = pa.table(arrays, names=list(cells))
        told = {name: np.zeros(n_rows, dtype=bool) for name in numbers}
        for name, rows in numbers.items():
            told[name][rows] = True
        places = np.array(positions, dtype=np.int64)
        return RawBlock(table, places, n_records, tuple(rejects), numbers=told)

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"source {self.source!r}: JSON is UTF-8, and byte 0x{data[error.start]:02X} at "
                f"offset {self.start + error.start} of {self.path} is not; convert the file, e.g. "
                "iconv -f latin1 -t utf-8"
            ) from error


def jsonl_shards(path: Path, *, source: str) -> list[JsonlShard]:
    """Cut a file at line ends, at least `BLOCK_BYTES` apart, more where there are many columns.

    Raises:
        DataError: as `read_jsonl`.
    """
    head = read_jsonl(path, source=source)
    return [JsonlShard(source, str(path), a, b, head.columns) for a, b in pairwise(head.cuts)]


@lru_cache(maxsize=1024)
def _read_head(path: str, size_bytes: int, changed_ns: int, source: str) -> JsonlHead:
    has_value: dict[str, bool] = {}
    names: _Names = {}
    cuts: list[int] = []
    n_lines = 0
    for start, end, line in _lines(Path(path), source):
        if not cuts:
            cuts.append(start)
        if end >= cuts[-1] + BLOCK_BYTES:
            cuts.append(end)
        n_lines += bool(line.strip())
        try:
            record = _flat(_parse_fast, line, names)
        except NoRecord:
            continue  # its shard gives the reject
        for name, value in record.items():
            if value is not None:
                has_value[name] = True
            elif name not in has_value:
                has_value[name] = False
        if len(has_value) > MAX_COLUMNS:
            raise DataError(
                f"source {source!r}: JSON lines have at most {MAX_COLUMNS} fields, and {path} has "
                f"more by byte {end} (the last one: {name!r}); an object with a key per thing is "
                "a list of things: write one line for each"
            )
    columns = _columns(has_value)
    if not columns:
        raise DataError(
            f"source {source!r}: every line must be a JSON object, and none of the {n_lines} of "
            f"{path} is one with a field; a JSON list is turned into lines by: jq -c '.[]'"
        )
    return JsonlHead(columns, _thinned([*cuts, size_bytes], len(columns)))


def _thinned(cuts: list[int], n_columns: int) -> tuple[int, ...]:
    """The same cuts, or fewer of them where there are many columns; first and last stay."""
    piece = min(max(BLOCK_BYTES, _WIDE_COLUMN_BYTES * n_columns), MAX_LINE_BYTES)
    kept = cuts[:1]
    for cut in cuts[1:-1]:
        if cut >= kept[-1] + piece:
            kept.append(cut)
    return (*kept, cuts[-1]) if cuts[-1] > kept[-1] else tuple(kept)


def _columns(has_value: dict[str, bool]) -> tuple[str, ...]:
    """Every field; not one that is null wherever other lines have an object there."""
    objects = {name[:dot] for name in has_value for dot in range(len(name)) if name[dot] == "."}
    return tuple(name for name, some in has_value.items() if some or name not in objects)


def _lines(path: Path, source: str) -> Iterator[tuple[int, int, bytes]]:
    """Start, end (behind the line feed) and bytes of every line."""
    with path.open("rb") as file:
        start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        file.seek(start)
        while line := file.readline(MAX_LINE_BYTES + 1):
            if len(line) > MAX_LINE_BYTES:
                raise DataError(
                    f"source {source!r}: a line has at most {MAX_LINE_BYTES} bytes, and the one "
                    f"at byte {start} of {path} is longer; write one JSON object a line"
                )
            yield start, start + len(line), line
            start += len(line)


_Names = dict[str, dict[str, str]]
"""Column names by prefix and key: made once for each, since rows repeat them."""


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=no_number)
_FLAT_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=no_number)
"""Numbers and texts must be told apart in lists only."""


def _parse_exactly(line: str) -> Any:
    return (_DECODER if "[" in line else _FLAT_DECODER).decode(line)


def _parse_fast(line: bytes) -> Any:
    """For names alone: numbers are not exact."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:  # stricter, on surrogates
        return _parse_exactly(line.decode())


def _flat(parse: Callable[[Any], Any], line: str | bytes, names: _Names) -> dict[str, Any]:
    """The values of a line by column."""
    data = line.encode() if isinstance(line, str) else line
    if nesting(data, most=MAX_DEPTH) > MAX_DEPTH:
        raise NoRecord(f"nests more than {MAX_DEPTH} objects and lists")
    try:
        record = parse(line)
    except ValueError as error:
        raise NoRecord(f"is not JSON ({error})") from None
    if type(record) is not dict:
        raise NoRecord(f"is not a JSON object but {_word(line)}")
    found: dict[str, Any] = {}
    _fill(found, "", record, names)
    return found


def _fill(found: dict[str, Any], prefix: str, record: dict[str, Any], names: _Names) -> None:
    known = names.setdefault(prefix, {})
    for key, value in record.items():
        name = known.get(key)
        if name is None:
            if not key:
                raise NoRecord("has an empty key, and a column needs a name")
            name = known[key] = whole_text(prefix + key)
        if type(value) is dict:
            if value:
                _fill(found, f"{name}.", value, names)
                continue
            value = None
        if name in found:
            raise NoRecord(f"gives the column {name!r} twice")
        found[name] = value


def _add(record: dict[str, Any], cells: dict[str, list[str | None]], row: int) -> None:
    for name, value in record.items():
        values = cells.get(name)
        if value is None or values is None:
            continue
        if len(values) < row:  # rows that lack the field
            values.extend([None] * (row - len(values)))
        values.append(value if type(value) is str else cell_text(value))


def _word(line: str | bytes) -> str:
    """The kind of a JSON value that is no object, told by its first sign."""
    first = (line if isinstance(line, str) else line.decode()).lstrip()[0]
    words = {"[": "a list", '"': "a text", "n": "null", "t": "true", "f": "false"}
    return words.get(first, "a number")
