from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from tenfold.errors import DataError
from tenfold.monitor import (
    CountsMessage,
    LossRule,
    Monitor,
    MonitorSettings,
    Outcome,
    Reference,
    build_reference,
)
from tenfold.monitor.monitor import LABEL_BATCH, MAX_COUNTED_SOURCES
from tenfold.testing.streams import bins_of

MakeMessage = Callable[..., CountsMessage]


def traffic(message_of: MakeMessage, *, n: int, seed: int = 1) -> Iterator[CountsMessage]:
    """Messages of uneven size from two replicas."""
    generator = np.random.default_rng(seed)
    for seq in range(n):
        rows = generator.normal(size=(int(generator.integers(1, 160)), 8))
        yield message_of(rows, seq=seq // 2, seed=seed, replica=f"r{seq % 2}")


def outcomes(n: int, *, wrong: int, prefix: str = "i") -> list[Outcome]:
    """The first ``wrong`` of n are wrong."""
    return [Outcome(f"{prefix}{k}", "yes", "no" if k < wrong else "yes", 0.8) for k in range(n)]


def test_the_totals_are_exact(monitor: Monitor, message_of: MakeMessage) -> None:
    messages = list(traffic(message_of, n=40))
    rows = sum(message.n_rows for message in messages)
    assert all(monitor.observe(message) for message in messages)
    shown = monitor.snapshot()
    assert shown["rows"] == rows
    assert shown["blocks"] == rows // 100 and shown["open_rows"] == rows % 100


def test_the_work_can_be_put_down_after_each_block(
    monitor: Monitor, message_of: MakeMessage
) -> None:
    pauses: list[int] = []
    for message in traffic(message_of, n=40):
        monitor.observe(message, between=lambda: pauses.append(1))
    assert len(pauses) == monitor.snapshot()["blocks"] > 0


def test_a_block_that_is_kept_keeps_none_of_those_cut_with_it(
    monitor: Monitor, message_of: MakeMessage
) -> None:
    for message in traffic(message_of, n=40):
        monitor.observe(message)
    assert monitor._window
    assert all(block.base is None for block in monitor._window)


def test_a_message_counts_once_whatever_its_order(
    reference: Reference, settings: MonitorSettings, message_of: MakeMessage
) -> None:
    messages = list(traffic(message_of, n=30))
    clean, noisy = Monitor(reference, settings), Monitor(reference, settings)
    for message in messages:
        clean.observe(message)
        assert noisy.observe(message)
        assert not noisy.observe(messages[0])
    first, second = clean.snapshot(), noisy.snapshot()
    assert second.pop("messages") == {"duplicate": 30, "foreign": 0, "missing": 0}
    first.pop("messages")
    assert first == second


def test_another_versions_message_is_not_counted(monitor: Monitor, message_of: MakeMessage) -> None:
    message = replace(message_of(np.zeros((5, 8)), seq=0), version=2)
    assert not monitor.observe(message)
    shown = monitor.snapshot()
    assert shown["rows"] == 0 and shown["messages"]["foreign"] == 1


@pytest.mark.parametrize("damage", ["short", "negative", "uneven"])
def test_counts_that_do_not_fit_are_refused(
    monitor: Monitor, message_of: MakeMessage, damage: str
) -> None:
    good = message_of(np.zeros((5, 8)), seq=0)
    counts = good.counts.copy()
    if damage == "short":
        counts = counts[:-1]
    if damage == "negative":
        counts[:2] += (-5, 5)
    if damage == "uneven":
        counts[0] += 1
    with pytest.raises(DataError, match="each column with 5 rows"):
        monitor.observe(replace(good, counts=counts))
    assert monitor.observe(good)  # the refused one did not use up its number


def test_a_restart_goes_on_bit_for_bit(
    reference: Reference, settings: MonitorSettings, message_of: MakeMessage
) -> None:
    messages = list(traffic(message_of, n=60))
    whole, first = Monitor(reference, settings), Monitor(reference, settings)
    for number, message in enumerate(messages):
        for monitor in (whole, first):
            monitor.observe(message)
            monitor.labels(outcomes(7, wrong=3, prefix=f"{number}-"), now_s=float(number))
            monitor.count_labels({("shop", "accepted"): 7})
        if number % 20 == 19:
            first = Monitor.from_state(reference, settings, json.loads(json.dumps(first.state())))
    assert json.dumps(first.state()) == json.dumps(whole.state())
    assert first.snapshot() == whole.snapshot()


def test_a_checkpoint_is_small_at_a_hundred_features() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(20_000, 100))
    reference = build_reference(
        bins_of(rows),
        rows,
        scores=generator.random((5000, 2)),
        losses=(generator.random(5000) < 0.1).astype(float),
        rule=LossRule("zero_one"),
    )
    settings = MonitorSettings("wide", 1, "binary", "yes")
    monitor = Monitor(reference, settings)
    for seq in range(15):
        live = generator.normal(size=(1000, 100))
        counts = reference.bins.count(live, generator.random((1000, 2)))
        monitor.observe(CountsMessage(1, "r", 1, seq, 1000, counts, float(seq)))
    monitor.labels(
        [Outcome(f"i{k}", "yes", "no", float(generator.random())) for k in range(2500)], now_s=9.0
    )
    assert len(json.dumps(monitor.state())) < 200_000


