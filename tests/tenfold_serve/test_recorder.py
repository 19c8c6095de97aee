from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from tenfold.data import clean_table
from tenfold.errors import ArtifactError, DataError
from tenfold.features.columnpath import Columns
from tenfold.monitor.arms import ArmTotals
from tenfold.schema import Kind, Schema
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold_serve import recorder as module
from tenfold_serve import shipping
from tenfold_serve.answers import Entry, LoggedArm
from tenfold_serve.prediction_log import META_FIELDS
from tenfold_serve.recorder import Recorder
from tenfold_serve.shipping import Report, RequestStats
from tenfold_serve.spool import segments
from tests.tenfold_serve.support import Publish, board_with


@dataclass
class _Other:
    """A model that answers like another and has a schema of its own."""

    model: LoggedArm
    schema: Schema
    broken: bool = False

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def version(self) -> int:
        return self.model.version

    @property
    def digest(self) -> str:
        return self.model.digest

    def count(self, codes: Any, scores: Any) -> Any:
        if self.broken:
            raise RuntimeError("no bins")
        return self.model.count(codes, scores)


class Ear:
    """A sink that may be deaf for a while."""

    def __init__(self) -> None:
        self.heard: list[Report] = []
        self.deaf = False
        self.refuses: list[Exception] = []

    def __call__(self, report: Report) -> None:
        if self.deaf:
            raise ConnectionError("away")
        if self.refuses:
            raise self.refuses.pop(0)
        self.heard.append(report)


async def await_report(ear: Ear, n_reports: int) -> None:
    deadline = time.monotonic() + 10
    while len(ear.heard) < n_reports and time.monotonic() < deadline:
        await asyncio.sleep(0.01)


def make(folder: Path, ear: Ear) -> Recorder:
    return Recorder(project="mixed", replica="r", app="r.1", folder=folder, sink=ear)


def entry(publish: Publish, n_rows: int = 20, *, seed: int = 0) -> Entry:
    arm = board_with(publish(seed)).lineup.arms[0]
    rows = json_rows(mixed_schema(), mixed_table(n_rows))
    rows[0]["color"] = "ultraviolet"
    codes = arm.encoder.encode_rows(rows)
    answer = arm.predictor.predict_codes(codes)
    ids = [f"id{k}" for k in range(n_rows)]
    return Entry(ids, rows, codes, answer.scores, answer.values, arm, 1_700_000_000_000)


def test_rows_are_counted_once_and_logged_as_they_came(tmp_path: Path, publish: Publish) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    one = entry(publish)
    recorder.offer(one)
    recorder.offer(one)
    recorder.flush()
    recorder.flush()
    (report,) = ear.heard
    (counts,) = report.counts
    assert (counts.version, counts.n_rows, counts.seq) == (1, 40, 0)
    assert counts.counts.tolist() == (2 * one.arm.count(one.codes, one.scores)).tolist()
    (segment,) = segments(tmp_path, "predictions")
    with pa.OSFile(str(segment.path), "rb") as file:
        table = pa.ipc.open_file(file).read_all()
    features = [column.name for column in mixed_schema().features]
    assert table.column_names == [*(field.name for field in META_FIELDS), *features]
    assert table.column("color")[0].as_py() == "ultraviolet"
    read, _problems = clean_table(table, mixed_schema())
    kept, sent = read.select(features).slice(1, 19), mixed_table(20).select(features).slice(1, 19)
    assert kept.equals(sent)
    assert table.column("__value").to_pylist()[:20] == list(one.values)


def test_a_deaf_aggregator_hears_everything_later_in_order(
    tmp_path: Path, publish: Publish
) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    ear.deaf = True
    one = entry(publish)
    for _ in range(3):
        recorder.offer(one)
        recorder.flush()
    ear.deaf = False
    recorder.flush()
    assert [report.seq for report in ear.heard] == [0, 1, 2]
    assert [report.counts[0].seq for report in ear.heard] == [0, 1, 2]


def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path, publish: Publish) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    one = entry(publish, 1)
    for _ in range(module._MAX_REQUESTS + 3):
        recorder.offer(one)
    assert recorder.dropped_rows == 3
    recorder.flush()
    assert ear.heard[-1].dropped_rows == 3
    recorder.stats.add(200, 0.001)
    recorder.flush()
    assert ear.heard[-1].dropped_rows == 0


