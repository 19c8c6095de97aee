"""Every committed row reaches the monitor once, whatever fails between the table and it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from tenfold.errors import ClusterError, DataError, StoreError
from tenfold.live import log_tables
from tenfold.monitor import Label
from tenfold.settings import Settings
from tenfold_serve.aggregator import Aggregator
from tenfold_serve.committer import Committer
from tenfold_serve.feeder import Feeder
from tenfold_serve.logged import LoggedPredictions
from tenfold_serve.prediction_log import write_segment
from tenfold_serve.spool import frame, segment_name, segments, spool_folder
from tests.tenfold_serve.support import Publish, segment_tables
from tests.tenfold_serve.test_recorder import entry

N_ROWS = 40


class Flaky(Aggregator):
    """An aggregator that is away when it is told to be, before or after it has done its work."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.before: list[Exception] = []
        self.after: list[Exception] = []

    def feed(
        self, project: str, predictions: LoggedPredictions, labels: Sequence[Label]
    ) -> dict[str, int]:
        if self.before:
            raise self.before.pop(0)
        statuses = super().feed(project, predictions, labels)
        if self.after:
            raise self.after.pop(0)
        return statuses


class Scene:
    def __init__(self, settings: Settings, publish: Publish) -> None:
        self.settings = settings
        self.rows = entry(publish, N_ROWS)
        self.reader = Flaky(settings)
        self.feeder = self.make()
        self.number = 0

    def make(self, **more: Any) -> Feeder:
        committer = Committer(self.settings.live, "mixed")
        return Feeder("mixed", committer=committer, reader=self.reader, **more)

    @property
    def spool(self) -> Path:
        return spool_folder(self.settings.live, "mixed")

    def answer(self, first: int, n_rows: int) -> None:
        self.number += 1
        part = slice(first, first + n_rows)
        ids, rows = self.rows.ids[part], self.rows.rows[part]
        entries = [
            self.rows._replace(
                ids=ids, rows=rows, codes=self.rows.codes[part], scores=self.rows.scores[part],
                values=self.rows.values[part],
            )
        ]  # fmt: skip
        name = segment_name("predictions", "a.1", self.number)
        write_segment(self.spool / name, segment_tables(entries, replica="r"))

    def label(self, first: int, n_rows: int) -> None:
        self.number += 1
        moment = "2023-11-14T22:14:00+00:00"
        said = {"label": "yes", "observed_at": moment, "received_at": moment, "source": "t"}
        ids = self.rows.ids[first : first + n_rows]
        body = b"".join(frame(orjson.dumps({"id": one, **said})) for one in ids)
        (self.spool / segment_name("labels", "a.1", self.number)).write_bytes(body)

    def judged(self) -> int:
        """Labels that became evidence of version 1."""
        return int(self.reader.snapshot("mixed")["models"]["1"]["labels"])


@pytest.fixture
def scene(settings: Settings, publish: Publish) -> Scene:
    return Scene(settings, publish)


def test_rows_are_fed_as_they_are_committed(scene: Scene) -> None:
    scene.answer(0, N_ROWS)
    scene.label(0, 30)
    scene.feeder.step()
    scene.feeder.step()
    assert scene.judged() == 30
    assert scene.feeder.status() == {
        "labels": {"accepted": 30}, "unfed_rows": 0, "unfed_lost_rows": 0, "damaged_segments": 0,
    }  # fmt: skip


@pytest.mark.parametrize("done", [False, True])
def test_what_was_committed_while_the_aggregator_was_away_is_fed_later(
    scene: Scene, done: bool
) -> None:
    """Also when it did the work and only its answer was late: then nothing counts twice."""
    failures = scene.reader.after if done else scene.reader.before
    failures += [ClusterError("the aggregator is away")] * 2
    scene.answer(0, N_ROWS)
    scene.label(0, 30)
    for waiting in (N_ROWS + 30, N_ROWS + 35):
        with pytest.raises(ClusterError):
            scene.feeder.step()
        assert segments(scene.spool, "labels") == []
        if not done:
            assert scene.feeder.status()["unfed_rows"] == waiting
        if waiting == N_ROWS + 30:
            scene.label(30, 5)
    scene.feeder.step()
    assert scene.judged() == 35
    assert scene.feeder.status()["unfed_rows"] == 0


def test_a_labels_table_in_the_way_delays_labels_and_no_predictions(scene: Scene) -> None:
    scene.answer(0, 10)
    scene.label(0, 10)
    scene.feeder.step()
    table = log_tables(scene.settings.live, "mixed")[1]
    aside = table.rename(table.with_name("aside"))
    table.write_text("in the way")
    scene.answer(10, 30)
    scene.label(10, 20)
    with pytest.raises(StoreError):
        scene.feeder.step()
    assert scene.reader.snapshot("mixed")["indexed_predictions"] == N_ROWS
    assert scene.judged() == 10
    table.unlink()
    aside.rename(table)
    scene.feeder.step()
    assert scene.judged() == 30


def test_a_restarted_aggregator_judges_what_it_had_not_taken_and_nothing_twice(
    scene: Scene,
) -> None:
    scene.answer(0, 20)
    scene.label(0, 22)  # two of them overtake their predictions
    scene.feeder.step()
    scene.reader.before = [ClusterError("killed")]
    scene.answer(20, 20)
    scene.label(22, 8)
    with pytest.raises(ClusterError):
        scene.feeder.step()
    scene.reader = Flaky(scene.settings)
    scene.feeder._reader = scene.reader
    scene.feeder.step()
    assert scene.judged() == 30
    assert scene.feeder.status()["labels"] == {"accepted": 30, "unknown": 2}


def test_rows_that_the_monitor_will_never_take_do_not_stop_the_next(scene: Scene) -> None:
    scene.reader.before = [DataError("no such rows")]
    scene.answer(0, N_ROWS)
    scene.feeder.step()
    assert scene.feeder.status()["unfed_lost_rows"] == N_ROWS
    scene.answer(0, N_ROWS)
    scene.label(0, 30)
    scene.feeder.step()
    assert scene.judged() == 30


def test_what_waits_is_bounded_and_its_losses_are_counted(scene: Scene) -> None:
    scene.feeder = scene.make(max_waiting_rows=25)
    scene.reader.before = [ClusterError("away")] * 3
    for first in (0, 10, 20):
        scene.answer(first, 10)
        with pytest.raises(ClusterError):
            scene.feeder.step()
    status = scene.feeder.status()
    assert (status["unfed_rows"], status["unfed_lost_rows"]) == (20, 10)


def test_damaged_segments_are_told(scene: Scene) -> None:
    scene.answer(0, 1)
    scene.label(0, 2)
    (path,) = (segment.path for segment in segments(scene.spool, "labels"))
    path.write_bytes(path.read_bytes()[:-1])
    scene.feeder.step()
    assert scene.feeder.status()["damaged_segments"] == 1
    assert scene.judged() == 1
