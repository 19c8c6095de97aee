"""Every measure equals scikit-learn's, with and without weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tenfold.evaluation import Judged, bootstrap, estimate_all, measure, measure_all, silhouette
from tenfold.project.measures import MEASURES, Task, measures_for

Reference = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]

BINARY: dict[str, Reference] = {
    "roc_auc": lambda y, s, d, w: sk.roc_auc_score(y, s[:, 1], sample_weight=w),
    "average_precision": lambda y, s, d, w: sk.average_precision_score(y, s[:, 1], sample_weight=w),
    "log_loss": lambda y, s, d, w: sk.log_loss(y, s, sample_weight=w),
    "brier": lambda y, s, d, w: sk.brier_score_loss(y, s[:, 1], sample_weight=w),
    "accuracy": lambda y, s, d, w: sk.accuracy_score(y, d, sample_weight=w),
    "balanced_accuracy": lambda y, s, d, w: sk.balanced_accuracy_score(y, d, sample_weight=w),
    "f1": lambda y, s, d, w: sk.f1_score(y, d, sample_weight=w),
    "precision": lambda y, s, d, w: sk.precision_score(y, d, sample_weight=w),
    "recall": lambda y, s, d, w: sk.recall_score(y, d, sample_weight=w),
}
MULTI: dict[str, Reference] = {
    "roc_auc": lambda y, s, d, w: sk.roc_auc_score(y, s, multi_class="ovr", sample_weight=w),
    "log_loss": lambda y, s, d, w: sk.log_loss(y, s, sample_weight=w),
    "accuracy": lambda y, s, d, w: sk.accuracy_score(y, d, sample_weight=w),
    "balanced_accuracy": lambda y, s, d, w: sk.balanced_accuracy_score(y, d, sample_weight=w),
    "f1": lambda y, s, d, w: sk.f1_score(y, d, average="macro", sample_weight=w),
}
NUMBERS: dict[str, Reference] = {
    "rmse": lambda y, s, d, w: sk.root_mean_squared_error(y, s[:, 0], sample_weight=w),
    "mae": lambda y, s, d, w: sk.mean_absolute_error(y, s[:, 0], sample_weight=w),
    "r2": lambda y, s, d, w: sk.r2_score(y, s[:, 0], sample_weight=w),
}


def judged(task: Task, seed: int, n: int = 200) -> Judged:
    rng = np.random.default_rng(seed)
    if task is Task.REGRESSION:
        y = rng.normal(size=n)
        return Judged(task, y, (y + rng.normal(size=n))[:, None])
    k = 2 if task is Task.BINARY else 4
    truth = rng.permutation(np.arange(n) % k)
    raw = np.round(rng.random((n, k)) + np.eye(k)[truth] * 0.5, 1) + 0.05  # with ties
    scores = raw / raw.sum(axis=1, keepdims=True)
    return Judged(task, truth, scores, scores.argmax(axis=1))


CASES = [
    pytest.param(task, name, reference, id=f"{task}-{name}")
    for task, table in (
        (Task.BINARY, BINARY),
        (Task.MULTICLASS, MULTI),
        (Task.REGRESSION, NUMBERS),
    )
    for name, reference in table.items()
]


@pytest.mark.parametrize(("task", "name", "reference"), CASES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_scikit_learn(task: Task, name: str, reference: Reference, seed: int) -> None:
    rows = judged(task, seed)
    weights = np.random.default_rng(seed).integers(0, 4, rows.n_rows).astype(np.float64)
    decided = rows.truth if rows.decided is None else rows.decided
    for w in (np.ones(rows.n_rows), weights):
        expected = reference(rows.truth, rows.scores, decided, w)
        assert measure(name, rows, weights=w) == pytest.approx(expected, rel=1e-9)


def test_multiclass_brier_is_the_squared_distance() -> None:
    rows = judged(Task.MULTICLASS, 3)
    expected = ((rows.scores - np.eye(4)[rows.truth]) ** 2).sum(axis=1).mean()
    assert measure("brier", rows) == pytest.approx(expected)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_every_row_measure_of_the_table_is_computed(task: Task) -> None:
    expected = {name for name in measures_for(task) if not name.startswith("latency")}
    assert set(measure_all(judged(task, 0))) == expected
    assert expected <= set(MEASURES)


def test_one_class_has_no_auc_and_no_rows_no_value() -> None:
    rows = judged(Task.BINARY, 0)
    assert np.isnan(measure("roc_auc", rows.take(rows.truth == 1)))
    assert np.isnan(measure("accuracy", rows.take(np.zeros(rows.n_rows, dtype=bool))))


def test_rows_must_match() -> None:
    with pytest.raises(ValueError, match="same rows"):
        Judged(Task.REGRESSION, np.zeros(3), np.zeros((2, 1)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_auc_ignores_monotone_changes_and_mirrors(seed: int) -> None:
    rows = judged(Task.BINARY, seed, n=60)
    moved = Judged(Task.BINARY, rows.truth, np.exp(rows.scores), rows.decided)
    mirrored = Judged(Task.BINARY, 1 - rows.truth, rows.scores, rows.decided)
    value = measure("roc_auc", rows)
    assert measure("roc_auc", moved) == pytest.approx(value)
    assert measure("roc_auc", mirrored) == pytest.approx(1 - value)


def test_silhouette_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    x = np.vstack([rng.normal(0, 1, (60, 3)), rng.normal(4, 1, (40, 3))])
    labels = np.r_[np.zeros(60), np.ones(39), 2].astype(int)
    assert silhouette(x, labels) == pytest.approx(sk.silhouette_score(x, labels))
    assert np.isnan(silhouette(x, np.zeros(100)))


def test_bootstrap_covers_the_truth_and_repeats_itself() -> None:
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        error = rng.normal(size=150)
        rows = Judged(Task.REGRESSION, error, np.zeros((150, 1)))
        found = bootstrap("mae", rows, seed=seed)
        assert found.lower <= found.value <= found.upper
        covered += found.lower <= np.sqrt(2 / np.pi) <= found.upper
    assert 33 <= covered <= 40
    assert bootstrap("mae", rows, seed=1) == bootstrap("mae", rows, seed=1)
    assert estimate_all(("mae",), rows, seed=1)["mae"] == bootstrap("mae", rows, seed=1)
