from __future__ import annotations

from typing import Any

import pytest

from tenfold.errors import UserError
from tenfold.monitor import Label
from tenfold.settings import Settings
from tenfold.testing.mixed import mixed_schema
from tenfold_serve.aggregator import Aggregator
from tenfold_serve.logged import LoggedPredictions
from tenfold_serve.recorder import Recorder
from tenfold_serve.shipping import Report
from tests.tenfold_serve.support import Publish
from tests.tenfold_serve.test_recorder import entry


def report_of(publish: Publish, tmp: Any, *, n_rows: int = 20, times: int = 1) -> list[Report]:
    heard: list[Report] = []
    recorder = Recorder(project="mixed", replica="r", app="r.1", folder=tmp, sink=heard.append)
    one = entry(publish, n_rows)
    for _ in range(times):
        recorder.offer(one)
        recorder.stats.add(200, 0.002)
        recorder.flush()
    return heard


NONE = LoggedPredictions.of([])


def predictions(n_rows: int) -> LoggedPredictions:
    return LoggedPredictions.of(
        [(f"id{k}", 1, "yes", (0.3, 0.7), 100.0 + k) for k in range(n_rows)]
    )


def labels(n_rows: int, *, value: str = "yes") -> list[Label]:
    return [Label(f"id{k}", value, 200.0 + k, "test") for k in range(n_rows)]


def test_reports_are_counted_once_and_survive_a_restart(
    settings: Settings, publish: Publish, tmp_path: Any
) -> None:
    reports = report_of(publish, tmp_path, times=3)
    aggregator = Aggregator(settings)
    assert [aggregator.take(report) for report in (*reports, reports[0])] == [
        True, True, True, False,
    ]  # fmt: skip
    aggregator.save()
    for each in (aggregator, Aggregator(settings)):
        assert not each.take(reports[1])
        snapshot = each.snapshot("mixed")
        assert snapshot["models"]["1"]["rows"] == 60
        assert snapshot["requests"]["statuses"] == {"200": 3}


def test_labels_join_predictions_and_become_live_quality(
    settings: Settings, publish: Publish
) -> None:
    publish()
    aggregator = Aggregator(settings)
    assert aggregator.needs_rebuild("mixed")
    assert aggregator.feed("mixed", predictions(10), labels(4)) == {"accepted": 4}
    assert not aggregator.needs_rebuild("mixed")
    assert aggregator.feed("mixed", NONE, labels(4)) == {"duplicate": 4}
    assert aggregator.feed("mixed", NONE, [Label("id9", "no", 300.0)]) == {"accepted": 1}
    assert aggregator.feed("mixed", NONE, [Label("elsewhere", "no", 300.0)]) == {"unknown": 1}
    model = aggregator.snapshot("mixed")["models"]["1"]
    assert model["labels"] == 5
    assert model["quality"]["accuracy"]["value"] == 0.8


def test_a_rebuilt_index_knows_the_old_labels_and_counts_them_once(
    settings: Settings, publish: Publish
) -> None:
    publish()
    Aggregator(settings).feed("mixed", predictions(10), labels(4))
    again = Aggregator(settings)
    again.rebuild("mixed", predictions(10), labels(4))
    assert again.snapshot("mixed")["models"]["1"]["labels"] == 4
    assert again.feed("mixed", NONE, labels(5)) == {"duplicate": 4, "accepted": 1}
    assert again.snapshot("mixed")["models"]["1"]["labels"] == 5


def test_harm_is_proven_by_wrong_answers_and_not_by_right_ones(
    settings: Settings, publish: Publish
) -> None:
    publish()
    good, bad = Aggregator(settings), Aggregator(settings)
    good.feed("mixed", predictions(1000), labels(1000))
    bad.feed("mixed", predictions(1000), labels(1000, value="no"))
    harm = [a.snapshot("mixed")["models"]["1"]["channels"]["harm"] for a in (good, bad)]
    assert [state["active"] for state in harm] == [False, True]


