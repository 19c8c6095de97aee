"""From the spool to the monitor: what is committed reaches the aggregator, each row once.

Rows go two ways: into the tables, durable, and then to the aggregator, which may be away. What was
committed and not yet taken waits here, in order, so that a failure between the two costs a delay
and no evidence. The queue is bounded; what it loses is counted, and training still has it.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from tenfold.errors import DataError
from tenfold.monitor import Label
from tenfold_serve.committer import Committed, Committer
from tenfold_serve.logged import LoggedPredictions, epoch_seconds

__all__ = ["Feeder", "LogReader"]

log = logging.getLogger("tenfold.serve")

_REBUILD_ROWS: Final = 100_000
"""Newest log rows that the joining index is filled with after a restart."""
_MAX_WAITING_ROWS: Final = 200_000
"""Rows that wait for an aggregator that is away: as many as it would keep for joining."""


class LogReader(Protocol):
    """The aggregator, as far as the logs are fed to it; each call is waited for."""

    def needs_rebuild(self, project: str) -> bool:
        """Whether the index is empty."""

    def rebuild(
        self, project: str, predictions: LoggedPredictions, labels: Sequence[Label]
    ) -> None:
        """Fill the index."""

    def feed(
        self, project: str, predictions: LoggedPredictions, labels: Sequence[Label]
    ) -> dict[str, int]:
        """Join newly committed rows.

        Raises:
            DataError: it will never take these rows; whatever else it raises, it may later.
        """


class _Batch(NamedTuple):
    predictions: LoggedPredictions
    labels: list[Label]

    @property
    def n_rows(self) -> int:
        return len(self.predictions) + len(self.labels)


class Feeder:
    """The way of one project's rows. Used from one thread.

    Args:
        project: name of the project.
        committer: of its spool.
        reader: the aggregator.
        max_waiting_rows: rows kept while it is away.
    """

    def __init__(
        self,
        project: str,
        *,
        committer: Committer,
        reader: LogReader,
        max_waiting_rows: int = _MAX_WAITING_ROWS,
    ) -> None:
        self._project = project
        self._committer = committer
        self._reader = reader
        self._max_waiting_rows = max_waiting_rows
        self._waiting: deque[_Batch] = deque()
        self._lost_rows = 0
        self._labels: Counter[str] = Counter()

    def step(self) -> None:
        """Commit what is finished, then hand over what waits.

        Raises:
            Exception: the first of what went wrong, after all that could be done was done.
        """
        committed = self._committer.commit()
        batch = _batch(committed)
        if batch.n_rows:
            self._waiting.append(batch)
            self._bound()
        self._hand_over()
        for trouble in committed.troubles:
            raise trouble

    def status(self) -> dict[str, Any]:
        """Labels by what became of them, and what is waiting, lost or damaged; JSON values."""
        return {
            "labels": dict(self._labels),
            "unfed_rows": sum(batch.n_rows for batch in self._waiting),
            "unfed_lost_rows": self._lost_rows,
            "damaged_segments": self._committer.n_damaged,
        }

    def _hand_over(self) -> None:
        if self._reader.needs_rebuild(self._project):
            self._reader.rebuild(self._project, *self._taken_before())
        while self._waiting:
            try:
                statuses = self._reader.feed(self._project, *self._waiting[0])
            except DataError:
                log.exception("%s: the monitor refuses rows of the log", self._project)
                self._lost_rows += self._waiting.popleft().n_rows
                continue
            self._waiting.popleft()
            self._labels.update(statuses)

    def _taken_before(self) -> _Batch:
        """The newest rows of the tables that the monitors have seen: those that wait are not."""
        recent = self._committer.recent(_REBUILD_ROWS)
        ids = [one for batch in self._waiting for one in batch.predictions.ids]
        if ids and recent.predictions is not None:
            waits = pc.is_in(recent.predictions.column("__id"), pa.array(ids))
            recent = replace(recent, predictions=recent.predictions.filter(pc.invert(waits)))
        seen = _batch(recent)
        labels = {label for batch in self._waiting for label in batch.labels}
        return _Batch(seen.predictions, [label for label in seen.labels if label not in labels])

    def _bound(self) -> None:
        while (
            len(self._waiting) > 1
            and sum(batch.n_rows for batch in self._waiting) > self._max_waiting_rows
        ):
            self._lost_rows += self._waiting.popleft().n_rows


def _batch(committed: Committed) -> _Batch:
    predictions = LoggedPredictions.of([])
    labels: list[Label] = []
    if committed.predictions is not None:
        predictions = LoggedPredictions.from_table(committed.predictions)
    if committed.labels is not None:
        table = committed.labels
        columns = [
            table.column("id").to_pylist(),
            table.column("label").to_pylist(),
            epoch_seconds(table.column("observed_at")).tolist(),
            table.column("source").to_pylist(),
            epoch_seconds(table.column("received_at")).tolist(),
        ]
        labels = [Label(*row) for row in zip(*columns, strict=True)]
    return _Batch(predictions, labels)
