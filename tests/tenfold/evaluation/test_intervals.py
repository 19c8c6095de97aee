"""Intervals hold the value, shrink with rows, cover what they promise, and are the same twice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.evaluation import Estimate, Judged, bootstrap, estimate_all, measure
from tenfold.project.measures import Task


def numbers(errors: np.ndarray) -> Judged:
    truth = np.asarray(errors, dtype=np.float64)
    return Judged(Task.REGRESSION, truth, np.zeros((len(truth), 1)))


def classes(n_rows: int, *, seed: int = 0) -> Judged:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n_rows)
    p = np.clip(0.5 + 0.2 * (truth - 0.5) + 0.2 * rng.normal(size=n_rows), 0.01, 0.99)
    return Judged(Task.BINARY, truth, np.c_[1 - p, p], (p >= 0.5).astype(np.int64))


def test_equal_seeds_give_equal_bounds_and_other_seeds_other_ones() -> None:
    rows = classes(120)
    first = bootstrap("roc_auc", rows, seed=3)
    assert bootstrap("roc_auc", rows, seed=3) == first
    other = bootstrap("roc_auc", rows, seed=4)
    assert other.value == first.value
    assert (other.lower, other.upper) != (first.lower, first.upper)


def test_the_value_is_that_of_all_rows_and_not_of_the_resamples() -> None:
    rows = classes(50)
    for name in ("roc_auc", "log_loss", "accuracy", "f1"):
        assert bootstrap(name, rows).value == measure(name, rows)


def test_the_bounds_are_those_of_the_normal_law_where_it_holds() -> None:
    errors = np.random.default_rng(0).exponential(size=2000)
    found = bootstrap("mae", numbers(errors))
    half = 1.96 * errors.std() / math.sqrt(len(errors))
    assert found.lower == pytest.approx(errors.mean() - half, abs=0.2 * half)
    assert found.upper == pytest.approx(errors.mean() + half, abs=0.2 * half)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(100):
        found = bootstrap("mae", numbers(rng.uniform(0, 2, 60)))
        hits += found.lower <= 1.0 <= found.upper
    # Binomial with p = .95: fewer than 87 of 100 would happen once in a thousand runs.
    assert 87 <= hits < 100


def test_more_rows_make_it_narrower() -> None:
    widths = []
    for n_rows in (50, 500, 5000):
        found = bootstrap("accuracy", classes(n_rows))
        widths.append(found.upper - found.lower)
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(0, 5))
def test_the_value_always_lies_inside(errors: list[float], seed: int) -> None:
    for name in ("rmse", "mae"):
        found = bootstrap(name, numbers(np.array(errors)), seed=seed)
        assert found.lower <= found.value <= found.upper


def test_a_constant_error_has_no_width() -> None:
    assert bootstrap("mae", numbers(np.full(40, 2.0))) == Estimate(2.0, 2.0, 2.0)


def test_resamples_without_a_meaning_are_left_out() -> None:
    """With one positive of eight, a third of the resamples has one class only."""
    truth = np.array([1] + [0] * 7)
    p = np.linspace(0.9, 0.1, 8)
    found = bootstrap("roc_auc", Judged(Task.BINARY, truth, np.c_[1 - p, p]))
    assert found == Estimate(1.0, pytest.approx(0.025 ** (1 / 8)), 1.0)


def test_a_measure_without_any_meaning_has_no_bounds() -> None:
    p = np.linspace(0.9, 0.1, 8)
    found = bootstrap("roc_auc", Judged(Task.BINARY, np.zeros(8, dtype=int), np.c_[1 - p, p]))
    assert all(math.isnan(value) for value in (found.value, found.lower, found.upper))


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(KeyError, match="silhouette"):
        bootstrap("silhouette", classes(10))


def test_all_measures_at_once_are_each_ones_own() -> None:
    rows = classes(80)
    found = estimate_all(("f1", "log_loss"), rows, seed=2)
    assert found == {name: bootstrap(name, rows, seed=2) for name in ("f1", "log_loss")}
    assert list(found["f1"].to_dict()) == ["value", "lower", "upper"]
    assert found["f1"].to_dict()["upper"] == found["f1"].upper


def test_perfect_rows_prove_what_their_number_can_and_no_more() -> None:
    """69 rows without an error: the exact 97.5 % bound is 0.9479, not 1."""
    truth = np.arange(69) % 2
    scores = np.column_stack([1.0 - truth, truth]).astype(float)
    judged = Judged(Task.BINARY, truth, scores, truth.astype(np.int64))
    for name in ("accuracy", "roc_auc", "f1"):
        found = bootstrap(name, judged)
        assert (found.value, found.upper) == (1.0, 1.0)
        assert found.lower == pytest.approx(0.025 ** (1 / 69))
    none_right = Judged(Task.BINARY, truth, scores, 1 - truth.astype(np.int64))
    assert bootstrap("accuracy", none_right).upper == pytest.approx(1 - 0.025 ** (1 / 69))
