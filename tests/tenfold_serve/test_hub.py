"""Counted once, joined in any order, carried over a restart; each version for itself."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenfold.artifact import Manifest, read_artifact
from tenfold.errors import DataError
from tenfold.inference import Predictor
from tenfold.monitor import CountsMessage, Label
from tenfold.monitor.arms import ArmTotals
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold_serve.hub import Hub, WatchedModel
from tenfold_serve.logged import LoggedPredictions
from tenfold_serve.shipping import Report, RequestStats
from tests.tenfold_serve.support import make_artifact

N_ROWS = 20


class Models:
    """The artifacts of three families, made once, with rows counted into their bins."""

    def __init__(self, folder: Path) -> None:
        self.bytes: dict[str, bytes] = {}
        self.manifests: dict[str, Manifest] = {}
        for family in ("boosting", "dummy", "kmeans"):
            make_artifact(folder / family, family=family)
            artifact = read_artifact(folder / family)
            self.manifests[family] = artifact.manifest
            self.bytes[family] = artifact.files["reference.json"]
        predictor = Predictor.load(folder / "boosting")
        codes = predictor.encoder.encode_rows(json_rows(mixed_schema(), mixed_table(N_ROWS)))
        bins = self.watched(1).reference.bins
        self.counts = bins.count(codes, predictor.predict_codes(codes).scores)

    def watched(self, version: int, family: str = "boosting") -> WatchedModel:
        return WatchedModel.from_artifact(
            self.manifests[family], self.bytes[family], version=version
        )

    def hub(self, *versions: int, family: str = "boosting") -> Hub:
        hub = Hub("mixed")
        for version in versions:
            hub.watch(version, self.watched(version, family))
        return hub

    def report(self, seq: int, *versions: int, latency_s: float = 0.002) -> Report:
        stats = RequestStats.empty()
        stats.add(200, latency_s)
        counts = tuple(
            CountsMessage(
                version=version, replica="r", epoch=1, seq=seq, n_rows=N_ROWS,
                counts=self.counts, ended_s=100.0,
            )
            for version in versions
        )  # fmt: skip
        return Report("mixed", "r", 1, seq, counts, stats.to_dict(), dropped_rows=2)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


Row = tuple[str, int, str, tuple[float, ...], float]


def prediction(k: int, *, version: int = 1, value: str = "yes") -> Row:
    return f"id{k}", version, value, (0.3, 0.7), 100.0 + k


def label(k: int, value: str = "yes", *, at: float = 200.0, source: str = "t") -> Label:
    return Label(f"id{k}", value, at, source)


def rows_of(hub: Hub, version: int) -> int:
    return int(hub.snapshot()["models"][str(version)]["rows"])


def labels_of(hub: Hub, version: int) -> int:
    return int(hub.snapshot()["models"][str(version)]["labels"])


def test_what_is_watched_comes_from_the_artifact(models: Models) -> None:
    binary = models.watched(4)
    assert (binary.settings.project, binary.settings.version) == ("mixed", 4)
    assert (binary.settings.task, binary.settings.positive_class) == ("binary", "yes")
    assert (binary.settings.false_alarm, binary.settings.harm_tolerance) == (0.01, 0.02)
    assert binary.score_index == 1
    assert binary.reference.block_rows == 50
    assert models.watched(1, "dummy").score_index == 0
    assert models.watched(1, "kmeans").score_index is None


def test_a_projects_own_alarm_level_and_positive_class_are_obeyed(models: Models) -> None:
    manifest = models.manifests["boosting"]
    project = manifest.project | {"monitor": {"false_alarm": 0.2, "harm_tolerance": 0.1}}
    other = dataclasses.replace(manifest, project=project, positive_class="no")
    watched = WatchedModel.from_artifact(other, models.bytes["boosting"], version=1)
    assert (watched.settings.false_alarm, watched.settings.harm_tolerance) == (0.2, 0.1)
    assert (watched.settings.positive_class, watched.score_index) == ("no", 0)


def test_a_report_is_counted_once(models: Models) -> None:
    hub = models.hub(1)
    assert [hub.take(models.report(seq, 1)) for seq in (0, 1, 0, 1)] == [True, True, False, False]
    found = hub.snapshot()
    assert rows_of(hub, 1) == 2 * N_ROWS
    assert found["requests"]["statuses"] == {"200": 2}
    assert sum(found["requests"]["latency_cells"]) == 2
    assert found["requests"]["latency_sum_s"] == pytest.approx(0.004)
    assert found["dropped_rows"] == 4


def test_a_report_whose_totals_cannot_be_read_is_not_heard_and_can_be_sent_again(
    models: Models,
) -> None:
    hub = models.hub(1)
    told = ArmTotals("champion", 1, requests=5).to_dict()
    report = dataclasses.replace(models.report(0, 1), arms=(told,))
    odd = dataclasses.replace(report, arms=({**told, "slow": [1]},))
    with pytest.raises(ValueError, match="other lengths"):
        hub.take(odd)
    assert hub.snapshot()["arms"] == [] and rows_of(hub, 1) == 0
    assert hub.take(report)
    assert hub.arms() == {"arms": [told], "life": 0}


def test_a_report_of_two_versions_is_split(models: Models) -> None:
    hub = models.hub(1, 2)
    hub.take(models.report(0, 1, 2))
    hub.take(models.report(1, 2))
    assert (rows_of(hub, 1), rows_of(hub, 2)) == (N_ROWS, 2 * N_ROWS)


def test_a_report_of_an_unwatched_version_changes_nothing_until_it_is_watched(
    models: Models,
) -> None:
    hub = models.hub(1)
    report = models.report(0, 1, 2)
    with pytest.raises(DataError) as caught:
        hub.take(report)
    assert str(caught.value) == "version 2 of 'mixed' is not watched yet"
    assert rows_of(hub, 1) == 0
    assert hub.snapshot()["requests"]["statuses"] == {}
    hub.watch(2, models.watched(2))
    assert hub.take(report)
    assert (rows_of(hub, 1), rows_of(hub, 2)) == (N_ROWS, N_ROWS)


def test_latencies_start_anew_when_their_cells_changed(models: Models) -> None:
    hub = models.hub(1)
    hub.take(models.report(0, 1))
    report = models.report(1, 1)
    requests = report.requests | {"latency_edges_s": [1.0], "latency_cells": [3, 4]}
    hub.take(dataclasses.replace(report, requests=requests))
    found = hub.snapshot()["requests"]
    assert (found["latency_edges_s"], found["latency_cells"]) == ([1.0], [3, 4])


def test_the_monitors_used_last_are_kept(models: Models) -> None:
    hub = models.hub(*range(1, 9))
    assert hub.use(1)
    assert not hub.use(9)
    for version in (9, 10):
        hub.watch(version, models.watched(version))
    assert hub.versions() == [1, 4, 5, 6, 7, 8, 9, 10]


def test_the_monitors_of_the_models_that_answer_stay(models: Models) -> None:
    """A champion may be rolled back to, and stay, while many versions are trained and tried."""
    hub = models.hub(1)
    hub.answer_with([1])
    for version in range(2, 20):
        hub.watch(version, models.watched(version))
    assert hub.versions() == [1, *range(13, 20)]
    hub.answer_with([19])
    hub.watch(20, models.watched(20))
    assert hub.versions() == list(range(13, 21))


def test_a_monitor_that_made_room_goes_on_where_it_stopped(models: Models) -> None:
    hub = models.hub(1)
    hub.take(models.report(0, 1))
    states: dict[int, dict[str, Any]] = {}
    for version in range(2, 11):
        states |= hub.watch(version, models.watched(version))
    assert sorted(states) == [1, 2]
    hub.watch(1, models.watched(1), state=json.loads(json.dumps(states[1])))
    assert rows_of(hub, 1) == N_ROWS


def test_each_version_gets_its_own_outcomes(models: Models) -> None:
    hub = models.hub(1, 2)
    rows = [prediction(k, version=1 + k % 2) for k in range(10)]
    right = [label(k, "yes" if k % 2 else "no") for k in range(10)]
    assert hub.feed(LoggedPredictions.of(rows), right, now_s=300.0) == {"accepted": 10}
    found = hub.snapshot()["models"]
    assert [found[v]["labels"] for v in ("1", "2")] == [5, 5]
    assert [found[v]["quality"]["accuracy"]["value"] for v in ("1", "2")] == [0.0, 1.0]


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25,
                     deadline=None)  # fmt: skip
@given(st.permutations(range(12)))
def test_the_order_of_predictions_and_labels_does_not_matter(
    models: Models, order: list[int]
) -> None:
    hub = models.hub(1)
    for k in order:
        rows = [prediction(k)] if k < 6 else []
        known = [label(k - 6, "yes" if k % 2 else "no")] if k >= 6 else []
        hub.feed(LoggedPredictions.of(rows), known, now_s=300.0)
    model = hub.snapshot()["models"]["1"]
    assert model["labels"] == 6
    assert model["quality"]["accuracy"]["value"] == 0.5
    assert hub.snapshot()["waiting_labels"] == 0


def test_every_label_gets_its_status(models: Models) -> None:
    hub = models.hub(1)
    assert not hub.has_index
    assert hub.feed(
        LoggedPredictions.of([prediction(0), prediction(1)]), [label(0)], now_s=1.0
    ) == {"accepted": 1}
    assert hub.has_index
    assert hub.feed(LoggedPredictions.of([]), [label(0)], now_s=1.0) == {"duplicate": 1}
    assert hub.feed(LoggedPredictions.of([]), [label(0, "no", at=201.0)], now_s=1.0) == {
        "revised": 1
    }
    assert hub.feed(LoggedPredictions.of([]), [label(0, "yes", source="x")], now_s=1.0) == {
        "contradicting": 1
    }
    assert hub.feed(LoggedPredictions.of([]), [label(1, at=1e9)], now_s=1.0) == {"late": 1}
    assert hub.feed(LoggedPredictions.of([]), [label(7)], now_s=1.0) == {"unknown": 1}
    found = hub.snapshot()
    assert (found["waiting_labels"], found["indexed_predictions"]) == (1, 2)
    model = found["models"]["1"]
    assert model["labels"] == 1
    assert model["quality"]["accuracy"]["value"] == 0.0


def test_scores_are_those_of_the_models_that_are_watched_and_nothing_of_the_message_stays(
    models: Models,
) -> None:
    hub = models.hub(1)
    rows = [prediction(0), prediction(1, version=9), ("id2", 1, "yes", (0.3, math.nan), 1.0)]
    message = LoggedPredictions.of(rows)
    arrays = (message.versions, message.scores, message.ends, message.at_s)
    for array in arrays:
        array.flags.writeable = False  # as they lie in the object store
    hub.feed(message, [], now_s=1.0)
    found = [hub._joiner._find(f"id{k}") for k in range(3)]
    assert [one.score for one in found if one is not None] == [0.7, None, None]
    kept = hub._joiner._batches[0].rows
    for mine in (kept.versions, kept.scores, kept.at_s):
        assert not any(np.shares_memory(mine, theirs) for theirs in arrays)


def test_labels_of_a_version_that_is_not_watched_any_more_are_joined_and_judge_nobody(
    models: Models,
) -> None:
    hub = models.hub(1)
    assert hub.feed(LoggedPredictions.of([prediction(0, version=9)]), [label(0)], now_s=1.0) == {
        "accepted": 1
    }
    assert labels_of(hub, 1) == 0


def test_labels_that_fit_another_model_only_judge_nobody_and_are_counted(models: Models) -> None:
    hub = models.hub(1)
    hub.watch(2, models.watched(2, "dummy"))  # a number's model
    hub.watch(3, models.watched(3, "kmeans"))  # takes no labels
    rows = [prediction(1), prediction(2, version=2), prediction(3, version=3), prediction(4)]
    assert hub.feed(LoggedPredictions.of(rows), [label(k) for k in (1, 2, 3, 4)], now_s=1.0) == {
        "accepted": 4
    }
    assert [labels_of(hub, version) for version in (1, 2, 3)] == [2, 0, 0]
    assert hub.snapshot()["misfit_labels"] == 2


def test_scores_that_a_row_lacks_are_no_score(models: Models) -> None:
    hub = models.hub(1)
    short = ("id0", 1, "yes", (), 100.0)
    assert hub.feed(LoggedPredictions.of([short]), [label(0)], now_s=1.0) == {"accepted": 1}
    assert labels_of(hub, 1) == 1


def test_a_change_is_told_in_the_time_of_the_predictions(models: Models) -> None:
    hub = models.hub(1)
    wrong = [label(k, "no", at=9000.0) for k in range(200)]
    hub.feed(LoggedPredictions.of([prediction(k) for k in range(200)]), wrong, now_s=9999.0)
    harm = hub.snapshot()["models"]["1"]["channels"]["harm"]
    assert (harm["active"], harm["first_alarm_s"]) == (True, 9999.0)
    assert harm["change_s"] == 100.0


def test_a_restart_forgets_nothing(models: Models) -> None:
    hub = models.hub(1)
    rows, known = [prediction(k) for k in range(10)], [label(k) for k in range(4)]
    for seq in range(3):
        hub.take(models.report(seq, 1))
    hub.feed(LoggedPredictions.of(rows), known, now_s=300.0)
    state = json.loads(json.dumps(hub.state()))
    checkpoint = json.loads(json.dumps(hub.monitor_state(1)))

    again = Hub("mixed", life=7)
    again.restore(state)
    again.watch(1, models.watched(1), state=checkpoint)
    again.rebuild(LoggedPredictions.of(rows), known)
    assert again.snapshot() == {**hub.snapshot(), "life": 7}  # nobody takes differences over it
    assert not again.take(models.report(2, 1))
    assert again.take(models.report(3, 1))
    assert again.feed(LoggedPredictions.of([]), [label(k) for k in range(5)], now_s=1.0) == {
        "duplicate": 4, "accepted": 1,
    }  # fmt: skip
    assert labels_of(again, 1) == 5


def test_rebuilding_twice_gives_the_same_index(models: Models) -> None:
    hub = models.hub(1)
    for _ in range(2):
        hub.rebuild(LoggedPredictions.of([prediction(0)]), [label(0), label(3)])
        assert hub.snapshot()["indexed_predictions"] == 1
        assert hub.snapshot()["waiting_labels"] == 1
    assert labels_of(hub, 1) == 0
    assert hub.feed(LoggedPredictions.of([]), [label(0)], now_s=1.0) == {"duplicate": 1}


def test_another_models_checkpoint_starts_its_monitor_anew(models: Models) -> None:
    other = models.hub(1, family="dummy")
    hub = Hub("mixed")
    hub.watch(1, models.watched(1), state=other.monitor_state(1))
    assert rows_of(hub, 1) == 0
    assert hub.take(models.report(0, 1))
    assert rows_of(hub, 1) == N_ROWS


def test_a_snapshot_is_json_and_names_every_version(models: Models) -> None:
    hub = models.hub(2, 1)
    hub.take(models.report(0, 1, 2))
    found: dict[str, Any] = json.loads(json.dumps(hub.snapshot()))
    assert found["project"] == "mixed"
    assert list(found["models"]) == ["1", "2"]
    assert np.sum(found["requests"]["latency_cells"]) == 1
