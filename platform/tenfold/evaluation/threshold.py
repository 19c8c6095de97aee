"""The threshold of a binary answer, chosen on out-of-fold rows and never on the test rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_threshold"]


def best_threshold(
    probability: NDArray[np.float64],
    positive: NDArray[np.bool_],
    *,
    metric: str = "f1",
    costs: tuple[float, float] | None = None,
) -> float:
    """The cut at which calling rows positive pays most.

    Every cut between two neighboring probabilities is tried, none and all included; the answer
    lies in the middle of the gap, so that the last bits of another engine do not turn a row.

    Args:
        probability: out-of-fold probability of the positive class (n_rows,).
        positive: the truth (n_rows,).
        metric: accuracy, balanced_accuracy or f1; any other metric is served by f1.
        costs: (false positive, false negative) in one unit; given, the cheapest cut wins.

    Returns:
        A threshold in 0..1; rows at or above it are positive.

    >>> p, y = np.array([0.1, 0.3, 0.6, 0.8]), np.array([False, False, True, True])
    >>> round(best_threshold(p, y), 3)
    0.45
    """
    order = np.argsort(-probability, kind="stable")
    p, y = probability[order], positive[order].astype(np.float64)
    n, n_positive = len(p), float(y.sum())
    if n == 0 or n_positive in (0.0, float(n)):
        return 0.5
    called = np.r_[0, np.flatnonzero(np.r_[p[1:] != p[:-1], True]) + 1]
    called = called if p[0] < 1.0 else called[1:]
    true = np.r_[0.0, np.cumsum(y)][called]
    false = called - true
    if costs is not None:
        gain = -(costs[0] * false + costs[1] * (n_positive - true))
    elif metric == "accuracy":
        gain = true - false
    elif metric == "balanced_accuracy":
        gain = true / n_positive - false / (n - n_positive)
    else:
        gain = 2 * true / (called + n_positive)
    edge = int(called[np.argmax(gain)])
    padded = np.r_[1.0, p, 0.0]
    return float((padded[edge] + padded[edge + 1]) / 2)
