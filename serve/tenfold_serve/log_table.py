"""A Delta table that one committer appends to, durable before it says so.

delta-rs writes data files and log entries without ``fsync`` (looked at with ``strace``: 1.6.6), so
a commit that was just made can vanish in a power cut. `LogTable.append` therefore syncs what its
commit wrote before it returns; only then may the spool's journals, which were synced when their
labels were acknowledged, be removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.canonical import fsync_folder, json_or_none
from tenfold.errors import StoreError

__all__ = ["LogTable", "newest_checkpoint"]


_LOCK: Final = "_compaction.lock"
"""Delta passes over names that begin with an underscore."""
_RETRIES: Final = 1000
"""Of a compaction's commit, each lost to an append; one a second is usual."""


class _Mark(NamedTuple):
    version: int
    inode: int
    changed_ns: int


class LogTable:
    """One table, appended to by one process. Not shared between threads.

    Args:
        folder: of the table; made by the first append.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "_delta_log"
        self._known: tuple[Any, _Mark] | None = None  # the table, and its newest entry then
        self._durable: int | None = None  # the newest version that this object made so

    def known_numbers(self, apps: Collection[str]) -> dict[str, int]:
        """The newest committed segment of each writer that ever committed one.

        Raises:
            StoreError: the table cannot be read.
        """
        table = self._open()
        if table is None:
            return {}
        try:
            found = {app: table.transaction_version(app) for app in apps}
        except Exception as error:  # delta-rs raises bare exceptions too
            raise StoreError(f"{self._folder} cannot be read: {error}") from error
        return {app: number for app, number in found.items() if number is not None}

    def append(self, rows: pa.Table, newest: Mapping[str, int]) -> None:
        """Commit rows, and that their writers' segments up to these numbers are in; durable.

        Raises:
            StoreError: the table cannot be written; the commit is then repeated, or found by
                `known_numbers`.
        """
        from deltalake import CommitProperties, Transaction, write_deltalake

        table = self._open()
        before = -1 if table is None else table.version()
        before = min(before, self._known_durable())  # what others committed is beneath ours
        transactions = [Transaction(app, number) for app, number in newest.items()]
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            write_deltalake(
                str(self._folder) if table is None else table,
                rows.combine_chunks(),
                mode="append",
                schema_mode="merge",
                commit_properties=CommitProperties(app_transactions=transactions),
            )
        except Exception as error:  # as above
            raise StoreError(
                f"{self._folder} could not take {rows.num_rows} rows: {error}; "
                "free space under the store; nothing is lost, the next commit tries again"
            ) from error
        self._make_durable(self._open() if table is None else table, after=before)

    def compact(self, target_bytes: int, *, thorough: bool = False) -> None:
        """Join small files, durable; remove, after delta's own seven days, those that were joined.

        Another process may append meanwhile. It only makes reading faster: one that fails, or is
        killed, costs no row. Two at once would join the same rows twice (delta-rs 1.6.6 sees no
        conflict in it), so the second is refused.

        Args:
            target_bytes: files no larger than this are joined, into such as are not larger.
            thorough: also remove what compactions left that were killed; looks at every file.

        Raises:
            StoreError: the table cannot be read or written, or is being compacted.
        """
        from deltalake import CommitProperties

        if self._open() is None:
            return
        with self._alone():
            table = self._open()
            if table is None:
                return
            after = table.version()
            try:
                table.optimize.compact(
                    target_size=target_bytes,
                    max_concurrent_tasks=1,
                    commit_properties=CommitProperties(max_commit_retries=_RETRIES),
                )
                self.sync(after=after)
                table.vacuum(dry_run=False, full=thorough)
                self.sync(after=after)
            except StoreError:
                raise
            except Exception as error:  # as above
                raise StoreError(
                    f"{self._folder} could not be compacted: {error}; nothing is lost, the next "
                    "round tries again"
                ) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other compaction of this table runs meanwhile, in whatever process."""
        lock = None
        try:
            lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if lock is not None:
                os.close(lock)
            if isinstance(error, BlockingIOError):
                raise StoreError(
                    f"{self._folder} is being compacted by another process; wait until it has ended"
                ) from error
            raise StoreError(
                f"{self._folder} must be locked before it is compacted, and cannot be: {error}; "
                "the store lies on a file system with locks"
            ) from error
        try:
            yield
        finally:
            os.close(lock)

    def sync(self, *, after: int = -1) -> None:
        """Make the commits later than a version durable; all of them by default.

        Raises:
            StoreError: the disk refuses; the commits stand and a power cut may still take them.
        """
        table = self._open()
        if table is not None:
            self._make_durable(table, after=after)

    def _make_durable(self, table: Any, *, after: int) -> None:
        try:
            for version in range(after + 1, table.version() + 1):
                self._sync_version(version)
            _fsync(self._log / "_last_checkpoint")
            for folder in (self._log, self._folder, *self._folder.parents[:2]):
                fsync_folder(folder)
        except OSError as error:
            raise StoreError(f"{self._folder} could not be made durable: {error}") from error
        self._durable = table.version()

    def _known_durable(self) -> int:
        """A version up to which all is durable. Of a table that was not committed to yet that is
        one before its newest checkpoint: what was made since by somebody who was killed may not be.
        """
        if self._durable is None:
            self._durable = (newest_checkpoint(self._folder) or 0) - 1
        return self._durable

    def newest(self, columns: Sequence[str], n_rows: int, *, order: str) -> pa.Table | None:
        """About the newest rows: from the files that hold the latest times, no others are read.

        Args:
            columns: that every file of the table has.
            n_rows: at most so many.
            order: the column of times that says what is newest.

        Returns:
            The rows, oldest first; None if there is no table.

        Raises:
            StoreError: the table cannot be read.
        """
        table = self._open()
        if table is None:
            return None
        try:
            files = pa.table(table.get_add_actions(flatten=True))
            latest = f"max.{order}"  # absent, or null, where every time is null
            if latest in files.column_names:
                files = files.sort_by([(latest, "descending")])
            parts: list[pa.Table] = []
            for path in files.column("path").to_pylist():
                part = pq.read_table(self._folder / unquote(path), columns=list(columns))
                parts.append(part.select(columns))
                if sum(part.num_rows for part in parts) >= n_rows:
                    break
        except (OSError, ValueError) as error:
            raise StoreError(f"{self._folder} cannot be read: {error}") from error
        if not parts:
            return None
        rows = pa.concat_tables(parts).sort_by(order)
        return rows.slice(max(0, rows.num_rows - n_rows))

    def _sync_version(self, version: int) -> None:
        entry = self._log / f"{version:020d}.json"
        try:
            lines = entry.read_text().splitlines()
        except FileNotFoundError:  # older than a checkpoint, and cleaned up
            lines = []
        for line in lines:
            added = json.loads(line).get("add")
            if added is not None:
                _fsync(self._folder / unquote(added["path"]))
        _fsync(entry)
        _fsync(self._log / f"{version:020d}.checkpoint.parquet")

    def _open(self) -> Any:
        """The table as it is now, None if there is none.

        Kept open, and read on from where it was: from the start takes 12 ms of CPU, twice a commit.
        That holds while the newest entry that is known is the very file it was: another table in
        its place would be read as the end of this one.

        Raises:
            StoreError: it cannot be read.
        """
        from deltalake import DeltaTable

        known, self._known = self._known, None
        try:
            if known is not None and known[1] == self._mark(known[1].version):
                table = known[0]
                table.update_incremental()
            elif DeltaTable.is_deltatable(str(self._folder)):
                table = DeltaTable(str(self._folder))
                self._durable = None
            else:
                return None
        except Exception as error:  # as above
            raise StoreError(f"{self._folder} cannot be read: {error}") from error
        mark = self._mark(table.version())
        self._known = None if mark is None else (table, mark)
        return table

    def _mark(self, version: int) -> _Mark | None:
        """What tells an entry of the log from any other file; None if it is gone."""
        try:
            entry = (self._log / f"{version:020d}.json").stat()
        except OSError:
            return None
        return _Mark(version, entry.st_ino, entry.st_mtime_ns)


def newest_checkpoint(folder: Path) -> int | None:
    """The version of a Delta table's newest checkpoint, which delta makes every hundred commits.

    Args:
        folder: of the table.

    Returns:
        None where there is no table, no checkpoint yet, or it cannot be told now.

    >>> newest_checkpoint(Path("/nowhere")) is None
    True
    """
    told = json_or_none(folder / "_delta_log" / "_last_checkpoint")
    version = (told or {}).get("version")
    return version if isinstance(version, int) else None


def _fsync(path: Path) -> None:
    """Sync a file; one that is not there has nothing to lose."""
    with contextlib.suppress(FileNotFoundError):
        fsync_folder(path)