def test_what_waits_is_bounded_by_its_bytes_where_rows_are_kept(
    tmp_path: Path, publish: Publish
) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    one = entry(publish, 1)._replace(n_bytes=module._MAX_BYTES // 4)
    for _ in range(7):
        recorder.offer(one)
    assert recorder.dropped_rows == 3
    recorder.failed(one.arm, RuntimeError(), 0.001)  # of as large a request, as likely as not
    recorder.flush()
    assert (ear.heard[-1].counts[0].n_rows, ear.heard[-1].dropped_rows) == (4, 3)
    assert [ArmTotals.from_dict(told).failed for told in ear.heard[-1].arms] == [0]
    recorder.failed(one.arm, RuntimeError(), 0.001)
    recorder.flush()
    assert [ArmTotals.from_dict(told).failed for told in ear.heard[-1].arms] == [1]
    recorder.offer(one._replace(n_bytes=2 * module._MAX_BYTES))  # alone it may be as large
    recorder.offer(one._replace(n_bytes=0))
    assert recorder.dropped_rows == 4
    recorder.flush()
    assert ear.heard[-1].counts[0].n_rows == 1
    recorder.offer(one)
    assert recorder.dropped_rows == 4


def test_of_a_large_row_only_what_the_log_takes_is_kept(tmp_path: Path, publish: Publish) -> None:
    recorder = make(tmp_path, Ear())
    one = entry(publish, 2)
    rows = [{**row, "more": ["x"] * 1000} for row in cast("list[dict[str, Any]]", one.rows)]
    columns = Columns({name: [row[name] for row in rows] for name in rows[0]}, 2)
    for sent in (rows, columns):
        recorder.offer(one._replace(rows=sent, n_bytes=10_000))
    (block,) = recorder._filling.values()
    for kept in block.answers().rows:
        names = set(kept.cells) if isinstance(kept, Columns) else set(kept[0])
        assert names == set(block.keeps) == {"color", "city"}
    recorder.flush()
    (segment,) = segments(tmp_path, "predictions")
    with pa.OSFile(str(segment.path), "rb") as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.column("color").to_pylist() == [row["color"] for row in rows] * 2


def test_a_full_disk_costs_the_log_and_says_so(tmp_path: Path, publish: Publish) -> None:
    ear = Ear()
    (tmp_path / "file").touch()
    recorder = make(tmp_path / "file", ear)
    recorder.offer(entry(publish))
    recorder.flush()
    assert ear.heard[0].counts[0].n_rows == 20
    assert recorder.dropped_rows == 20


def test_two_models_get_two_messages(tmp_path: Path, publish: Publish) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    recorder.offer(entry(publish, seed=0))
    recorder.offer(entry(publish, seed=1))
    recorder.flush()
    assert sorted(counts.version for counts in ear.heard[0].counts) == [1, 2]


def test_the_thread_ships_by_itself_and_close_ships_the_rest(
    tmp_path: Path, publish: Publish
) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)

    async def answer() -> None:
        recorder.start()
        recorder.offer(entry(publish))
        await await_report(ear, 1)

    asyncio.run(answer())
    assert len(ear.heard) == 1
    recorder.stats.add(500, 0.2)
    recorder.close()
    assert ear.heard[-1].requests["statuses"] == {"500": 1}


def test_what_fails_before_anything_was_answered_is_told(tmp_path: Path, publish: Publish) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    arm = entry(publish).arm

    async def fail() -> None:
        recorder.start()
        recorder.failed(arm, RuntimeError("no such leaf"), 0.001)
        await await_report(ear, 1)

    asyncio.run(fail())
    recorder.close()
    (report,) = ear.heard
    assert [each["failures"] for each in report.arms] == [{"error": 1}]


