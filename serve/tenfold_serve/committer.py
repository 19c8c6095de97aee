"""From spool to tables: finished segments become rows of two Delta tables, each exactly once.

``{live}/{project}/predictions`` and ``{live}/{project}/labels``. A commit takes all finished
segments of a kind and records, as Delta's application transaction, the newest number per writer. A
crash between the commit and the removal of the files is thus harmless: the next run sees that the
numbers are known and only removes the files. One committer a project: the keeper's supervisor.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa

from tenfold.errors import StoreError
from tenfold_serve.spool import Segment, read_frames, recover_journals, segments, spool_folder

__all__ = ["LABEL_SCHEMA", "Committed", "Committer", "labels_table", "log_tables"]

log = logging.getLogger("tenfold.serve")

_MAX_SEGMENTS: Final = 500
"""Segments of one commit: bounds its memory; the rest follows in the next."""
_COMPACT_EVERY: Final = 100
"""Commits between compactions: a file a second would make reading slower than the data."""

_TIME: Final = pa.timestamp("us", tz="UTC")
LABEL_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("label", pa.string()),
        pa.field("observed_at", _TIME),
        pa.field("received_at", _TIME),
        pa.field("source", pa.string()),
    ]
)
"""The labels table. ``label`` is the class, or the number's exact text; nothing is deduplicated."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What one run committed.

    Attributes:
        predictions: rows of the predictions table, columns ``__id``, ``__version``, ``__value``,
            ``__scores``, ``__at`` only; None if there were none.
        labels: rows of the labels table; None if there were none.
    """

    predictions: pa.Table | None
    labels: pa.Table | None


_INDEX_COLUMNS: Final = ["__id", "__version", "__value", "__scores", "__at"]


def log_tables(live: Path, project: str) -> tuple[Path, Path]:
    """The folders of the predictions and the labels table."""
    return live / project / "predictions", live / project / "labels"


class Committer:
    """Commits the spool of one project. Not shared between threads.

    Args:
        live: folder of the live logs (`Settings.live`).
        project: name of the project.
    """

    def __init__(self, live: Path, project: str) -> None:
        self._spool = spool_folder(live, project)
        self._predictions, self._labels = log_tables(live, project)
        self._commits = 0

    def commit(self) -> Committed:
        """Take what is finished.

        Raises:
            StoreError: a table cannot be written; nothing is lost, the next run tries again.
        """
        recover_journals(self._spool)
        predictions = self._commit("predictions", self._predictions)
        labels = self._commit("labels", self._labels)
        return Committed(
            None if predictions is None else predictions.select(_INDEX_COLUMNS), labels
        )

    def recent(self, n_rows: int) -> Committed:
        """The newest committed rows, for rebuilding what was in memory.

        Raises:
            StoreError: a table cannot be read.
        """
        return Committed(
            _tail(self._predictions, _INDEX_COLUMNS, n_rows, order="__at"),
            _tail(self._labels, LABEL_SCHEMA.names, n_rows, order="received_at"),
        )

    def _commit(self, kind: str, folder: Path) -> pa.Table | None:
        found = segments(self._spool, kind)[:_MAX_SEGMENTS]
        if not found:
            return None
        known = _known_numbers(folder, {segment.app for segment in found})
        fresh = [segment for segment in found if segment.number > known.get(segment.app, 0)]
        table = _read(kind, fresh)
        if table is not None and table.num_rows:
            newest = {segment.app: segment.number for segment in fresh}
            _append(folder, table, newest)
            self._commits += 1
            if self._commits % _COMPACT_EVERY == 0:
                _compact(folder)
        for segment in found:
            segment.path.unlink(missing_ok=True)
        return table if table is not None and table.num_rows else None


def labels_table(records: Iterable[dict[str, Any]]) -> pa.Table:
    """Label records as rows of the labels table."""
    rows = list(records)

    def times(name: str) -> list[datetime]:
        return [datetime.fromisoformat(row[name]).astimezone(UTC) for row in rows]

    return pa.table(
        {
            "id": [row["id"] for row in rows],
            "label": [row["label"] for row in rows],
            "observed_at": times("observed_at"),
            "received_at": times("received_at"),
            "source": [row["source"] for row in rows],
        },
        schema=LABEL_SCHEMA,
    )


def _read(kind: str, found: Sequence[Segment]) -> pa.Table | None:
    tables = []
    for segment in found:
        try:
            if kind == "labels":
                frames = read_frames(segment.path.read_bytes())
                tables.append(labels_table(map(orjson.loads, frames.bodies)))
            else:
                with pa.OSFile(str(segment.path), "rb") as file:
                    tables.append(pa.ipc.open_file(file).read_all())
        except (pa.ArrowInvalid, ValueError, KeyError):
            # Put aside, never deleted: a damaged segment must not stop the ones after it.
            aside = segment.path.with_name(f"damaged-{segment.path.name}")
            segment.path.rename(aside)
            log.exception("a damaged segment was put aside as %s", aside.name)
    return pa.concat_tables(tables, promote_options="permissive") if tables else None


def _known_numbers(folder: Path, apps: set[str]) -> dict[str, int]:
    from deltalake import DeltaTable

    if not DeltaTable.is_deltatable(str(folder)):
        return {}
    table = DeltaTable(str(folder))
    found = {app: table.transaction_version(app) for app in apps}
    return {app: number for app, number in found.items() if number is not None}


def _append(folder: Path, table: pa.Table, newest: dict[str, int]) -> None:
    from deltalake import CommitProperties, Transaction, write_deltalake
    from deltalake.exceptions import DeltaError

    folder.parent.mkdir(parents=True, exist_ok=True)
    transactions = [Transaction(app, number) for app, number in newest.items()]
    try:
        write_deltalake(
            str(folder),
            table.combine_chunks(),
            mode="append",
            schema_mode="merge",
            commit_properties=CommitProperties(app_transactions=transactions),
        )
    except (DeltaError, OSError) as error:
        raise StoreError(
            f"{folder} could not take {table.num_rows} rows: {error}; free space under the store; "
            "nothing is lost, the next commit tries again"
        ) from error


def _compact(folder: Path) -> None:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    with contextlib.suppress(DeltaError, OSError):  # only makes reading faster; tried again later
        DeltaTable(str(folder)).optimize.compact()


def _tail(folder: Path, columns: list[str], n_rows: int, *, order: str) -> pa.Table | None:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    if not DeltaTable.is_deltatable(str(folder)):
        return None
    try:
        table = DeltaTable(str(folder)).to_pyarrow_dataset().to_table(columns=columns)
    except (DeltaError, OSError) as error:
        raise StoreError(f"{folder} cannot be read: {error}") from error
    return table.sort_by(order).slice(max(0, table.num_rows - n_rows))
