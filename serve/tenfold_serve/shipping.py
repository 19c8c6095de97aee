"""What a replica's recorder tells the others, about once a second: a segment and a report.

Messages carry (replica, epoch, seq), counted per model version: the aggregator takes each once, so
a report whose acknowledgement got lost is simply sent again. One that it refuses is not: its rows
are counted as lost, its totals go with the next, and those behind it are heard.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tenfold.errors import ArtifactError, UserError
from tenfold.monitor import CountsMessage
from tenfold_serve.answers import Entry, LoggedArm
from tenfold_serve.arm_counts import ArmBook
from tenfold_serve.prediction_log import write_segment
from tenfold_serve.spool import segment_name

__all__ = ["HOLE", "Counted", "Report", "RequestStats", "Shipper", "Sink", "Taken"]

log = logging.getLogger("tenfold.serve")

HOLE: Final = "answered rows are not in the log; told once until it works again"

_MAX_PENDING: Final = 300
"""Messages kept while the aggregator is away: five minutes at one a second."""
_LATENCY_EDGES_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Sink(Protocol):
    """Takes a report to the aggregator. Called from the recorder's thread, and from who closes it.

    Returning means that it is counted. `UserError` and `ArtifactError` mean that it never will be;
    any other exception means that it is sent again later.
    """

    def __call__(self, report: Report) -> None:
        """Deliver one report."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a replica tells the aggregator, about once a second while there is traffic.

    Attributes:
        project: name of the project.
        replica: name of the sender.
        epoch: start of the sender, nanoseconds since 1970.
        seq: from 0, one more with each report.
        counts: one message per model that answered.
        requests: totals since the last report, see `RequestStats.to_dict`.
        dropped_rows: rows since the last report that are in no count or in no log.
        arms: totals by arm since the last report, `ArmTotals.to_dict` each.
    """

    project: str
    replica: str
    epoch: int
    seq: int
    counts: tuple[CountsMessage, ...]
    requests: dict[str, Any]
    dropped_rows: int
    arms: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class RequestStats:
    """Totals of requests since the start. Written by the event loop only; they only grow, and the
    recorder's thread tells differences, so nothing that is added meanwhile can be lost.
    """

    statuses: dict[int, int]
    latency_cells: list[int]
    latency_sum_s: float

    @classmethod
    def empty(cls) -> RequestStats:
        """Nothing counted yet."""
        return cls({}, [0] * (len(_LATENCY_EDGES_S) + 1), 0.0)

    def add(self, status: int, seconds: float) -> None:
        """Count one finished request."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latency_sum_s += seconds
        cell = 0
        while cell < len(_LATENCY_EDGES_S) and seconds > _LATENCY_EDGES_S[cell]:
            cell += 1
        self.latency_cells[cell] += 1

    def copy(self) -> RequestStats:
        """The totals now; from any thread, since copying a dict or a list is one step."""
        return RequestStats(dict(self.statuses), list(self.latency_cells), self.latency_sum_s)

    def minus(self, other: RequestStats) -> RequestStats:
        """What was counted since other totals.

        >>> stats = RequestStats.empty()
        >>> before = stats.copy()
        >>> stats.add(200, 0.5)
        >>> stats.minus(before).statuses, stats.minus(stats).statuses
        ({200: 1}, {})
        """
        counts = {s: n - other.statuses.get(s, 0) for s, n in self.statuses.items()}
        pairs = zip(self.latency_cells, other.latency_cells, strict=True)
        return RequestStats(
            {status: n for status, n in counts.items() if n},
            [mine - its for mine, its in pairs],
            self.latency_sum_s - other.latency_sum_s,
        )

    def to_dict(self) -> dict[str, Any]:
        """The totals as JSON values; keys of ``statuses`` are texts."""
        return {
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "latency_edges_s": list(_LATENCY_EDGES_S),
            "latency_cells": list(self.latency_cells),
            "latency_sum_s": self.latency_sum_s,
        }


@dataclass(slots=True)
class Counted:
    """What was counted of one model since the last report.

    Attributes:
        arm: the model.
        n_rows: so many.
        counts: into its frozen bins, int64 ``(n_cells,)``.
        ended_s: when the last of them was answered, seconds since 1970.
        busy_s: that counting took.
    """

    arm: LoggedArm
    n_rows: int
    counts: npt.NDArray[np.int64]
    ended_s: float
    busy_s: float

    def add(self, other: Counted) -> None:
        """Take in what was counted after it."""
        self.counts = self.counts + other.counts
        self.n_rows += other.n_rows
        self.ended_s = max(self.ended_s, other.ended_s)
        self.busy_s += other.busy_s