def test_the_metrics_page_holds_every_part(
    settings: Settings, publish: Publish, tmp_path: Any
) -> None:
    aggregator = Aggregator(settings)
    aggregator.take(report_of(publish, tmp_path)[0])
    aggregator.feed("mixed", predictions(10), labels(4))
    arm = {"arm": "champion", "version": 1, "digest": "d" * 64, "weight": 1.0}
    aggregator.tell("mixed", {"arms": [arm], "retrains": {"done": 2}})
    text = aggregator.metrics().decode()
    for line in (
        'tenfold_requests_total{project="mixed",status="200"} 1.0',
        'tenfold_predictions_total{project="mixed",version="1"} 20.0',
        'tenfold_labels_total{project="mixed",version="1"} 4.0',
        'tenfold_retrain_total{project="mixed",result="done"} 2.0',
        'tenfold_model_traffic_ratio{arm="champion",project="mixed",version="1"} 1.0',
    ):
        assert line in text
    for column in mixed_schema().features:
        assert f'feature="{column.name}"' in text


def test_a_report_of_an_unknown_version_is_refused(
    settings: Settings, publish: Publish, tmp_path: Any
) -> None:
    import dataclasses

    (report,) = report_of(publish, tmp_path)
    counts = dataclasses.replace(report.counts[0], version=9)
    aggregator = Aggregator(settings)
    with pytest.raises(UserError, match="no version 9"):
        aggregator.take(dataclasses.replace(report, counts=(counts,)))
    assert aggregator.take(report)


def test_a_rolled_back_champion_keeps_its_monitor_beside_nine_newer_versions(
    settings: Settings, publish: Publish
) -> None:
    for seed in range(10):
        publish(seed, family="dummy")
    aggregator = Aggregator(settings)
    aggregator.watch("mixed", 1)
    arm = {"arm": "champion", "version": 1, "digest": "d" * 64, "weight": 1.0}
    aggregator.tell("mixed", {"arms": [arm]})
    rows = [(f"id{v}", v, "3.5", (3.5,), 100.0) for v in range(1, 11)]
    known = [Label(f"id{v}", "3.0", 200.0) for v in range(1, 11)]
    assert aggregator.feed("mixed", LoggedPredictions.of(rows[1:]), known[1:]) == {"accepted": 9}
    assert aggregator.snapshot("mixed")["models"]["1"]["labels"] == 0
    aggregator.feed("mixed", LoggedPredictions.of(rows[:1]), known[:1])
    assert aggregator.snapshot("mixed")["models"]["1"]["labels"] == 1


def test_rows_of_a_version_whose_files_are_damaged_do_not_stop_the_others(
    settings: Settings, publish: Publish
) -> None:
    publish(0)
    (publish(1).path / "reference.json").write_text("{}")
    aggregator = Aggregator(settings)
    rows = [(f"id{v}", v, "yes", (0.3, 0.7), 100.0) for v in (1, 2, 99)]
    known = [Label(f"id{v}", "yes", 200.0) for v in (1, 2, 99)]
    assert aggregator.feed("mixed", LoggedPredictions.of(rows), known) == {"accepted": 3}
    models = aggregator.snapshot("mixed")["models"]
    assert {version: model["labels"] for version, model in models.items()} == {"1": 1}


def test_a_broken_checkpoint_starts_again(
    settings: Settings, publish: Publish, tmp_path: Any
) -> None:
    (report,) = report_of(publish, tmp_path)
    from tenfold.state import open_state

    state = open_state(settings)
    state.put_checkpoint("hub/mixed", b'{"seen": 1}')
    state.put_checkpoint("monitor/mixed/1", b"{torn")
    aggregator = Aggregator(settings)
    assert aggregator.take(report)
    assert aggregator.snapshot("mixed")["models"]["1"]["rows"] == 20


def test_two_that_begin_with_one_checkpoint_have_lives_of_their_own(
    settings: Settings, publish: Publish, tmp_path: Any
) -> None:
    first = Aggregator(settings)
    first.take(report_of(publish, tmp_path)[0])
    first.save()
    told = [each.arms("mixed") for each in (first, Aggregator(settings), Aggregator(settings))]
    assert len({each["life"] for each in told}) == 3
    assert told[0]["arms"] == told[1]["arms"] == told[2]["arms"] != []
