from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error

from tenfold.monitor import LiveQuality
from tenfold.monitor.live import auc_interval


def test_the_area_is_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(500) < 0.3
    scores = np.round(generator.normal(truth, 1.5), 1)  # with ties
    found = auc_interval(scores, truth)
    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(truth, scores))
    assert found.lower < found.value < found.upper


def test_the_intervals_cover() -> None:
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        truth = np.arange(400) < 120
        found = auc_interval(generator.normal(truth, 1.0), truth)
        assert found is not None
        hits += found.lower <= 0.7602 <= found.upper  # Phi(1 / sqrt 2)
    assert 270 <= hits <= 300


def test_one_class_has_no_area_and_a_perfect_one_an_open_end() -> None:
    assert auc_interval([0.1, 0.2], [True, True]) is None
    perfect = auc_interval([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    assert perfect is not None and (perfect.value, perfect.upper) == (1.0, 1.0)
    assert perfect.lower < 0.5


def test_classes_are_measured_by_accuracy_and_area() -> None:
    live = LiveQuality("binary")
    for k in range(100):
        live.add(f"i{k}", score=k / 100, target=float(k >= 50), loss=float(k % 4 == 0))
    found = live.estimates()
    assert found["accuracy"].value == 0.75 and found["error_rate"].value == 0.25
    assert found["roc_auc"].value == 1.0
    assert found["accuracy"].lower == pytest.approx(1 - found["error_rate"].upper)
    assert found["error_rate"].n == 100
    assert "roc_auc" not in LiveQuality("multiclass").estimates()


def test_numbers_are_measured_in_their_unit() -> None:
    generator = np.random.default_rng(2)
    truth = generator.normal(size=300)
    answers = truth + generator.normal(size=300)
    live = LiveQuality("regression")
    for k, (answer, true) in enumerate(zip(answers, truth, strict=True)):
        live.add(f"i{k}", score=answer, target=true, loss=0.0)
    found = live.estimates()
    assert found["mae"].value == pytest.approx(mean_absolute_error(truth, answers))
    assert found["rmse"].value == pytest.approx(root_mean_squared_error(truth, answers))
    assert found["rmse"].lower < found["rmse"].value < found["rmse"].upper


def test_only_the_newest_count() -> None:
    live = LiveQuality("binary", window=10)
    for k in range(30):
        live.add(f"i{k}", score=None, target=1.0, loss=float(k < 20))
    assert live.estimates()["error_rate"].value == 0.0 and live.n_total == 30


def test_a_revised_label_takes_the_place_of_the_first() -> None:
    live = LiveQuality("binary", window=10)
    live.add("a", score=0.9, target=0.0, loss=1.0)
    live.add("b", score=0.9, target=1.0, loss=0.0)
    live.add("a", score=0.9, target=1.0, loss=0.0)
    assert live.estimates()["error_rate"].value == 0.0 and live.n_total == 2


def test_a_state_goes_on() -> None:
    first = LiveQuality("binary", window=16)
    for k in range(20):
        first.add(f"i{k}", score=0.5, target=float(k % 2), loss=float(k % 3 == 0))
    second = LiveQuality("binary", window=16)
    second.restore(json.loads(json.dumps(first.state())))
    for live in (first, second):
        live.add("i19", score=0.5, target=1.0, loss=1.0)
        live.add("new", score=0.5, target=1.0, loss=1.0)
    assert first.estimates() == second.estimates()


def test_nothing_labelled_nothing_said() -> None:
    for task in ("binary", "regression"):
        assert LiveQuality(task).estimates() == {}
