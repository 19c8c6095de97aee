"""The end of a Delta table's log: followed entry by entry, and one more put behind it.

An append needs little of a table: its columns, the number of its newest entry, and how far each
writer has come. delta-rs (1.6.6) keeps every file in mind and walks them in each commit: one of
2,400 rows of 28 columns takes 22 ms of CPU in a new table and 95 after 500 commits that nobody
joined, and the process grows by 93 MB meanwhile; opened for each commit, 35 to 76. What is here
takes 12.5 ms throughout and grows by none (``make bench-log``), most of it for the rows themselves;
only a writer that was not heard of before has the whole table looked at, once.
Joining, checkpoints and removal are delta-rs's, in a process that ends
(`tenfold_serve.compaction`).

By Delta's protocol (github.com/delta-io/delta, PROTOCOL.md): an entry is a file of JSON lines
whose name is its number; who puts number n first has committed it. A blind append conflicts with
nothing but a change of the columns or the protocol, and with a transaction of the same writer.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenfold.canonical import json_or_none

__all__ = [
    "LogEnd",
    "actions",
    "add_action",
    "append_entry",
    "entry_path",
    "newest_checkpoint",
    "put_entry",
    "read_end",
    "versions",
    "write_rows",
]

_PLAIN_WRITER: Final = 2
"""Writer version of the protocol up to which an append has nothing to heed but invariants."""
_PARTS: Final = 50
_PART_ROWS: Final = 1024
"""Three milliseconds of 28 columns; smaller row groups cost more than they spare."""
_ENGINE: Final = "tenfold"
_DIGITS: Final = 20


class _Mark(NamedTuple):
    inode: int
    changed_ns: int


class LogEnd:
    """Where the log of a table ended when it was looked at. Not shared between threads.

    Args:
        log: folder of the entries.
        version: number of the newest.
        columns: Delta's type of each.
        plain: whether an append has nothing to heed but these: no partitions, no features.

    Attributes:
        plain: as above.
        version: as above, and of what was followed since.
        numbers: by writer, the number of its newest transaction, of those that were asked for
            (`learn`) or seen since; None: it has none.
    """

    def __init__(
        self,
        log: Path,
        *,
        version: int,
        columns: Mapping[str, Any],
        plain: bool,
    ) -> None:
        self._log = log
        self._columns = columns
        self.plain = plain
        self.version = version
        self.numbers: dict[str, int | None] = {}
        self._mark = _mark(entry_path(log, version))

    @property
    def stands(self) -> bool:
        """Whether the newest entry is the very file that was looked at, so that what follows it
        is this table's and not that of another in its place."""
        return self._mark is not None and self._mark == _mark(entry_path(self._log, self.version))

    def takes(self, schema: pa.Schema) -> bool:
        """Whether rows can be put in as they are: columns and types of the table's; some may lack.

        Args:
            schema: of the rows.
        """
        from deltalake import Schema

        if not self.plain or any(map(_has_no_kind, schema.types)):
            return False
        fields = Schema.from_arrow(schema).fields
        return all(self._columns.get(field.name) == field.type for field in fields)

    def follow(self) -> bool:
        """Take in the entries that others put behind; whether the table is still as it was: its
        columns, properties and protocol, and no entry was removed before it was read. Where it is
        not, this end is of no use any more.

        Raises:
            OSError: an entry cannot be read.
            ValueError: what it has is not Delta's.
        """
        moved = False
        while (entry := entry_path(self._log, self.version + 1)).exists():
            for action in actions(entry):
                if "metaData" in action or "protocol" in action:
                    return False
                number = action.get("txn")
                if number is not None:
                    self.learn(str(number["appId"]), int(number["version"]))
            self.version += 1
            moved = True
        if moved:
            self._mark = _mark(entry_path(self._log, self.version))
        return newest_checkpoint(self._log) <= self.version

    def learn(self, app: str, number: int | None) -> None:
        """Keep the number of a writer's newest transaction, None if it has none."""
        self.numbers[app] = number


def read_end(folder: Path) -> LogEnd | None:
    """The end of a table's log, by delta-rs; None if there is no table.

    Args:
        folder: of the table.

    Raises:
        Exception: whatever delta-rs raises where it cannot be read.
    """
    from deltalake import DeltaTable

    if not DeltaTable.is_deltatable(str(folder)):
        return None
    table = DeltaTable(str(folder))
    fields = table.schema().fields
    plain = (
        table.protocol().min_writer_version <= _PLAIN_WRITER
        and not table.metadata().partition_columns
        and not any("delta.invariants" in field.metadata or not field.nullable for field in fields)
    )
    return LogEnd(
        folder / "_delta_log",
        version=table.version(),
        columns={field.name: field.type for field in fields},
        plain=plain,
    )


def entry_path(log: Path, version: int) -> Path:
    """The file of an entry.

    >>> entry_path(Path("_delta_log"), 7).name
    '00000000000000000007.json'
    """
    return log / f"{version:0{_DIGITS}d}.json"


def newest_checkpoint(log: Path) -> int:
    """The version of a table's newest checkpoint; -1 where there is none, or it cannot be told.

    >>> newest_checkpoint(Path("/nowhere"))
    -1
    """
    told = json_or_none(log / "_last_checkpoint")
    version = (told or {}).get("version")
    return version if isinstance(version, int) else -1


