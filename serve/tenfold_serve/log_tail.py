"""Follows a Delta table that another process appends to: the rows of its commits, in order.

It reads the table's own log, one small JSON file a commit, and says how many rows were committed
from their stated counts, so rows that are not read are counted exactly and cost nothing. A
compaction adds files without new rows and is passed over.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tenfold_serve.log_end import actions, entry_path, newest_checkpoint, versions

__all__ = ["LogTail", "Tail"]

log = logging.getLogger("tenfold.serve")


@dataclass(frozen=True, slots=True)
class Tail:
    """What was committed since the last look.

    Attributes:
        rows: the newest of the new rows, oldest first; None if there are none.
        n_new: how many rows are new.
    """

    rows: pa.Table | None
    n_new: int

    @property
    def n_dropped(self) -> int:
        """New rows that were not read."""
        return self.n_new - (0 if self.rows is None else self.rows.num_rows)


class _File(NamedTuple):
    path: Path
    n_rows: int


class LogTail:
    """One reader of one table. Not shared between threads; writes nothing.

    Args:
        folder: of the table; it need not be there yet.
        after: number of the commit that was read last; by default the newest one there is, -1
            where there is none.
    """

    def __init__(self, folder: Path, *, after: int | None = None) -> None:
        self._folder = folder
        self._log = folder / "_delta_log"
        if after is None:
            self._at = max(versions(self._log), default=-1)
        else:
            self._at = after
            self._skip_removed()

    @property
    def at(self) -> int:
        """Number of the newest commit that was looked at; -1 before the first."""
        return self._at

    @property
    def moved(self) -> bool:
        """Whether there is a commit that was not looked at."""
        return entry_path(self._log, self._at + 1).exists()

    def take(self, max_rows: int) -> Tail:
        """The new rows, at most so many: the newest commits are read, the others only counted.

        A file that cannot be read any more counts as not read.
        """
        files: list[_File] = []
        if newest_checkpoint(self._log) > self._at:
            self._skip_removed()
        while self.moved:
            self._at += 1
            files += self._added(entry_path(self._log, self._at))
        parts: list[pa.Table] = []
        left = max_rows
        for file in reversed(files):
            if left > 0:
                part = _head(file, left)
                left -= part.num_rows
                parts.append(part)
        parts = [part for part in reversed(parts) if part.num_rows]
        rows = pa.concat_tables(parts, promote_options="permissive") if parts else None
        return Tail(rows, sum(file.n_rows for file in files))

    def _skip_removed(self) -> None:
        """Go on behind entries that were removed before they were read: after a day. How many rows
        they brought nobody can tell any more."""
        if self.moved:
            return
        later = [number for number in versions(self._log) if number > self._at]
        if later:
            log.warning(
                "%s: the rows of %d commits are not counted: they were removed before they were "
                "read, which is a day after they were made",
                self._folder, later[0] - 1 - self._at,
            )  # fmt: skip
            self._at = later[0] - 1

    def _added(self, entry: Path) -> list[_File]:
        found = []
        try:
            for action in actions(entry):
                added = action.get("add")
                if added is not None and added["dataChange"]:
                    n_rows = int(orjson.loads(added["stats"])["numRecords"])
                    found.append(_File(self._folder / unquote(added["path"]), n_rows))
        except (OSError, ValueError, KeyError, TypeError):
            log.exception("%s is passed over", entry.name)
        return found


def _head(file: _File, n_rows: int) -> pa.Table:
    """The first rows of a file, at most so many; none if it cannot be read."""
    wanted = min(n_rows, file.n_rows)
    try:
        with pq.ParquetFile(file.path) as parquet:
            batches: list[pa.RecordBatch] = []
            for batch in parquet.iter_batches(batch_size=max(1, wanted), use_threads=False):
                batches.append(batch.slice(0, wanted - sum(b.num_rows for b in batches)))
                if sum(b.num_rows for b in batches) >= wanted:
                    break
            return pa.Table.from_batches(batches, schema=parquet.schema_arrow)
    except (OSError, pa.ArrowException):
        log.exception("%s is not read", file.path.name)
        return pa.table({})
