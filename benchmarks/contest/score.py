"""Scores of one run and the comparison of two: paired over the same resampled test rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contest.tables import Table

__all__ = ["REPLICATES", "better", "compare", "majority", "score", "score_with_replicates"]

REPLICATES = 100
_SEED = 20
_EPSILON = 1e-15

Scores = NDArray[np.float64]


def score(table: Table, truth: Sequence[str], classes: Sequence[str], scores: Scores) -> float:
    """The table's metric.

    Args:
        table: says which metric.
        truth: the target of the test rows, as text.
        classes: names of the columns of ``scores``; empty for regression.
        scores: (n_rows, n_classes) probabilities, or (n_rows, 1) predicted numbers.
    """
    from sklearn.metrics import log_loss, roc_auc_score

    if table.task == "regression":
        errors = np.asarray([float(value) for value in truth]) - scores[:, 0]
        return float(np.sqrt(np.mean(errors**2)))
    names = [name.strip() for name in classes]
    if table.task == "binary":
        positive = scores[:, names.index(str(table.positive))]
        return float(roc_auc_score([value == table.positive for value in truth], positive))
    codes = [names.index(value) for value in truth]
    clipped = np.clip(scores, _EPSILON, 1.0)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return float(log_loss(codes, clipped, labels=list(range(len(names)))))


def score_with_replicates(
    table: Table, truth: Sequence[str], classes: Sequence[str], scores: Scores
) -> tuple[float, list[float]]:
    """The score and those of `REPLICATES` resamples of the test rows: the same resamples for every
    system, so that differences of two lists are paired."""
    random = np.random.default_rng(_SEED)
    known = np.asarray(truth)
    replicates = []
    for _ in range(REPLICATES):
        rows = random.integers(0, len(known), len(known))
        replicates.append(score(table, known[rows].tolist(), classes, scores[rows]))
    return score(table, truth, classes, scores), replicates


def better(table: Table, one: float, other: float) -> bool:
    """Whether a score beats another."""
    return one > other if table.metric == "roc_auc" else one < other


def compare(
    table: Table, ours: tuple[float, Sequence[float]], theirs: tuple[float, Sequence[float]]
) -> str:
    """``win``, ``tie`` (within one paired-bootstrap standard error) or ``loss`` of ours."""
    spread = float(np.std(np.subtract(ours[1], theirs[1]), ddof=1))
    if abs(ours[0] - theirs[0]) <= spread:
        return "tie"
    return "win" if better(table, ours[0], theirs[0]) else "loss"


def majority(outcomes: Sequence[str]) -> str:
    """What most seeds say; without a majority a tie.

    >>> majority(["win", "loss", "win"]), majority(["win", "loss"]), majority(["loss"])
    ('win', 'tie', 'loss')
    """
    for outcome in ("win", "loss"):
        if 2 * outcomes.count(outcome) > len(outcomes):
            return outcome
    return "tie"