class Taken(NamedTuple):
    """What the event loop took since it was asked last.

    Attributes:
        tables: rows for the log, one table per part.
        counted: by model.
        whole_rows: of the tables' rows those that are counted, too.
        arms: totals by arm, `ArmTotals.to_dict` each.
        compared: requests of canaries that a champion stood beside, by part.
        dropped_rows: rows since the start that the loop knows to be in no count or log.
    """

    tables: Sequence[pa.Table] = ()
    counted: Sequence[Counted] = ()
    whole_rows: int = 0
    arms: Sequence[dict[str, Any]] = ()
    compared: Sequence[Sequence[Entry]] = ()
    dropped_rows: int = 0


class _Pending(NamedTuple):
    """A report on its way, with what has to be told again if it is never taken."""

    report: Report
    stats: RequestStats
    logged_rows: int  # rows of its counts that are in the log, so not counted as lost yet


class Shipper:
    """Writes segments and sends reports. Used by one thread at a time.

    Args:
        project: name of the project.
        replica: name of the replica, for people.
        app: this writer's name, new for every process.
        folder: the project's spool folder.
        sink: where messages go.
        stats: the totals that it tells differences of.
    """

    def __init__(
        self,
        *,
        project: str,
        replica: str,
        app: str,
        folder: Path,
        sink: Sink,
        stats: RequestStats,
    ) -> None:
        self.lost_rows = 0
        """Rows since the start that were taken and are in no log, or in no count."""
        self._project = project
        self._replica = replica
        self._app = app
        self._folder = folder
        self._sink = sink
        self._stats = stats
        self._book = ArmBook()
        self._log_fails = False
        self._told_dropped = 0
        self._told = RequestStats.empty()
        self._pending: deque[_Pending] = deque()
        self._epoch = time.time_ns()
        self._reports = 0
        self._sequences: Counter[int] = Counter()  # by model version
        self._segment = 0

    def ship(self, taken: Taken) -> Iterator[None]:
        """Compare a canary's rows with the champion's answers, write the segment, send the report;
        step by step."""
        for entries in taken.compared:
            yield from self._compare(entries)
        self._book.add(taken.arms)
        logged = taken.whole_rows if self._spool(taken) else 0
        yield
        self._report(taken, logged)
        self._send()

    def _compare(self, entries: Sequence[Entry]) -> Iterator[None]:
        try:
            yield from self._book.compare(entries)
        except Exception:
            log.exception("%d requests of a canary were not compared", len(entries))

    def _spool(self, taken: Taken) -> bool:
        """Write the segment; False if its rows are lost."""
        if not taken.tables:
            return True
        self._segment += 1
        name = segment_name("predictions", self._app, self._segment)
        try:
            write_segment(self._folder / name, taken.tables)
        except Exception:
            # A full disk, above all: predictions keep working, the log has a counted hole.
            if not self._log_fails:
                log.exception(HOLE)
            self._log_fails = True
            self.lost_rows += taken.whole_rows
            return False
        self._log_fails = False
        return True

    def _message(self, found: Counted) -> CountsMessage:
        version = found.arm.version
        seq = self._sequences[version]
        self._sequences[version] += 1
        return CountsMessage(
            version=version,
            replica=self._replica,
            epoch=self._epoch,
            seq=seq,
            n_rows=found.n_rows,
            counts=found.counts,
            ended_s=found.ended_s,
            busy_s=found.busy_s,
        )

    def _report(self, taken: Taken, logged_rows: int) -> None:
        totals = self._stats.copy()
        stats = totals.minus(self._told)
        dropped = taken.dropped_rows + self.lost_rows - self._told_dropped
        arms = self._book.tell()
        if not (taken.counted or stats.statuses or dropped or arms):
            return
        report = Report(
            project=self._project,
            replica=self._replica,
            epoch=self._epoch,
            seq=self._reports,
            counts=tuple(self._message(each) for each in taken.counted),
            requests=stats.to_dict(),
            dropped_rows=dropped,
            arms=tuple(arms),
        )
        self._reports += 1
        self._told_dropped += dropped
        self._told = totals
        if len(self._pending) >= _MAX_PENDING:
            self._take_back(self._pending.popleft())
        self._pending.append(_Pending(report, stats, logged_rows if taken.counted else 0))

    def _take_back(self, gone: _Pending) -> None:
        """Its rows are in no count any more; its totals are told again."""
        self.lost_rows += gone.logged_rows
        self._told_dropped -= gone.report.dropped_rows
        self._told = self._told.minus(gone.stats)
        self._book.add(gone.report.arms)

    def _send(self) -> None:
        while self._pending:
            try:
                self._sink(self._pending[0].report)
            except (UserError, ArtifactError):
                log.exception("the aggregator refuses a report")
                self._take_back(self._pending.popleft())
                continue
            except Exception:  # noqa: BLE001 (the aggregator is away, however it says so: keep it)
                return
            self._pending.popleft()