def test_a_foreign_checkpoint_is_refused(
    reference: Reference, settings: MonitorSettings, monitor: Monitor
) -> None:
    state = monitor.state()
    for change in ({"reference": "x"}, {"version": 2}, {"state_version": 0}):
        with pytest.raises(DataError, match="start the monitor without it"):
            Monitor.from_state(reference, settings, {**state, **change})


def test_labels_are_batched_however_they_come(
    reference: Reference, settings: MonitorSettings
) -> None:
    one_by_one, at_once = Monitor(reference, settings), Monitor(reference, settings)
    labels = outcomes(170, wrong=60)
    at_once.labels(labels, now_s=5.0)
    for label in labels:
        one_by_one.labels([label], now_s=5.0)
    assert one_by_one.state() == at_once.state()
    assert at_once.n_labels == 170


def test_harm_is_proven_and_its_start_is_known(monitor: Monitor) -> None:
    for minute in range(8):
        monitor.labels(outcomes(100, wrong=9, prefix=f"a{minute}-"), now_s=60.0 * minute)
    assert not monitor.channels["harm"].active and monitor.labels_since_change == 800
    for minute in range(8, 12):
        monitor.labels(outcomes(100, wrong=50, prefix=f"b{minute}-"), now_s=60.0 * minute)
    harm = monitor.snapshot()["channels"]["harm"]
    assert harm["active"] and harm["named"] == ["loss"]
    assert harm["change_s"] == pytest.approx(480.0, abs=60.0)
    assert monitor.labels_since_change == pytest.approx(400, abs=2 * LABEL_BATCH)


def test_the_change_is_told_in_the_time_of_the_predictions(monitor: Monitor) -> None:
    for hour in range(12):
        labels = outcomes(100, wrong=9 if hour < 8 else 50, prefix=f"{hour}-")
        answered = [replace(label, at_s=3600.0 * hour) for label in labels]
        monitor.labels(answered, now_s=1e6)  # all labels come at once, days later
    assert monitor.snapshot()["channels"]["harm"]["change_s"] == pytest.approx(8 * 3600, abs=3600)


def test_a_revised_label_moves_quality_but_not_evidence(monitor: Monitor) -> None:
    monitor.labels(outcomes(50, wrong=5), now_s=1.0)
    before = monitor.snapshot()["channels"]["harm"]["evidence"]
    monitor.labels([Outcome("i0", "yes", "yes", 0.8, revised=True)], now_s=2.0)
    shown = monitor.snapshot()
    assert shown["quality"]["error_rate"]["value"] == pytest.approx(4 / 50)
    assert shown["channels"]["harm"]["evidence"] == before and shown["labels"] == 50


def test_regression_labels_are_numbers(reference: Reference) -> None:
    loss = reference.loss
    assert loss is not None
    numbers = replace(reference, loss=replace(loss, rule=LossRule("absolute", 10.0)))
    monitor = Monitor(numbers, MonitorSettings("bike", 1, "regression"))
    monitor.labels([Outcome("a", "3.5", "4.5"), Outcome("b", "2", "2")], now_s=1.0)
    assert monitor.snapshot()["quality"]["mae"]["value"] == 0.5
    with pytest.raises(DataError, match="label 'many' of prediction c must be a number"):
        monitor.labels([Outcome("c", "1.0", "many")], now_s=2.0)


def test_a_model_without_a_target_takes_no_labels(reference: Reference) -> None:
    segments = Monitor(replace(reference, loss=None), MonitorSettings("mall", 1, "clustering"))
    with pytest.raises(DataError, match="without a target"):
        segments.labels([Outcome("a", "1", "1")], now_s=0.0)
    assert segments.snapshot()["loss"] is None


def test_errors_drops_and_time_add_up(monitor: Monitor, message_of: MakeMessage) -> None:
    for seq in range(2):
        message = message_of(np.zeros((5, 8)), seq=seq)
        monitor.observe(replace(message, n_errors={"column": 2}, n_dropped=3, busy_s=0.5))
    shown = monitor.snapshot()
    assert (shown["errors"], shown["dropped_rows"], shown["busy_s"]) == ({"column": 4}, 6, 1.0)


def test_a_snapshot_is_json(monitor: Monitor, message_of: MakeMessage) -> None:
    for message in traffic(message_of, n=10):
        monitor.observe(message)
    monitor.labels(outcomes(60, wrong=5), now_s=1.0)
    monitor.count_labels({("shop", "accepted"): 60, ("shop", "late"): 1})
    shown = json.loads(json.dumps(monitor.snapshot(), allow_nan=False))
    assert shown["feedback"][1] == {"source": "shop", "status": "late", "count": 1}


def test_made_up_sources_are_counted_together(monitor: Monitor) -> None:
    for number in range(10):
        monitor.count_labels({(f"s{number}-{k}", "accepted"): 1 for k in range(100)})
    shown = monitor.snapshot()["feedback"]
    assert len(shown) == MAX_COUNTED_SOURCES + 1
    assert sum(item["count"] for item in shown) == 1000
    assert {"source": "other", "status": "accepted", "count": 1000 - MAX_COUNTED_SOURCES} in shown


def test_the_monitor_needs_no_heavy_library() -> None:
    code = (
        "import sys, tenfold.monitor; "
        "heavy = {'ray', 'torch', 'xgboost', 'pandas', 'sklearn', 'mlflow'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
