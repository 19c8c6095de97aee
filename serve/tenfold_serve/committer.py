"""From spool to tables: finished segments become rows of two Delta tables, each exactly once.

``{live}/{project}/predictions`` and ``{live}/{project}/labels``. A commit takes all finished
segments of a kind and records, as Delta's application transaction, the newest number per writer.
Segments are removed only after the commit is durable. A crash between the two is thus harmless: the
next run sees that the numbers are known and only removes the files. The two kinds fail apart: a
predictions table that takes nothing never keeps a label from its own. One committer a project: the
keeper's supervisor.

What cannot be read is never deleted and never silent: it stays in the spool as ``damaged-…``, the
whole frames before the damage are committed, and `Committer.n_damaged` counts such files. The torn
end of a journal whose writer was killed while it wrote looks the same and is kept too, although
nobody was told that it was accepted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa

from tenfold.errors import StoreError
from tenfold.live import log_tables
from tenfold_serve.log_table import LogTable
from tenfold_serve.logged import INDEX_COLUMNS
from tenfold_serve.prediction_log import features_as_text
from tenfold_serve.process import Breaths
from tenfold_serve.spool import Segment, read_frames, recover_journals, segments, spool_folder

__all__ = ["LABEL_SCHEMA", "Committed", "Committer", "labels_table"]

log = logging.getLogger("tenfold.serve")

_MAX_SEGMENTS: Final = 500
_MAX_BYTES: Final = 64 * 2**20
"""Of one commit, or one segment if it is larger: bounds its memory; the rest follows in the
next."""
_ROWS_AT_ONCE: Final = 512
"""Made texts before others may have the core: 1.4 ms of 20 numbers."""
_DAMAGED: Final = "damaged-"

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
        predictions: rows of the predictions table, `INDEX_COLUMNS` only; None if there were none.
        labels: rows of the labels table; None if there were none.
        troubles: why a table took nothing; its segments wait for the next run.
    """

    predictions: pa.Table | None
    labels: pa.Table | None
    troubles: tuple[StoreError, ...] = ()


class Committer:
    """Commits the spool of one project. Not shared between threads.

    Args:
        live: folder of the live logs (`Settings.live`).
        project: name of the project.
        breathe: called between the pieces of its work.
    """

    def __init__(
        self, live: Path, project: str, *, breathe: Callable[[], object] | None = None
    ) -> None:
        self._breathe = breathe or Breaths()
        self._spool = spool_folder(live, project)
        predictions, labels = log_tables(live, project)
        self._tables = {"predictions": LogTable(predictions), "labels": LogTable(labels)}

    def commit(self) -> Committed:
        """Take what is finished. What is returned is durable, whatever became of the rest."""
        recover_journals(self._spool)
        found: dict[str, pa.Table | None] = {}
        troubles = []
        for kind in self._tables:
            try:
                found[kind] = self._commit(kind)
            except StoreError as error:
                troubles.append(error)
        predictions = found.get("predictions")
        return Committed(
            None if predictions is None else predictions.select(INDEX_COLUMNS),
            found.get("labels"),
            tuple(troubles),
        )

    def recent(self, n_rows: int) -> Committed:
        """About the newest committed rows, for rebuilding what was in memory.

        Raises:
            StoreError: a table cannot be read.
        """
        labels = self._tables["labels"]
        return Committed(
            self._tables["predictions"].newest(INDEX_COLUMNS, n_rows, order="__at"),
            labels.newest(LABEL_SCHEMA.names, n_rows, order="received_at"),
        )

    @property
    def n_damaged(self) -> int:
        """Segments that were put aside because not all of them could be read."""
        return sum(1 for _ in self._spool.glob(f"{_DAMAGED}*"))

    def _commit(self, kind: str) -> pa.Table | None:
        found = _some(segments(self._spool, kind))
        if not found:
            return None
        table = self._tables[kind]
        known = table.known_numbers({segment.app for segment in found})
        fresh = [segment for segment in found if segment.number > known.get(segment.app, 0)]
        rows = _read(kind, fresh, self._breathe)
        if rows is not None and rows.num_rows:
            numbers = {segment.app: segment.number for segment in fresh}
            table.append(rows, numbers, known=known, breathe=self._breathe)
        if len(fresh) < len(found):  # committed by a run that ended before it had synced them
            table.sync()
        for segment in found:
            segment.path.unlink(missing_ok=True)
        return rows if rows is not None and rows.num_rows else None


def _some(found: Sequence[Segment]) -> list[Segment]:
    """The first of them, as many as one commit takes."""
    some: list[Segment] = []
    left = _MAX_BYTES
    for segment in found[:_MAX_SEGMENTS]:
        try:
            left -= segment.path.stat().st_size
        except OSError as error:
            raise StoreError(f"{segment.path} cannot be read: {error}") from error
        if some and left < 0:
            break
        some.append(segment)
    return some


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


def _read(kind: str, found: Sequence[Segment], breathe: Callable[[], object]) -> pa.Table | None:
    read = _read_labels if kind == "labels" else partial(_read_predictions, breathe=breathe)
    tables = []
    for segment in found:
        breathe()
        try:
            tables.append(read(segment.path))
        except (ValueError, KeyError, TypeError):  # Arrow's own errors are among them
            log.exception("%s cannot be read", segment.path.name)
            _keep_damaged(segment.path)
        except OSError as error:
            if error.errno is not None:  # the disk's fault: tried again
                raise StoreError(f"{segment.path} cannot be read: {error}") from error
            log.exception("%s is cut short", segment.path.name)  # Arrow says it so
            _keep_damaged(segment.path)
    return pa.concat_tables(tables, promote_options="permissive") if tables else None


def _read_labels(path: Path) -> pa.Table:
    bodies, left_over = read_frames(path.read_bytes())
    rows = labels_table(map(orjson.loads, bodies))
    if left_over:
        log.error(
            "%s: %d labels were read and %d bytes behind them cannot be", path.name, len(bodies),
            left_over,
        )  # fmt: skip
        _keep_damaged(path)
    return rows


def _read_predictions(path: Path, *, breathe: Callable[[], object]) -> pa.Table:
    with pa.OSFile(str(path), "rb") as file:
        rows = pa.ipc.open_file(file).read_all()
    parts = []
    for start in range(0, max(1, rows.num_rows), _ROWS_AT_ONCE):
        parts.append(features_as_text(rows.slice(start, _ROWS_AT_ONCE)))
        breathe()
    return pa.concat_tables(parts)


def _keep_damaged(path: Path) -> None:
    """A second name, before the commit: the first is removed as every segment's is."""
    aside = path.with_name(f"{_DAMAGED}{path.name}")
    try:
        os.link(path, aside)
    except FileExistsError:
        return
    except OSError as error:
        raise StoreError(f"{aside} could not be made: {error}") from error
    log.error("it is kept as %s", aside.name)