def versions(log: Path) -> list[int]:
    """The numbers of the entries that are there, ascending; those before may have been removed.

    >>> versions(Path("/nowhere"))
    []
    """
    names = (path.stem for path in log.glob("*.json"))
    return sorted(int(name) for name in names if name.isdigit() and len(name) == _DIGITS)


def actions(entry: Path) -> Iterator[dict[str, Any]]:
    """What an entry says, line by line.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is no JSON.
    """
    for line in entry.read_bytes().splitlines():
        yield orjson.loads(line)


def write_rows(path: Path, rows: pa.Table, *, breathe: Callable[[], object]) -> None:
    """Write rows to a Parquet file, synced; a row group at a time, between which others have the
    core.

    Args:
        path: of the file; a file that is there is written over.
        rows: at least one.
        breathe: called after each part, at most 50 times.

    Raises:
        Exception: the disk refuses, or Arrow; nothing is left behind.
    """
    n_parts = min(_PARTS, -(-rows.num_rows // _PART_ROWS))
    part = -(-rows.num_rows // n_parts)
    try:
        with (
            path.open("wb") as file,
            pq.ParquetWriter(
                file,
                rows.schema,
                compression="zstd",
                use_dictionary=_repeated(rows),
            ) as writer,
        ):
            for start in range(0, rows.num_rows, part):
                writer.write_table(rows.slice(start, part))
                breathe()
            writer.close()
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def add_action(path: Path, rows: pa.Table) -> dict[str, Any]:
    """Says that a file of rows is in the table; with smallest and largest of its times and whole
    numbers, which readers look for (a text's or a score's they do not).

    Args:
        path: of the file, in the table's folder.
        rows: that are in it.
    """
    stats: dict[str, Any] = {"numRecords": rows.num_rows}
    least: dict[str, str | int] = {}
    most: dict[str, str | int] = {}
    missing: dict[str, int] = {}
    for field in rows.schema:
        if not (pa.types.is_timestamp(field.type) or pa.types.is_integer(field.type)):
            continue
        column = rows.column(field.name)
        missing[field.name] = column.null_count
        if column.null_count < len(column):
            found = pc.min_max(column).as_py()
            least[field.name], most[field.name] = map(_told, (found["min"], found["max"]))
    stats |= {"minValues": least, "maxValues": most, "nullCount": missing}
    told = path.stat()
    return {
        "add": {
            "path": quote(path.name),
            "partitionValues": {},
            "size": told.st_size,
            "modificationTime": told.st_mtime_ns // 1_000_000,
            "dataChange": True,
            "stats": orjson.dumps(stats).decode(),
        }
    }


def append_entry(added: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> bytes:
    """The lines of an entry that appends.

    Args:
        added: of `add_action`.
        numbers: by writer, how far it has come with this commit.
    """
    now_ms = time.time_ns() // 1_000_000
    info = {
        "timestamp": now_ms,
        "operation": "WRITE",
        "operationParameters": {"mode": "Append"},
        "isBlindAppend": True,
        "engineInfo": _ENGINE,
    }
    told = [
        {"txn": {"appId": app, "version": number, "lastUpdated": now_ms}}
        for app, number in numbers.items()
    ]
    return b"\n".join(map(orjson.dumps, [{"commitInfo": info}, *told, *added])) + b"\n"


def put_entry(log: Path, version: int, lines: bytes) -> None:
    """Put an entry there whole and synced, if nobody has put that number; its folder is not synced.

    Raises:
        FileExistsError: somebody has.
        OSError: the disk refuses; it was not put.
        RuntimeError: the disk refuses, and it cannot be told whether it was put.
    """
    hidden = log / f"_{uuid.uuid4().hex}.json.tmp"
    try:
        with hidden.open("xb") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(hidden, entry_path(log, version))  # never over one that is there
        except OSError:  # a server's answer may get lost, and its second one says that it is there
            if not _is_linked(hidden):
                raise
    finally:
        with suppress(OSError):  # it has no number: nobody reads it
            hidden.unlink()


def _is_linked(hidden: Path) -> bool:
    """Whether a file has another name, too."""
    try:
        return hidden.stat().st_nlink > 1
    except OSError as error:
        raise RuntimeError(f"whether {hidden} has its number cannot be told: {error}") from error


def _mark(entry: Path) -> _Mark | None:
    """What tells an entry from any other file; None if it is gone."""
    try:
        told = entry.stat()
    except OSError:
        return None
    return _Mark(told.st_ino, told.st_mtime_ns)


def _told(value: datetime | int) -> str | int:
    if isinstance(value, int):
        return value
    return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _has_no_kind(type_: pa.DataType) -> bool:
    """Whether Delta has no such type: pyarrow would write another than delta-rs."""
    return bool(pa.types.is_unsigned_integer(type_) or pa.types.is_dictionary(type_))


def _repeated(rows: pa.Table) -> list[str]:
    """Columns whose first rows repeat values: a dictionary of them is small. One of numbers' texts
    takes longer to make than all the rest, and saves nothing."""
    head = rows.slice(0, _PART_ROWS)
    return [
        field.name
        for field in head.schema
        if not pa.types.is_nested(field.type)
        and 2 * pc.count_distinct(head.column(field.name)).as_py() <= head.num_rows
    ]
