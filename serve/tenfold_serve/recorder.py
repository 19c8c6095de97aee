"""What the endpoint saw: copied off the request's path, counted and spooled in the background.

The request only appends one tuple to a ring (`Recorder.offer`, 0.2 us; with the split, the id and
the totals 5 us for a one-row request, budget 12: ``make bench-hotpath``). A thread takes the rows
in small parts, counts them into the frozen bins and puts them into Arrow tables; every second it
sends one report to the aggregator and writes one segment for the committer. The ring is bounded:
what does not fit is dropped and **counted**, never waited for.

In parts and steps, since the thread and the requests share one interpreter: a request that comes
meanwhile waits until a step ends. Nor does it help to let the thread be interrupted sooner
(``sys.setswitchinterval``): a request gives the interpreter away several times, to ONNX and to the
system, and waits for it each time. Measured at 2,400 requests/s on two cores, open loop, a bare
uvicorn, medians of six turns: the 99th percentile is 1.1 ms without a recorder, 1.5 in steps of
less than 0.6 ms and 2.5 in steps of four times the rows; on a day of slower cores 1.8 without a
recorder, and 4.0 in whole parts of 256 rows, 2.5 ms each.

Messages carry (replica, epoch, seq), counted per model version: the aggregator takes each once, so
a report whose acknowledgement got lost is simply sent again. One that it refuses is not: its rows
are counted as lost, its totals go with the next, and those behind it are heard.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tenfold.errors import ArtifactError, UserError
from tenfold.monitor import CountsMessage
from tenfold_serve.arm_counts import ArmBook
from tenfold_serve.flight import Flight
from tenfold_serve.prediction_log import (
    Answers,
    Entry,
    LoggedArm,
    answers_table,
    by_arm,
    write_segment,
)
from tenfold_serve.spool import segment_name

__all__ = ["Recorder", "Report", "RequestStats", "Sink"]

log = logging.getLogger("tenfold.serve")

_MAX_ENTRIES: Final = 20_000
_MAX_ROWS: Final = 200_000
"""Some 60 MB of a 30-column table: what a second of the highest measured load needs, ten times."""
_MAX_PENDING: Final = 300
"""Messages kept while the aggregator is away: five minutes at one a second."""
_TICK_S: Final = 1.0
_LOOK_S: Final = 0.05
_PART_ROWS: Final = 256
"""A part has at least so many rows, if there are: of one model 1.2 ms in four steps. From some
10,000 rows/s on parts are larger, since each has its breaths."""
_BACKLOG_PARTS: Final = 16
"""What waits is taken in so many parts, if they are larger than that: a third of a part's time is
the same however many rows it has, so at 30,000 rows/s small parts came later and later."""
_BREATH_S: Final = 0.005
"""Between two steps, for requests that wait."""
_HOLE: Final = "answered rows are not in the log; told once until it works again"
_LATENCY_EDGES_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Sink(Protocol):
    """Takes a report to the aggregator. Called from the recorder's thread only.

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


class _Pending(NamedTuple):
    """A report on its way, with what has to be told again if it is never taken."""

    report: Report
    stats: RequestStats
    logged_rows: int  # rows of its counts that are in the log, so not counted as lost yet


@dataclass(slots=True)
class _Open:
    """What was counted of one model since the last report."""

    arm: LoggedArm
    n_rows: int
    counts: npt.NDArray[np.int64]
    ended_s: float
    busy_s: float

    def add(self, other: _Open) -> None:
        """Take in what was counted after it."""
        self.counts = self.counts + other.counts
        self.n_rows += other.n_rows
        self.ended_s = max(self.ended_s, other.ended_s)
        self.busy_s += other.busy_s


