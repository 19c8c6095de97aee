"""A Delta table that one committer appends to, durable before it says so.

An append is put behind the log by `tenfold_serve.log_end`, at a cost that does not grow with the
table; what that cannot do (the first commit, a new column, a table that somebody gave features of
the protocol) and everything else is delta-rs's. delta-rs writes without ``fsync`` (looked at with
``strace``: 1.6.6), so a commit that was just made can vanish in a power cut. `LogTable.append`
therefore syncs what it, and who committed beneath it, wrote before it returns; only then may the
spool's journals, which were synced when their labels were acknowledged, be removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.canonical import fsync_folder, json_or_none
from tenfold.errors import StoreError
from tenfold_serve.log_end import (
    LogEnd,
    actions,
    add_action,
    append_entry,
    entry_path,
    put_entry,
    read_end,
    write_rows,
)
from tenfold_serve.process import Breaths

__all__ = ["LogTable"]


_LOCK: Final = "_compaction.lock"
"""Delta passes over names that begin with an underscore."""
_KEPT: Final = "interval 1 days"
"""Joined files, for who still reads them, and entries older than a checkpoint. By delta's own seven
and thirty days a table with a commit a second had 600,000 of the ones in each checkpoint, and 2.6
million of the others in one folder."""
_PROPERTIES: Final = {
    "delta.deletedFileRetentionDuration": _KEPT,
    "delta.logRetentionDuration": _KEPT,
}


class LogTable:
    """One table, appended to by one process. Not shared between threads.

    Args:
        folder: of the table; made by the first append.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "_delta_log"
        self._known: LogEnd | None = None
        self._durable: int | None = None  # the newest version that this object made so

    def known_numbers(self, apps: Collection[str]) -> dict[str, int]:
        """The newest committed segment of each writer that ever committed one.

        Raises:
            StoreError: the table cannot be read.
        """
        end = self._end()
        if end is None:
            return {}
        unknown = [app for app in apps if app not in end.numbers]
        if unknown:
            table = self._open()
            try:
                for app in unknown:
                    end.numbers[app] = table.transaction_version(app)
            except Exception as error:  # delta-rs raises bare exceptions too
                raise StoreError(f"{self._folder} cannot be read: {error}") from error
        found = {app: end.numbers[app] for app in apps}
        return {app: number for app, number in found.items() if number is not None}

    def append(
        self,
        rows: pa.Table,
        newest: Mapping[str, int],
        *,
        breathe: Callable[[], object] | None = None,
    ) -> None:
        """Commit rows, and that their writers' segments up to these numbers are in; durable.

        Args:
            rows: none is a commit, too.
            newest: by writer, the number of its newest segment.
            breathe: called between the parts of the work, so that others have the core.

        Raises:
            StoreError: the table cannot be written; the commit is then repeated, or found by
                `known_numbers`.
        """
        end = self._end()
        before = -1 if end is None else end.version
        before = min(before, self._known_durable())  # what others committed is beneath ours
        try:
            if not self._appended(rows, newest, breathe or Breaths()):
                self._append_by_delta(rows, newest)
        except StoreError:
            raise
        except Exception as error:  # as above
            raise StoreError(
                f"{self._folder} could not take {rows.num_rows} rows: {error}; "
                "free space under the store; nothing is lost, the next commit tries again"
            ) from error
        self._make_durable(after=before)

    def _appended(
        self, rows: pa.Table, newest: Mapping[str, int], breathe: Callable[[], object]
    ) -> bool:
        """Whether the rows could be put behind the log's end as they are."""
        known = self.known_numbers(newest)
        end = self._end()
        if end is None or not end.takes(rows.schema):
            return False
        added = []
        path = self._folder / f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
        if rows.num_rows:
            write_rows(path, rows, breathe=breathe)
            added.append(add_action(path, rows))
        entry = append_entry(added, newest)
        try:
            while end is not None and end.takes(rows.schema):
                try:
                    put_entry(self._log, end.version + 1, entry)
                    return True
                except FileExistsError:  # a compaction was first
                    if self.known_numbers(newest) != known:
                        raise StoreError(
                            f"{self._folder} has one committer, and another one has committed "
                            f"segments of {', '.join(newest)}; end it"
                        ) from None
                    end = self._end()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        path.unlink(missing_ok=True)
        return False

    def _append_by_delta(self, rows: pa.Table, newest: Mapping[str, int]) -> None:
        from deltalake import CommitProperties, Transaction, write_deltalake

        self._folder.parent.mkdir(parents=True, exist_ok=True)
        transactions = [Transaction(app, number) for app, number in newest.items()]
        table = self._open()
        write_deltalake(
            str(self._folder) if table is None else table,
            rows.combine_chunks(),
            mode="append",
            schema_mode="merge",
            configuration=_PROPERTIES if table is None else None,
            commit_properties=CommitProperties(app_transactions=transactions),
        )

    def compact(self, target_bytes: int, *, thorough: bool = False) -> None:
        """Join small files, durable; make a checkpoint; remove, after a day, those that were joined
        and entries that are older than a checkpoint.

        Another process may append meanwhile, every second or so: delta-rs gives up when fifteen of
        its tries to commit came second. It only makes reading faster: one that fails, or is killed,
        costs no row. Two at once would join the same rows twice (delta-rs 1.6.6 sees no
        conflict in it), so the second is refused.

        Args:
            target_bytes: files no larger than this are joined, into such as are not larger.
            thorough: also remove what compactions left that were killed; looks at every file.

        Raises:
            StoreError: the table cannot be read or written, or is being compacted.
        """
        if self._open() is None:
            return
        with self._alone():
            table = self._open()
            if table is None:
                return
            after = table.version()
            try:
                table.optimize.compact(target_size=target_bytes, max_concurrent_tasks=1)
                self.sync(after=after)
                table.vacuum(dry_run=False, full=thorough)
                self.sync(after=after)
                table.create_checkpoint()
                self.sync(after=after)
                table.cleanup_metadata()
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
        if self._end() is not None:
            self._make_durable(after=after)

    def _make_durable(self, *, after: int) -> None:
        end = self._end()
        newest = -1 if end is None else end.version
        try:
            for version in range(after + 1, newest + 1):
                self._sync_version(version)
            _fsync(self._log / "_last_checkpoint")
            for folder in (self._log, self._folder, *self._folder.parents[:2]):
                fsync_folder(folder)
        except (OSError, ValueError) as error:
            raise StoreError(f"{self._folder} could not be made durable: {error}") from error
        self._durable = newest

    def _known_durable(self) -> int:
        """A version up to which all is durable. Of a table that was not committed to yet that is
        one before its newest checkpoint: what was made since by somebody who was killed may not be.
        """
        if self._durable is None:
            told = json_or_none(self._log / "_last_checkpoint") or {}
            version = told.get("version")
            self._durable = version - 1 if isinstance(version, int) else -1
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
        entry = entry_path(self._log, version)
        with contextlib.suppress(FileNotFoundError):  # older than a checkpoint, and cleaned up
            for action in actions(entry):
                added = action.get("add")
                if added is not None:
                    _fsync(self._folder / unquote(added["path"]))
        _fsync(entry)
        _fsync(self._log / f"{version:020d}.checkpoint.parquet")

    def _end(self) -> LogEnd | None:
        """The end of the log as it is now, None if there is no table.

        Raises:
            StoreError: it cannot be read.
        """
        end, self._known = self._known, None
        try:
            if end is not None and not end.stands:  # there is another table in its place
                end = self._durable = None
            if end is None or not end.follow():
                end = read_end(self._folder)
        except Exception as error:  # as above
            raise StoreError(f"{self._folder} cannot be read: {error}") from error
        self._known = end
        return end

    def _open(self) -> Any:
        """The table by delta-rs as it is now, None if there is none. Not kept: it knows each file.

        Raises:
            StoreError: it cannot be read.
        """
        from deltalake import DeltaTable

        try:
            folder = str(self._folder)
            return DeltaTable(folder) if DeltaTable.is_deltatable(folder) else None
        except Exception as error:  # as above
            raise StoreError(f"{self._folder} cannot be read: {error}") from error


def _fsync(path: Path) -> None:
    """Sync a file; one that is not there has nothing to lose."""
    with contextlib.suppress(FileNotFoundError):
        fsync_folder(path)
