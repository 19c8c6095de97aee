"""Measures of model quality in plain NumPy, with row weights (a bootstrap is a weight vector).

Names, directions and tasks come from the one table `tenfold.project.measures`; every formula here
is compared with scikit-learn's in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.project.measures import Objective, Task, measures_for

__all__ = ["Judged", "measure", "measure_all", "silhouette"]

Floats = NDArray[np.float64]
SMALLEST = 1e-15
"""Probabilities are clipped this far from 0 and 1 before a logarithm, as scikit-learn does."""
SILHOUETTE_ROWS = 2_000
"""Rows of an exact silhouette; pairwise distances of 2,000 rows take 32 MB."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Truth and answers of the same rows.

    Attributes:
        task: what the scores mean.
        truth: class numbers int64 (n_rows,), or float64 (n_rows,) for regression.
        scores: float64 (n_rows, k): class probabilities (column 1 is the positive class of a binary
            task), or predictions in column 0.
        decided: class numbers int64 (n_rows,) after threshold or argmax; None for regression.
        objective: of a regression.
        quantile: the share of rows below the answer; for that objective.
    """

    task: Task
    truth: NDArray[Any]
    scores: Floats
    decided: NDArray[np.int64] | None = None
    objective: Objective = Objective.MEAN
    quantile: float = 0.5

    def __post_init__(self) -> None:
        if len(self.truth) != len(self.scores) or self.scores.ndim != 2:
            raise ValueError(
                f"truth {self.truth.shape} and scores {self.scores.shape} must have the same rows"
            )

    @property
    def n_rows(self) -> int:
        """Rows that are judged."""
        return len(self.truth)

    def take(self, rows: NDArray[Any]) -> Judged:
        """Some of the rows, by index or mask."""
        decided = None if self.decided is None else self.decided[rows]
        return replace(self, truth=self.truth[rows], scores=self.scores[rows], decided=decided)


def measure(name: str, judged: Judged, *, weights: Floats | None = None) -> float:
    """One measure; NaN where it has no meaning for these rows (one class only, no rows).

    Args:
        name: a name in `tenfold.project.measures.MEASURES` except silhouette and latency.
        judged: what to judge.
        weights: one non-negative weight a row, all ones by default.

    Raises:
        KeyError: no such measure for rows.
    """
    w = np.ones(judged.n_rows) if weights is None else weights
    if judged.n_rows == 0 or w.sum() <= 0:
        return float("nan")
    return float(_TABLE[name](judged, w))


def measure_all(judged: Judged, *, weights: Floats | None = None) -> dict[str, float]:
    """Every measure that has a meaning for the task and needs only rows.

    >>> rows = Judged(Task.REGRESSION, np.array([1.0, 2.0, 4.0]), np.array([[1.0], [2.0], [2.0]]))
    >>> {name: round(value, 3) for name, value in measure_all(rows).items()}
    {'rmse': 1.155, 'mae': 0.667, 'r2': 0.143}
    """
    fitting = measures_for(judged.task, objective=judged.objective)
    names = [name for name in fitting if name in _TABLE]
    return {name: measure(name, judged, weights=weights) for name in names}


def _auc(positive: NDArray[np.bool_], score: Floats, w: Floats) -> float:
    """The weighted Mann-Whitney statistic; ties count half."""
    order = np.argsort(score, kind="stable")
    s, p, weight = score[order], positive[order], w[order]
    starts = np.flatnonzero(np.r_[True, s[1:] != s[:-1]])
    up = np.add.reduceat(np.where(p, weight, 0.0), starts)
    down = np.add.reduceat(np.where(p, 0.0, weight), starts)
    if up.sum() <= 0 or down.sum() <= 0:
        return float("nan")
    below = np.cumsum(down) - down
    return float((up * (below + down / 2)).sum() / (up.sum() * down.sum()))


def _roc_auc(judged: Judged, w: Floats) -> float:
    if judged.task is Task.BINARY:
        return _auc(judged.truth == 1, judged.scores[:, 1], w)
    values = [
        _auc(judged.truth == k, judged.scores[:, k], w) for k in range(judged.scores.shape[1])
    ]
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _average_precision(judged: Judged, w: Floats) -> float:
    score, positive = judged.scores[:, 1], judged.truth == 1
    order = np.argsort(-score, kind="stable")
    s, hit, weight = score[order], positive[order], w[order]
    ends = np.flatnonzero(np.r_[s[1:] != s[:-1], True])
    true = np.cumsum(np.where(hit, weight, 0.0))[ends]
    all_ = np.cumsum(weight)[ends]
    if true[-1] <= 0:
        return float("nan")
    precision = true / np.maximum(all_, SMALLEST)
    return float((np.diff(np.r_[0.0, true / true[-1]]) * precision).sum())


def _log_loss(judged: Judged, w: Floats) -> float:
    p = np.clip(judged.scores, SMALLEST, 1.0 - SMALLEST)
    p = p / p.sum(axis=1, keepdims=True)
    own = p[np.arange(judged.n_rows), judged.truth]
    return float(np.average(-np.log(own), weights=w))


def _brier(judged: Judged, w: Floats) -> float:
    if judged.task is Task.BINARY:
        error = (judged.scores[:, 1] - (judged.truth == 1)) ** 2
    else:
        own = np.eye(judged.scores.shape[1])[judged.truth]
        error = ((judged.scores - own) ** 2).sum(axis=1)
    return float(np.average(error, weights=w))


def _confusion(judged: Judged, w: Floats) -> Floats:
    """Weights (k, k): truth by row, answer by column."""
    if judged.decided is None:
        raise ValueError("a measure of decisions needs `decided`, the class number of each row")
    k = judged.scores.shape[1]
    flat = np.bincount(judged.truth * k + judged.decided, weights=w, minlength=k * k)
    return np.asarray(flat.reshape(k, k))


def _accuracy(judged: Judged, w: Floats) -> float:
    table = _confusion(judged, w)
    return float(np.trace(table) / table.sum())


def _balanced_accuracy(judged: Judged, w: Floats) -> float:
    table = _confusion(judged, w)
    rows = table.sum(axis=1)
    return float(np.mean(np.diag(table)[rows > 0] / rows[rows > 0]))


def _f1(judged: Judged, w: Floats) -> float:
    table = _confusion(judged, w)
    bottom = table.sum(axis=0) + table.sum(axis=1)
    each = 2 * np.diag(table) / np.maximum(bottom, SMALLEST)
    return float(each[1]) if judged.task is Task.BINARY else float(np.mean(each[bottom > 0]))


def _precision(judged: Judged, w: Floats) -> float:
    table = _confusion(judged, w)
    return float(table[1, 1] / max(table[:, 1].sum(), SMALLEST))


def _recall(judged: Judged, w: Floats) -> float:
    table = _confusion(judged, w)
    return float(table[1, 1] / max(table[1].sum(), SMALLEST))


def _rmse(judged: Judged, w: Floats) -> float:
    return float(np.sqrt(np.average((judged.truth - judged.scores[:, 0]) ** 2, weights=w)))


def _mae(judged: Judged, w: Floats) -> float:
    return float(np.average(np.abs(judged.truth - judged.scores[:, 0]), weights=w))


def _r2(judged: Judged, w: Floats) -> float:
    mean = np.average(judged.truth, weights=w)
    total = float((w * (judged.truth - mean) ** 2).sum())
    if total <= 0:
        return float("nan")
    return 1.0 - float((w * (judged.truth - judged.scores[:, 0]) ** 2).sum()) / total


def _pinball(judged: Judged, w: Floats) -> float:
    """R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46(1), 1978."""
    off = judged.truth - judged.scores[:, 0]
    loss = np.maximum(judged.quantile * off, (judged.quantile - 1.0) * off)
    return float(np.average(loss, weights=w))


def _coverage_error(judged: Judged, w: Floats) -> float:
    covered = np.average(judged.truth <= judged.scores[:, 0], weights=w)
    return float(abs(covered - judged.quantile))


def _poisson_deviance(judged: Judged, w: Floats) -> float:
    """Twice the log likelihood that is missing to a model that knows each row."""
    mean, y = np.maximum(judged.scores[:, 0], SMALLEST), judged.truth
    logs = np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0) / mean), 0.0)
    return float(np.average(2.0 * (logs - y + mean), weights=w))


_TABLE: Mapping[str, Callable[[Judged, Floats], float]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "pinball": _pinball,
    "coverage_error": _coverage_error,
    "poisson_deviance": _poisson_deviance,
}


def silhouette(matrix: NDArray[Any], labels: NDArray[Any]) -> float:
    """The mean silhouette (Rousseeuw 1987) of evenly picked rows, NaN for fewer than two segments.

    Args:
        matrix: prepared features (n_rows, n_features); at most `SILHOUETTE_ROWS` rows are used,
            evenly spaced, so give them in an order without meaning (row hash).
        labels: segment numbers (n_rows,).

    >>> points = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> round(silhouette(points, np.array([0, 0, 1, 1])), 2)
    0.98
    """
    take = np.linspace(0, len(matrix) - 1, min(len(matrix), SILHOUETTE_ROWS)).astype(np.int64)
    x, own = np.asarray(matrix, dtype=np.float64)[take], np.asarray(labels)[take]
    names, codes, counts = np.unique(own, return_inverse=True, return_counts=True)
    if len(names) < 2:
        return float("nan")
    square = (x * x).sum(axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square[None, :] - 2 * x @ x.T, 0.0))
    np.fill_diagonal(distance, 0.0)
    sums = distance @ np.eye(len(names))[codes]
    rows = np.arange(len(x))
    inner = sums[rows, codes] / np.maximum(counts[codes] - 1, 1)
    means = sums / counts
    means[rows, codes] = np.inf
    outer = means.min(axis=1)
    value = (outer - inner) / np.maximum(np.maximum(inner, outer), SMALLEST)
    return float(np.where(counts[codes] > 1, value, 0.0).mean())
