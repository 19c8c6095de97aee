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
import logging
import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from tenfold.canonical import fsync_folder
from tenfold.errors import StoreError
from tenfold_serve.log_end import (
    LogEnd,
    actions,
    add_action,
    append_entry,
    entry_path,
    newest_checkpoint,
    put_entry,
    read_end,
    versions,
    write_rows,
)
from tenfold_serve.process import Breaths

__all__ = ["LogTable"]


log = logging.getLogger("tenfold.serve")

_LOCK: Final = "_compaction.lock"
"""Delta passes over names that begin with an underscore."""
_KEPT: Final = "interval 1 days"
"""Joined files, for who still reads them, and entries older than a checkpoint. By delta's own seven
and thirty days a table with a commit a second had 600,000 of the ones in each checkpoint, and 2.6
million of the others in one folder."""
_LEFT_S: Final = 86_400.0
"""An entry without a number that is older was left by a commit that was killed."""
_FEW: Final = 1_000
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
        self._checkpoint: int | None = None  # the newest that is durable
        self._told_slow = False

    def known_numbers(self, apps: Collection[str]) -> dict[str, int]:
        """The newest committed segment of each writer that ever committed one.

        The whole table is read for a writer that was not asked for before.

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
                    end.learn(app, table.transaction_version(app))
            except Exception as error:  # delta-rs raises bare exceptions too
                raise StoreError(f"{self._folder} cannot be read: {error}") from error
        found = {app: end.numbers[app] for app in apps}
        return {app: number for app, number in found.items() if number is not None}

    def append(
        self,
        rows: pa.Table,
        newest: Mapping[str, int],
        *,
        known: Mapping[str, int] | None = None,
        breathe: Callable[[], object] | None = None,
    ) -> None:
        """Commit rows, and that their writers' segments up to these numbers are in; durable.

        Args:
            rows: none is a commit, too.
            newest: by writer, the number of its newest segment.
            known: of `known_numbers`, what the rows were chosen by; what the table has now by
                default.
            breathe: called between the parts of the work, so that others have the core.

        Raises:
            StoreError: the table cannot be written, or another one has committed segments of these
                writers since; the commit is then repeated, or found by `known_numbers`.
        """
        end = self._end()
        before = -1 if end is None else end.version
        before = min(before, self._known_durable())  # what others committed is beneath ours
        if known is None:
            known = self.known_numbers(newest)
        try:
            if not self._appended(rows, newest, known, breathe or Breaths()):
                self._require_alone(newest, known)
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
        self,
        rows: pa.Table,
        newest: Mapping[str, int],
        known: Mapping[str, int],
        breathe: Callable[[], object],
    ) -> bool:
        """Whether the rows could be put behind the log's end as they are."""
        if self._end_for(rows) is None:
            return False
        path = self._folder / f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
        may_be_named = False
        try:
            added = []
            if rows.num_rows:
                write_rows(path, rows, breathe=breathe)
                added.append(add_action(path, rows))
                fsync_folder(self._folder)  # its name is there before an entry can say it
            entry = append_entry(added, newest)
            while (end := self._end_for(rows)) is not None:
                self._require_alone(newest, known)
                may_be_named = True
                try:
                    put_entry(self._log, end.version + 1, entry)
                except FileExistsError:  # a compaction was first
                    may_be_named = False
                    continue
                except OSError:
                    may_be_named = False
                    raise
                return True
        finally:
            if not may_be_named:
                path.unlink(missing_ok=True)
        return False

    def _end_for(self, rows: pa.Table) -> LogEnd | None:
        """The log's end, where these can be put behind it as they are."""
        end = self._end()
        if end is None:
            return None
        if not end.plain and not self._told_slow:
            self._told_slow = True
            log.warning(
                "%s is in partitions or has features of Delta's that its writers must heed: "
                "commits take longer, and longer the more files it has",
                self._folder,
            )
        return end if end.takes(rows.schema) else None

    def _require_alone(self, newest: Mapping[str, int], known: Mapping[str, int]) -> None:
        """Raises StoreError where the table has other numbers of these writers."""
        found = self.known_numbers(newest)
        if found != {app: known[app] for app in newest if app in known}:
            raise StoreError(
                f"{self._folder} has one committer, and another one has committed segments of "
                f"{', '.join(newest)}; end it"
            )

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
            thorough: also remove what commits and compactions left that were killed; looks at every
                file.

        Raises:
            StoreError: the table cannot be read or written, or is being compacted.
        """
        if self._open() is None:
            return
        with self._alone():
            table = self._open()
            if table is None:
                return
            try:
                try:
                    self._join(table, target_bytes, thorough=thorough)
                finally:  # else a file that cannot be read would let the log grow for ever
                    table.update_incremental()
                    self.sync()
                    table.create_checkpoint()
                    self.sync()
                    table.cleanup_metadata()
            except StoreError:
                raise
            except Exception as error:  # as above
                raise StoreError(
                    f"{self._folder} could not be compacted: {error}; nothing is lost, the next "
                    "round tries again"
                ) from error

    def _join(self, table: Any, target_bytes: int, *, thorough: bool) -> None:
        from deltalake import ColumnProperties, WriterProperties

        told = table.metadata().configuration
        lacking = {name: value for name, value in _PROPERTIES.items() if name not in told}
        if lacking:
            table.alter.set_table_properties(lacking)
        # A dictionary of numbers' texts is as large as they are.
        plain = ColumnProperties(dictionary_enabled=False)
        table.optimize.compact(
            target_size=target_bytes,
            max_concurrent_tasks=1,
            writer_properties=WriterProperties(compression="ZSTD", default_column_properties=plain),
        )
        self.sync()
        table.vacuum(dry_run=False, full=thorough)
        if thorough:
            for path in self._log.glob("_*.json.tmp"):
                if time.time() - path.stat().st_mtime > _LEFT_S:
                    path.unlink(missing_ok=True)

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

    def sync(self) -> None:
        """Make durable what is not known to be.

        Raises:
            StoreError: the disk refuses; the commits stand and a power cut may still take them.
        """
        if self._end() is not None:
            self._make_durable(after=self._known_durable())

    def _make_durable(self, *, after: int) -> None:
        end = self._end()
        newest = -1 if end is None else end.version
        numbers = list(range(after + 1, newest + 1))
        if len(numbers) > _FEW:  # most of them were removed long ago
            numbers = [number for number in versions(self._log) if after < number <= newest]
        try:
            for number in numbers:
                self._sync_version(number)
            checkpoint = newest_checkpoint(self._log)
            if checkpoint >= 0 and checkpoint != self._checkpoint:
                _fsync(self._log / f"{checkpoint:020d}.checkpoint.parquet")
                _fsync(self._log / "_last_checkpoint")  # names it
            for folder in (self._log, self._folder, *self._folder.parents[:2]):
                fsync_folder(folder)
        except (OSError, ValueError) as error:
            raise StoreError(f"{self._folder} could not be made durable: {error}") from error
        self._durable, self._checkpoint = newest, checkpoint

    def _known_durable(self) -> int:
        """A version up to which all is durable. Of a table that was not committed to yet that is
        one before its newest checkpoint: who makes one syncs all that is beneath it first. What was
        made since by somebody who was killed may not be.
        """
        if self._durable is None:
            self._durable = max(newest_checkpoint(self._log), 0) - 1
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

    def _end(self) -> LogEnd | None:
        """The end of the log as it is now, None if there is no table.

        Raises:
            StoreError: it cannot be read.
        """
        end, self._known = self._known, None
        try:
            if end is None or not end.stands:  # there may be another table in its place
                end = self._durable = self._checkpoint = None
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