class Recorder:
    """The recorder of one replica.

    Args:
        project: name of the project.
        replica: name of the replica, for people.
        app: this writer's name, new for every process; the epoch of its messages.
        folder: the project's spool folder.
        sink: where messages go.
        flight: tells what a canary is doing when the process dies.
    """

    def __init__(
        self,
        *,
        project: str,
        replica: str,
        app: str,
        folder: Path,
        sink: Sink,
        flight: Flight | None = None,
    ) -> None:
        self.project = project
        self.replica = replica
        self.app = app
        self.stats = RequestStats.empty()
        self.arms = ArmBook()
        self.flight = flight or Flight()
        self._folder = folder
        self._sink = sink
        self._ring: deque[Entry] = deque()
        self._rows_in = 0  # written by the event loop only
        self._rows_out = 0  # written by the thread only
        self._dropped = 0  # by the event loop
        self._lost_rows = 0  # by the thread: in no log, or in no count
        self._log_fails = False
        self._told_dropped = 0
        self._told = RequestStats.empty()
        self._pending: deque[_Pending] = deque()
        self._epoch = time.time_ns()
        self._reports = 0
        self._sequences: Counter[int] = Counter()  # by model version
        self._segment = 0
        self._tables: list[pa.Table] = []  # since the last segment
        self._whole_rows = 0  # of them, those that are counted, too
        self._open: dict[int, _Open] = {}  # by model version, since the last report
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Start the background thread."""
        self._thread.start()

    def offer(self, entry: Entry) -> None:
        """Keep an answered request for the background; never blocks, never raises."""
        n_rows = len(entry.ids)
        if len(self._ring) >= _MAX_ENTRIES or self._waiting_rows + n_rows > _MAX_ROWS:
            self._dropped += n_rows
            return
        self._rows_in += n_rows
        self._ring.append(entry)

    def failed(
        self, arm: LoggedArm, error: Exception, seconds: float, *, refused: bool = False
    ) -> None:
        """Count a request that a model did not answer, see `ArmBook.failed`; never blocks.

        While answers are dropped, failures are, too: else overload would raise their share.
        """
        if len(self._ring) < _MAX_ENTRIES and self._waiting_rows < _MAX_ROWS:
            self.arms.failed(arm, error, seconds, refused=refused, at=self._rows_in)

    @property
    def dropped_rows(self) -> int:
        """Rows that were answered and are in no count or log, since the start."""
        return self._dropped + self._lost_rows

    def flush(self) -> None:
        """Count, send and spool what waits; for tests and for the end."""
        self._tick()

    def close(self) -> None:
        """Stop the thread and flush."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self.flight.close()
        self._tick()

    def _run(self) -> None:
        due = time.monotonic() + _TICK_S
        while not self._stop.is_set():
            self._wake.wait(_LOOK_S)
            if self._stop.is_set():
                return
            try:
                while self._waiting_rows >= _PART_ROWS and time.monotonic() < due:
                    self._breathing(max(_PART_ROWS, self._waiting_rows // _BACKLOG_PARTS))
                if time.monotonic() >= due:
                    due = time.monotonic() + _TICK_S
                    if self._waiting_rows < _PART_ROWS:  # more is the next round's, with breaths
                        self._breathing(_PART_ROWS)
                    self._ship()
            except Exception:  # whatever it is, the next round is tried
                log.exception("a round of the recorder failed")

    def _tick(self) -> None:
        """All that is in the ring, then its segment and report."""
        while self._ring:
            for _ in self._take_part(_PART_ROWS):
                pass
        self._ship()

    def _breathing(self, at_least: int) -> None:
        """Take some rows, and leave the interpreter to requests between its steps."""
        for _ in self._take_part(at_least):
            self._wake.wait(_BREATH_S)

    @property
    def _waiting_rows(self) -> int:
        return self._rows_in - self._rows_out

    def _ship(self) -> None:
        """The segment and the report of what was taken."""
        logged = self._whole_rows if self._spool() else 0
        self._whole_rows = 0
        counts = tuple(self._message(each) for each in self._open.values())
        self._open = {}
        self._report(counts, logged)
        self._send()

    def _take_part(self, at_least: int) -> Iterator[None]:
        """Tables and counts of some rows, step by step. Whatever fails costs what one model
        answered of them, counted, and no more."""
        for entries in by_arm(self._drain(at_least)):
            answers = self._answers(entries)
            yield
            if answers is None:
                continue
            yield from self._counted_by_arm(answers)
            table = self._table(answers)
            yield
            counted = self._counted(answers)
            if table is not None:
                self._tables.append(table)
            if table is not None and counted:
                self._whole_rows += len(answers.ids)
            else:
                self._lost_rows += len(answers.ids)
            yield

    def _answers(self, entries: list[Entry]) -> Answers | None:
        """What one model answered, by field; None if its rows are lost."""
        try:
            return Answers.of(entries)
        except Exception:
            log.exception("what answered %d requests is in no count and no log", len(entries))
            self._lost_rows += sum(len(entry.ids) for entry in entries)
            return None

    def _counted_by_arm(self, answers: Answers) -> Iterator[None]:
        """Count requests by arm, and compare a canary's with the champion's answers."""
        try:
            self.arms.take(answers)
            yield
            for _ in self.arms.compare(answers):
                yield
        except Exception:
            log.exception("%d requests were not counted by arm", len(answers.entries))

    def _table(self, answers: Answers) -> pa.Table | None:
        """The rows for the log; None if they cannot be told."""
        try:
            return answers_table(answers, replica=self.replica)
        except Exception:
            if not self._log_fails:
                log.exception(_HOLE)
            self._log_fails = True
            return None

    def _counted(self, answers: Answers) -> bool:
        """Count the rows into the frozen bins of their model."""
        began, n_rows = time.perf_counter(), len(answers.ids)
        try:
            counts = answers.arm.count(answers.codes, answers.scores)
            ended_s = max(entry.at_ms for entry in answers.entries) / 1000
            found = _Open(answers.arm, n_rows, counts, ended_s, time.perf_counter() - began)
            before = self._open.setdefault(answers.arm.version, found)
            if before is not found:
                before.add(found)
        except Exception:
            log.exception("%d rows were not counted", n_rows)
            return False
        return True

    def _drain(self, at_least: int = _MAX_ROWS) -> list[Entry]:
        """The oldest entries, with at least so many rows together where there are so many."""
        entries: list[Entry] = []
        n_rows = 0
        while self._ring and n_rows < at_least:
            entries.append(self._ring.popleft())
            n_rows += len(entries[-1].ids)
        self._rows_out += n_rows
        return entries

    def _spool(self) -> bool:
        """Write the segment; False if its rows are lost."""
        tables, self._tables = self._tables, []
        if not tables:
            return True
        self._segment += 1
        name = segment_name("predictions", self.app, self._segment)
        try:
            write_segment(self._folder / name, tables)
        except Exception:
            # A full disk, above all: predictions keep working, the log has a counted hole.
            if not self._log_fails:
                log.exception(_HOLE)
            self._log_fails = True
            self._lost_rows += self._whole_rows
            return False
        self._log_fails = False
        return True

    def _message(self, found: _Open) -> CountsMessage:
        version = found.arm.version
        seq = self._sequences[version]
        self._sequences[version] += 1
        return CountsMessage(
            version=version,
            replica=self.replica,
            epoch=self._epoch,
            seq=seq,
            n_rows=found.n_rows,
            counts=found.counts,
            ended_s=found.ended_s,
            busy_s=found.busy_s,
        )

    def _report(self, counts: tuple[CountsMessage, ...], logged_rows: int) -> None:
        totals = self.stats.copy()
        stats = totals.minus(self._told)
        dropped = self.dropped_rows - self._told_dropped
        if not counts and not stats.statuses and not dropped:
            return
        report = Report(
            project=self.project,
            replica=self.replica,
            epoch=self._epoch,
            seq=self._reports,
            counts=counts,
            requests=stats.to_dict(),
            dropped_rows=dropped,
            arms=tuple(self.arms.tell(until=self._rows_out)),
        )
        self._reports += 1
        self._told_dropped += dropped
        self._told = totals
        if len(self._pending) >= _MAX_PENDING:
            self._take_back(self._pending.popleft())
        self._pending.append(_Pending(report, stats, logged_rows if counts else 0))

    def _take_back(self, gone: _Pending) -> None:
        """Its rows are in no count any more; its totals are told again."""
        self._lost_rows += gone.logged_rows
        self._told_dropped -= gone.report.dropped_rows
        self._told = self._told.minus(gone.stats)
        self.arms.take_back(gone.report.arms)

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