def test_a_backlog_is_taken_with_breaths_and_reported_meanwhile(
    tmp_path: Path, publish: Publish
) -> None:
    """As much waits as may when the thread starts, and goes on to until a second report is heard:
    what nobody has got to yet waits for no one, and is told of, too."""
    ear = Ear()
    recorder = make(tmp_path, ear)
    one = entry(publish, 10)

    async def answer() -> int:
        n_requests = module._MAX_ROWS // 10
        for _ in range(n_requests):
            recorder.offer(one)
        recorder.start()
        deadline = time.monotonic() + 60
        while len(ear.heard) <= 1:
            assert time.monotonic() < deadline, "nothing is reported beside a backlog"
            while recorder._rows_in - recorder._rows_taken <= module._MAX_ROWS - 10:
                recorder.offer(one)
                n_requests += 1
            await asyncio.sleep(0.01)
        while sum(m.n_rows for report in ear.heard for m in report.counts) < 10 * n_requests:
            assert time.monotonic() < deadline, "the backlog is not taken"
            await asyncio.sleep(0.01)
        return n_requests

    n_requests = asyncio.run(answer())
    recorder.close()
    assert len(ear.heard) > 1
    assert recorder.dropped_rows == 0
    logged = sum(
        pa.ipc.open_file(s.path).read_all().num_rows for s in segments(tmp_path, "predictions")
    )
    assert logged == 10 * n_requests


def test_beside_a_backlog_a_canary_and_failures_are_told_each_second(
    tmp_path: Path, publish: Publish
) -> None:
    """The champion's blocks fill faster than they are taken; the canary answers now and then."""
    ear = Ear()
    recorder = make(tmp_path, ear)
    one, canary = entry(publish, 100), entry(publish, 1, seed=1)
    broken = RuntimeError("no such leaf")

    async def answer() -> None:
        recorder.start()
        deadline = time.monotonic() + 30
        told = 0
        while told < 3:
            assert time.monotonic() < deadline, "the canary is not told of beside a backlog"
            while recorder._rows_in - recorder._rows_taken < module._MAX_ROWS // 2:
                recorder.offer(one)
            recorder.offer(canary)
            recorder.failed(canary.arm, broken, 0.001)
            await asyncio.sleep(0.01)
            told = sum(
                any(a["version"] == 2 and a["requests"] and a["failures"] for a in report.arms)
                for report in ear.heard
            )
            assert len(recorder._full) > 1  # there is a backlog all the time

    asyncio.run(answer())
    recorder.close()
    assert recorder.dropped_rows == 0


def test_requests_of_many_rows_do_not_outrun_the_recorder(tmp_path: Path, publish: Publish) -> None:
    """Turns of the loop that answer 16,000 rows each, 80,000 a second."""
    recorder = make(tmp_path, Ear())
    one = entry(publish, 1000)

    async def answer() -> None:
        recorder.start()
        for _ in range(50):
            for _ in range(16):
                recorder.offer(one)
            time.sleep(0.2)  # scoring them takes the loop that long
            await asyncio.sleep(0)

    asyncio.run(answer())
    recorder.close()
    assert recorder.dropped_rows == 0


