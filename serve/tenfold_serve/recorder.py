"""What the endpoint saw: copied into blocks as it is answered, counted and spooled in between.

The request copies its row into the block of its model (`Recorder.offer`, 1 us; with the split, the
id and the totals 6 us for a one-row request, budget 12: ``make bench-hotpath``). The event loop
takes the blocks between requests, counts their rows into the frozen bins and makes Arrow tables of
them; every second a thread writes one segment for the committer and sends one report to the
aggregator (`tenfold_serve.shipping`). What waits is bounded: what does not fit is dropped and
**counted**, never waited for.

In steps, since a request that comes meanwhile waits until one ends, and on the event loop, though
that is what answers: a thread has to be given the interpreter, and a kernel that finds the other
core busy puts it to sleep while it holds it, so that for a quarter of a millisecond's work all
requests waited two. Measured behind HAProxy at 2,435 requests/s on two cores, open loop, ten turns
each, interleaved: slower than 5 ms were 0.5 % of the requests (median of the turns) without a
recorder, 3.5 % with one whose thread counted, 2.3 % with the same steps on the loop; half of the
rest is the aggregator's and the committer's, which share the cores. With blocks filled by requests
it was 0.6 to 1.2 %, another hour. Nor does it help to let a thread be interrupted sooner
(``sys.setswitchinterval``): a request gives the interpreter away several times, to ONNX and to the
system, and waits for it each time.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pyarrow as pa

from tenfold_serve.answers import Answers, Block, Entry, LoggedArm, kept_columns
from tenfold_serve.arm_counts import ArmBook
from tenfold_serve.flight import Flight
from tenfold_serve.prediction_log import table_steps
from tenfold_serve.shipping import HOLE, Counted, RequestStats, Shipper, Sink, Taken

__all__ = ["Recorder"]

log = logging.getLogger("tenfold.serve")

_MAX_REQUESTS: Final = 20_000
_MAX_ROWS: Final = 200_000
"""That wait to be taken. Some 60 MB of a 30-column table: what a second of the highest measured
load needs, ten times."""
_MAX_BYTES: Final = 64 * 2**20
"""Of the bodies whose rows wait, where these are kept (`kept_columns`): one may have megabytes."""
_TICK_S: Final = 1.0
_BLOCK_ROWS: Final = 1024
"""A block has room for at least so many rows. Of one model it is taken in some six steps."""
_BACKLOG_BLOCKS: Final = 16
_MAX_BLOCK_ROWS: Final = 4096
"""Beside a backlog a new block has room for a share of what waits, up to this: much of a block's
time is the same however many rows it has, so at 30,000 rows/s small ones came later and later."""
_CELLS_AT_ONCE: Final = 20_000
"""Rows times columns that are counted in a step, half a millisecond."""
_MAX_COMPARED: Final = 2_000
"""Requests a second that are kept for the comparison with the champion, which takes far fewer."""
_BREATH_S: Final = 0.005
"""Between two steps, for requests that wait."""
_SHARE: Final = 0.15
"""Of the time that large requests make a step come late: else the loop would take one step a turn,
however many rows a turn answers."""
_PATIENCE_S: Final = 60.0
"""The thread asks again after so long: a loop that does not answer by then answers no request."""


class Recorder:
    """The recorder of one replica. One event loop offers and tells what failed; `flush` and `close`
    are called from any thread when nobody offers any more.

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
        self._shipper = Shipper(
            project=project, replica=replica, app=app, folder=folder, sink=sink, stats=self.stats
        )
        self._filling: dict[int, Block] = {}  # by identity of the model
        self._full: deque[Block] = deque()
        self._rows_in = 0
        self._rows_taken = 0
        self._bytes_waiting = 0
        self._dropped_bytes = 0  # of the newest request, where it was dropped
        self._requests_waiting = 0
        self._lost_rows = 0
        self._part: Iterator[None] | None = None  # the block that is being taken
        self._tables: list[pa.Table] = []  # this and the next five: since the last `_taken`
        self._held_rows = 0
        self._held_bytes = 0
        self._whole_rows = 0
        self._counted: dict[int, Counted] = {}  # by model version
        self._compared: list[Sequence[Entry]] = []
        self._untabled: set[int] = set()  # model versions whose rows cannot be told, said once
        self._asked = False  # the thread waits for what was taken
        self._left = 0  # blocks that are taken before it gets it
        self._stepping = False
        self._due = 0.0  # when the next step was to come
        self._closed = False
        self._lock = threading.Lock()  # one step at a time; the loop finds it free until the end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handed: queue.SimpleQueue[Taken | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Start the background thread."""
        self._thread.start()

    def offer(self, entry: Entry) -> None:
        """Keep an answered request for the background; never blocks, never raises."""
        n_rows = len(entry.ids)
        waiting = self._rows_in - self._rows_taken + n_rows
        block = self._filling.get(id(entry.arm))
        keeps = kept_columns(entry.arm) if block is None else block.keeps
        n_bytes = entry.n_bytes if keeps or entry.beside is not None else 0
        if not self._has_room(n_rows, n_bytes):
            self._lost_rows += n_rows
            self._dropped_bytes = n_bytes
            return
        try:
            if block is None or block.n_rows + n_rows > block.capacity:
                block = self._next_block(entry, block, waiting)
            block.add(entry)
        except Exception:
            log.exception("a request is in no count and no log")
            self._lost_rows += n_rows
            return
        block.n_bytes += n_bytes
        self._rows_in += n_rows
        self._bytes_waiting += n_bytes
        self._dropped_bytes = 0
        self._requests_waiting += 1

    def failed(
        self, arm: LoggedArm, error: Exception, seconds: float, *, refused: bool = False
    ) -> None:
        """Count a request that a model did not answer, see `ArmBook.failed`; never blocks.

        While answers are dropped, failures are, too: else overload would raise their share.
        """
        if self._has_room(1, self._dropped_bytes):
            self.arms.failed(arm, error, seconds, refused=refused, at=self._rows_in)

    def _has_room(self, n_rows: int, n_bytes: int) -> bool:
        return (
            self._requests_waiting < _MAX_REQUESTS
            and self._rows_in - self._rows_taken + n_rows <= _MAX_ROWS
            and (not self._bytes_waiting or self._bytes_waiting + n_bytes <= _MAX_BYTES)
        )

    @property
    def dropped_rows(self) -> int:
        """Rows that were answered and are in no count or log, since the start."""
        return self._lost_rows + self._shipper.lost_rows

    def flush(self) -> None:
        """Count, send and spool what waits; for tests and for the end."""
        with self._lock:
            taken = self._take_all()
        self._ship_at_once(taken)

    def close(self) -> None:
        """Stop the thread and flush, unless the thread waits for a disk that does not answer."""
        self._stop.set()
        self._handed.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        with self._lock:
            self._closed = True
        self.flight.close()
        if self._thread.is_alive():
            log.error("what was answered last is in no count and no log: nobody takes a report")
            return
        with suppress(queue.Empty):
            while True:  # what was handed to a thread that had gone
                taken = self._handed.get_nowait()
                if taken is not None:
                    self._ship_at_once(taken)
        self.flush()

    def _ship_at_once(self, taken: Taken) -> None:
        for _ in self._shipper.ship(taken):
            pass

    # The thread.

    def _run(self) -> None:
        while not self._stop.wait(_TICK_S):
            try:
                taken = self._ask()
                if taken is None:
                    return
                for _ in self._shipper.ship(taken):
                    self._stop.wait(_BREATH_S)
            except Exception:  # whatever it is, the next round is tried
                log.exception("a round of the recorder failed")

    def _ask(self) -> Taken | None:
        """What the loop took; None where the recorder is closed meanwhile."""
        with self._lock:
            if self._loop is None:  # nothing was answered yet
                return self._taken()
        with suppress(RuntimeError):  # the loop is closed: `close` comes
            self._loop.call_soon_threadsafe(self._hear)
        return self._handed.get(timeout=_PATIENCE_S)

    # The event loop.

    def _next_block(self, entry: Entry, full: Block | None, waiting: int) -> Block:
        if self._loop is None:
            with suppress(RuntimeError):  # offered outside of one: all waits for `flush`
                self._loop = asyncio.get_running_loop()
        share = min(waiting // _BACKLOG_BLOCKS, _MAX_BLOCK_ROWS)
        capacity = max(_BLOCK_ROWS, share, len(entry.ids))
        block = Block(entry, capacity=capacity, first=self._rows_in)
        self._filling[id(entry.arm)] = block
        if full is not None:
            self._full.append(full)
            self._go_on()
        return block

    def _hear(self) -> None:
        """The thread asks: it gets what there is, or beside a backlog what was counted of it."""
        self._asked = True
        behind = bool(self._full)
        self._close_blocks()  # also then, or a canary's few rows would wait until it has many
        self._left = 0 if behind else len(self._full)
        self._go_on()

    def _go_on(self) -> None:
        if self._loop is not None and not self._stepping and self._thread.is_alive():
            self._due = time.perf_counter()
            self._loop.call_soon(self._step)
            self._stepping = True

    def _step(self) -> None:
        began, more = time.perf_counter(), False
        until = began + _SHARE * (began - self._due)
        try:
            with self._lock:
                more = not self._closed and self._advance()
                while more and time.perf_counter() < until:
                    more = self._advance()
        finally:
            self._stepping = more
            if more and self._loop is not None:
                self._due = time.perf_counter() + _BREATH_S
                self._loop.call_later(_BREATH_S, self._step)

    def _advance(self) -> bool:
        """One step; whether there is another."""
        try:
            if self._part is None:
                if self._asked and not self._left:
                    self._handed.put(self._taken())
                    self._asked = False
                much = self._held_rows > _MAX_ROWS or self._held_bytes > _MAX_BYTES
                if not self._full or (much and not self._asked):
                    return False  # the thread is slow: what waits fills up, and is dropped then
                self._left = max(0, self._left - 1)
                self._part = self._take(self._full.popleft())
            if next(self._part, self) is self:
                self._part = None
        except Exception:  # whatever it is, the next block is tried
            log.exception("a step of the recorder failed")
            self._part = None
        return True

    # One step at a time.

    def _close_blocks(self) -> None:
        filled, self._filling = self._filling, {}
        self._full.extend(filled.values())

    def _take_all(self) -> Taken:
        self._close_blocks()
        self._left = 0
        for _ in self._part or ():
            pass
        self._part = None
        while self._full:
            for _ in self._take(self._full.popleft()):
                pass
        return self._taken()

    def _taken(self) -> Taken:
        """All since the last call. What failed is told if all that was answered before it is."""
        untaken = [block.first for block in (*self._full, *self._filling.values())]
        taken = Taken(
            self._tables,
            list(self._counted.values()),
            self._whole_rows,
            self.arms.tell(until=min(untaken, default=self._rows_in)),
            self._compared,
            self._lost_rows,
        )
        self._tables, self._counted, self._compared = [], {}, []
        self._held_rows = self._held_bytes = self._whole_rows = 0
        return taken

    def _take(self, block: Block) -> Iterator[None]:
        """Table and counts of a block, step by step. Whatever fails costs its rows, counted, and no
        more."""
        self._rows_taken += block.n_rows
        self._held_rows += block.n_rows
        self._bytes_waiting -= block.n_bytes
        self._held_bytes += block.n_bytes
        self._requests_waiting -= block.n_requests
        whole = False
        try:
            answers = block.answers()
            self._count_by_arm(answers)
            yield
            table = yield from self._table(answers)
            yield
            counted = yield from self._count(answers)
            if table is not None:
                self._tables.append(table)
            whole = table is not None and counted
        except Exception:
            log.exception("a block of the recorder failed")
        finally:
            if whole:
                self._whole_rows += block.n_rows
            else:
                self._lost_rows += block.n_rows

    def _count_by_arm(self, answers: Answers) -> None:
        try:
            self.arms.take(answers)
        except Exception:
            log.exception("%d requests were not counted by arm", len(answers.sizes))
        room = _MAX_COMPARED - sum(map(len, self._compared))
        if answers.compared and room > 0:
            self._compared.append(answers.compared[:room])

    def _table(self, answers: Answers) -> Generator[None, None, pa.Table | None]:
        """The rows for the log; None if they cannot be told."""
        version = answers.arm.version
        try:
            table = yield from table_steps(answers, replica=self.replica)
        except Exception:
            if version not in self._untabled:
                log.exception(HOLE)
            self._untabled.add(version)
            return None
        self._untabled.discard(version)
        return table

    def _count(self, answers: Answers) -> Generator[None, None, bool]:
        """Count the rows into the frozen bins of their model."""
        n_rows, n_columns = answers.codes.shape
        at_once = max(1, _CELLS_AT_ONCE // max(1, n_columns))
        ended_s, found = float(answers.at_ms.max()) / 1000, None
        try:
            for start in range(0, n_rows, at_once):
                began = time.perf_counter()
                rows = slice(start, start + at_once)
                counts = answers.arm.count(answers.codes[rows], answers.scores[rows])
                busy_s = time.perf_counter() - began
                part = Counted(answers.arm, len(answers.codes[rows]), counts, ended_s, busy_s)
                if found is None:
                    found = part
                else:
                    found.add(part)
                yield
        except Exception:
            log.exception("%d rows were not counted", n_rows)
            return False
        if found is not None:
            before = self._counted.setdefault(answers.arm.version, found)
            if before is not found:
                before.add(found)
        return True
