"""Labels, durable before they are acknowledged.

The future of `LabelLog.append` is done only after the labels are on the disk (``fsync`` of the
journal; of the folder too when the journal is new). One thread writes; the appends that wait while
it syncs are written and synced together, so the cost of a sync is shared under load. A full disk
fails the appends that met it with `StoreError`, and nothing of them counts: the journal is cut back
to its last good length. Whatever else goes wrong fails its appends the same way and never ends the
thread: labels are taken as long as the replica lives.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from tenfold.canonical import fsync_folder
from tenfold.errors import StoreError
from tenfold_serve.spool import frame, make_folder, segment_name

__all__ = ["LabelLog"]

log = logging.getLogger("tenfold.serve")

_ROTATE_BYTES: Final = 1 << 20
_ROTATE_S: Final = 1.0
"""A journal is finished after this long, so labels reach the committer within about a second."""


@dataclass(slots=True)
class _Append:
    data: bytes
    done: Future[None]


class LabelLog:
    """The label journal of one replica. Any thread may append; one own thread writes.

    Args:
        folder: the project's spool folder.
        app: this writer's name (`tenfold_serve.spool.new_app`).
    """

    def __init__(self, folder: Path, *, app: str) -> None:
        self._folder = folder
        self._app = app
        self._number = 0
        self._journal: _Journal | None = None
        self._queue: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="label-log", daemon=True)
        self._thread.start()

    def append(self, records: Sequence[Mapping[str, Any]]) -> Future[None]:
        """Write the records; the future is done once they are durable.

        The future raises `StoreError` if they are not: then none of them counts. One that is
        cancelled before its turn is not written; after that it cannot be cancelled any more.
        """
        data = b"".join(frame(orjson.dumps(dict(record))) for record in records)
        request = _Append(data, Future())
        self._queue.put(request)
        return request.done

    def close(self) -> None:
        """Write what waits, finish the journal and stop the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            batch, stop = self._take()
            if batch:
                self._write(batch)
            if self._journal is not None and (stop or self._journal.is_due()):
                self._finish()
            if stop:
                return

    def _take(self) -> tuple[list[_Append], bool]:
        """What waits now; blocks for the first, or until the open journal is due."""
        try:
            first = self._queue.get(timeout=None if self._journal is None else _ROTATE_S)
        except queue.Empty:
            return [], False
        batch: list[_Append] = []
        while first is not None:
            if first.done.set_running_or_notify_cancel():
                batch.append(first)
            try:
                first = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _write(self, batch: Sequence[_Append]) -> None:
        try:
            if self._journal is None:
                self._number += 1
                name = segment_name("labels", self._app, self._number)
                self._journal = _Journal(self._folder / name)
            self._journal.append(b"".join(request.data for request in batch))
        except Exception as error:
            if not isinstance(error, OSError):
                log.exception("labels were not kept")
            if self._journal is not None:
                self._journal.cut_back()
                self._finish()
            failure = _store_error(self._folder, error)
            for request in batch:
                request.done.set_exception(failure)
            return
        for request in batch:
            request.done.set_result(None)

    def _finish(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            with contextlib.suppress(OSError):  # the committer finishes what keeps its open name
                journal.finish()


class _Journal:
    """One open journal file, locked for as long as its writer lives."""

    def __init__(self, final: Path) -> None:
        make_folder(final.parent)
        self._final = final
        self._path = final.with_name(f"{final.name}.open")
        self._size = 0
        self._opened = time.monotonic()
        # Locked before it has its name: the committer never sees it without its writer.
        hidden = final.with_name(f".{final.name}.new")
        self._handle = os.open(
            hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, mode=0o600
        )
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            hidden.rename(self._path)
            fsync_folder(final.parent)
        except OSError:
            hidden.unlink(missing_ok=True)
            os.close(self._handle)
            raise

    def is_due(self) -> bool:
        """Whether it is large or old enough to be finished."""
        return self._size >= _ROTATE_BYTES or time.monotonic() - self._opened >= _ROTATE_S

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._handle, view) :]
        os.fsync(self._handle)
        self._size += len(data)

    def cut_back(self) -> None:
        """After a failed append: what was not acknowledged should not be read later."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle, self._size)
            os.fsync(self._handle)

    def finish(self) -> None:
        """Give it its final name, or remove it if it is empty; never written to again."""
        try:
            if self._size:
                self._path.rename(self._final)
            else:
                self._path.unlink()
            fsync_folder(self._final.parent)
        finally:
            os.close(self._handle)


def _store_error(folder: Path, error: Exception) -> StoreError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"the disk under {folder} is full, so the labels were not kept; "
            "free space and send them again"
        )
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return StoreError(f"the labels could not be kept ({reason}); send them again later")