@pytest.mark.parametrize("countless", [False, True])
def test_beside_a_thread_that_waits_rows_are_dropped_and_counted(
    tmp_path: Path, publish: Publish, countless: bool
) -> None:
    """What is taken for it and what waits to be taken are bounded alike, whatever became of it."""
    ear, held, go = Ear(), threading.Event(), threading.Event()

    def sink(report: Report) -> None:
        held.set()
        go.wait(60)
        ear(report)

    recorder = Recorder(project="mixed", replica="r", app="r.1", folder=tmp_path, sink=sink)
    one = entry(publish, 1000)
    if countless:
        one = one._replace(arm=_Other(one.arm, one.arm.schema, broken=True))

    async def answer() -> tuple[int, int]:
        recorder.start()
        recorder.offer(one)
        assert await asyncio.to_thread(held.wait, 10)
        n_requests, deadline = 1, time.monotonic() + 60
        while recorder._held_rows <= module._MAX_ROWS:
            assert time.monotonic() < deadline, "not even what may be taken is"
            if recorder._rows_in == recorder._rows_taken + len(one.ids):  # one fills, none waits
                recorder.offer(one)
                n_requests += 1
            await asyncio.sleep(0)
            if not recorder._stepping and recorder._rows_in == recorder._rows_taken:
                recorder.offer(one)
                n_requests += 1
        taken = recorder._held_rows
        for _ in range(module._MAX_ROWS // 1000 + 5):
            recorder.offer(one)
            n_requests += 1
            await asyncio.sleep(0.001)
        assert recorder._held_rows == taken  # no more is taken
        go.set()
        return n_requests, taken

    n_requests, taken = asyncio.run(answer())
    assert module._MAX_ROWS < taken <= module._MAX_ROWS + 4096
    recorder.close()
    counted = sum(m.n_rows for report in ear.heard for m in report.counts)
    assert counted + recorder.dropped_rows == 1000 * n_requests
    assert (counted == 0) is countless
    assert sum(report.dropped_rows for report in ear.heard) == recorder.dropped_rows


def test_what_fails_in_a_block_or_beside_it_is_counted_once(
    tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    one = entry(publish, 4)
    recorder.offer(one)

    def fails(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(module.Block, "answers", fails)
        recorder.flush()
    assert (recorder.dropped_rows, ear.heard[-1].dropped_rows) == (4, 4)
    with monkeypatch.context() as patched:
        patched.setattr(shipping.ArmBook, "compare", fails)
        recorder.offer(one._replace(beside=one.arm))
        recorder.flush()
    assert ear.heard[-1].counts[0].n_rows == 4
    assert (recorder.dropped_rows, ear.heard[-1].dropped_rows) == (4, 0)


def test_latencies_fall_into_their_cells() -> None:
    stats = RequestStats.empty()
    for seconds in (0.0, 0.001, 0.002, 99.0):
        stats.add(200, seconds)
    found = stats.to_dict()
    assert found["latency_cells"][:2] == [2, 1]
    assert found["latency_cells"][-1] == 1
    assert len(found["latency_cells"]) == len(found["latency_edges_s"]) + 1
    assert np.isclose(found["latency_sum_s"], 99.003)


@pytest.mark.parametrize("error", [DataError("misfit"), ArtifactError("version 1 is damaged")])
def test_a_refused_report_is_counted_and_does_not_hold_up_the_next(
    tmp_path: Path, publish: Publish, error: Exception
) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    ear.refuses = [error]
    recorder.offer(one := entry(publish))
    recorder.stats.add(200, 0.25)
    recorder.flush()
    assert ear.heard == []
    assert recorder.dropped_rows == 20
    recorder.offer(one)
    recorder.stats.add(200, 0.25)
    recorder.flush()
    (report,) = ear.heard
    assert (report.counts[0].n_rows, report.dropped_rows) == (20, 20)
    assert report.requests["statuses"] == {"200": 2}
    assert report.requests["latency_sum_s"] == 0.5
    assert sum(report.requests["latency_cells"]) == 2


def test_reports_that_the_aggregator_was_away_too_long_for_are_counted(
    tmp_path: Path, publish: Publish
) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    ear.deaf = True
    one = entry(publish, 2)
    n_rounds = shipping._MAX_PENDING + 7
    for _ in range(n_rounds):
        recorder.offer(one)
        recorder.stats.add(200, 0.25)
        recorder.flush()
    ear.deaf = False
    recorder.flush()
    recorder.flush()
    counted = sum(report.counts[0].n_rows for report in ear.heard if report.counts)
    dropped = sum(report.dropped_rows for report in ear.heard)
    assert (counted, dropped) == (2 * shipping._MAX_PENDING - 2, 2 * 8)
    assert counted + dropped == 2 * n_rounds
    statuses = sum(report.requests["statuses"].get("200", 0) for report in ear.heard)
    assert statuses == n_rounds


def test_rows_that_are_in_no_log_and_in_no_count_are_lost_once(
    tmp_path: Path, publish: Publish
) -> None:
    ear = Ear()
    (tmp_path / "file").touch()
    recorder = make(tmp_path / "file", ear)
    ear.refuses = [DataError("misfit")]
    recorder.offer(entry(publish))
    recorder.flush()
    assert recorder.dropped_rows == 20


def test_a_model_that_cannot_count_costs_its_round_and_not_the_thread(
    tmp_path: Path, publish: Publish
) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    one = entry(publish)
    broken = _Other(one.arm, one.arm.schema, broken=True)

    async def answer() -> None:
        recorder.start()
        recorder.offer(one._replace(arm=broken))
        await await_report(ear, 1)
        recorder.offer(one)
        await await_report(ear, 2)

    asyncio.run(answer())
    assert [report.dropped_rows for report in ear.heard] == [20, 0]
    assert [len(report.counts) for report in ear.heard] == [0, 1]
    recorder.close()


def test_a_request_that_does_not_fit_its_block_costs_nothing_else(
    tmp_path: Path, publish: Publish
) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    one, other = entry(publish, 4), entry(publish, 6, seed=1)
    recorder.offer(one)
    recorder.offer(one._replace(codes=one.codes[:, :-1]))
    recorder.offer(one._replace(scores=np.zeros((3, 2))))
    recorder.offer(one)
    recorder.offer(other)
    recorder.flush()
    (report,) = ear.heard
    assert sorted(counts.n_rows for counts in report.counts) == [6, 8]
    assert report.dropped_rows == recorder.dropped_rows == 8
    assert pa.ipc.open_file(segments(tmp_path, "predictions")[0].path).read_all().num_rows == 14


def test_a_part_is_whole_after_its_steps_also_where_it_is_to_end_between_them(
    tmp_path: Path, publish: Publish
) -> None:
    ear = Ear()
    recorder = make(tmp_path, ear)
    recorder.offer(entry(publish, 5))
    recorder.offer(entry(publish, 7, seed=1))
    recorder._close_blocks()
    assert recorder._advance() and recorder._part is not None  # one step of the first
    assert recorder._taken().counted == []  # nothing of it is told before it is whole
    recorder.flush()
    assert sorted(counts.n_rows for counts in ear.heard[-1].counts) == [5, 7]
    assert recorder.dropped_rows == 0


def test_failures_are_told_with_the_rows_that_were_answered_before_them(
    tmp_path: Path, publish: Publish
) -> None:
    recorder = make(tmp_path, Ear())
    one, other = entry(publish, 4), entry(publish, 6, seed=1)
    recorder.offer(one)
    recorder._close_blocks()
    recorder.failed(one.arm, RuntimeError("after the first"), 0.001)
    recorder.offer(other)
    recorder.failed(one.arm, RuntimeError("after the second"), 0.001)
    while recorder._full or recorder._part:
        recorder._advance()
    first = recorder._taken()  # the second's block is open yet
    assert [each["failures"] for each in first.arms] == [{"error": 1}]
    recorder._close_blocks()
    while recorder._full or recorder._part:
        recorder._advance()
    told = {each["version"]: each for each in recorder._taken().arms}
    assert {v: each["failures"] for v, each in told.items()} == {1: {"error": 1}, 2: {}}


def test_requests_that_end_while_a_report_is_made_are_counted(tmp_path: Path) -> None:
    """The event loop adds while the thread reports: nothing is lost between them."""
    ear = Ear()
    recorder = make(tmp_path, ear)
    done = threading.Event()

    def reports() -> None:
        while not done.is_set():
            recorder.flush()

    thread = threading.Thread(target=reports)
    thread.start()
    for number in range(20_000):
        recorder.stats.add(200 + number % 3, 0.001)
    done.set()
    thread.join()
    recorder.flush()
    found = Counter[str]()
    for report in ear.heard:
        found.update(report.requests["statuses"])
    assert sum(found.values()) == 20_000
    assert sum(sum(report.requests["latency_cells"]) for report in ear.heard) == 20_000


def test_a_column_of_another_kind_costs_nothing(tmp_path: Path, publish: Publish) -> None:
    """Two models may disagree about a column's kind; the rows of one tick are then both there."""
    ear = Ear()
    recorder = make(tmp_path, ear)
    first, second = entry(publish, seed=0), entry(publish, seed=1)
    columns = [
        replace(c, kind=Kind.CATEGORY, domain=()) if c.name == "member" else c
        for c in mixed_schema().columns
    ]
    other = _Other(second.arm, Schema(tuple(columns)))
    rows = [row | {"member": str(row["member"])} for row in second.rows]
    recorder.offer(first)
    recorder.offer(second._replace(arm=other, rows=rows))
    recorder.flush()
    assert sorted(counts.version for counts in ear.heard[0].counts) == [1, 2]
    assert ear.heard[0].dropped_rows == recorder.dropped_rows == 0
    (segment,) = segments(tmp_path, "predictions")
    with pa.OSFile(str(segment.path), "rb") as file:
        assert pa.ipc.open_file(file).read_all().num_rows == 40
