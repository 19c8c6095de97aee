"""Which calibration a model gets: fitted on out-of-fold scores, kept only where it helps rows that
it has not seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tenfold.models.calibration import MIN_PROBABILITY, NO_CALIBRATION, Calibration
from tenfold.project.measures import Task
from tenfold.training.blend import Judge, Scores

__all__ = ["choose_calibration", "fit_isotonic", "fit_temperature"]

MIN_TEMPERATURE_ROWS = 1_000
"""Judged rows below which a temperature, one number, is not worth its own noise."""
MIN_ISOTONIC_ROWS = 1_000
"""Judged rows of the rarer class below which a curve overfits; scikit-learn's guide says the same.
"""
CURVE_BINS = 60
"""Bins of equal mass that a curve is fitted on, as many knots at most: each costs a comparison a
row, and more change no loss in the fourth digit."""
STRAIGHT = 0.02
"""Share of the curve that is the straight line, so that no two scores become equal: a pooled block
would cost rank measures what it gains nobody."""
LOG_T = 2.0
"""Temperatures that are looked at lie in e^-2 .. e^2."""

Truth = NDArray[np.intp]
Fitting = Callable[[Scores, Truth], Calibration]


def choose_calibration(judge: Judge, scores: Scores) -> Calibration:
    """The calibration of probabilities: a temperature, for two classes also a curve, or none.

    Each fold's rows are judged under what the other folds choose. None is kept unless the log loss
    falls by more than a standard error of the fall; of two that do, the one that falls more.

    Args:
        judge: the rows with out-of-fold scores.
        scores: of those rows (n_rows, k).
    """
    if judge.question.task not in (Task.BINARY, Task.MULTICLASS):
        return NO_CALIBRATION
    truth = judge.truth.astype(np.intp)
    best, chosen = 0.0, NO_CALIBRATION
    for fit in _allowed(truth, binary=judge.question.task is Task.BINARY):
        gains = _gains(fit, scores, truth, judge.fold)
        mean, error = float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
        if mean > max(best, error):
            best, chosen = mean, fit(scores, truth)
    return chosen


def _allowed(truth: Truth, *, binary: bool) -> list[Fitting]:
    fits: list[Fitting] = []
    if len(truth) >= MIN_TEMPERATURE_ROWS:
        fits.append(fit_temperature)
    if binary and np.bincount(truth, minlength=2).min() >= MIN_ISOTONIC_ROWS:
        fits.append(fit_isotonic)
    return fits


def _gains(
    fit: Fitting, scores: Scores, truth: Truth, fold: NDArray[np.int8]
) -> NDArray[np.float64]:
    """By how much the log loss of each row falls under what the other folds choose."""
    gains = np.zeros(len(truth))
    for number in sorted(set(fold.tolist())):
        here = fold == number
        if here.all():
            return gains
        made = fit(scores[~here], truth[~here]).apply(scores[here])
        gains[here] = _losses(scores[here], truth[here]) - _losses(made, truth[here])
    return gains


def _losses(scores: Scores, truth: Truth) -> NDArray[np.float64]:
    picked = scores[np.arange(len(truth)), truth]
    return np.asarray(-np.log(np.maximum(picked, MIN_PROBABILITY)))


def fit_temperature(scores: Scores, truth: Truth) -> Calibration:
    """The temperature with the least log loss.

    Args:
        scores: probabilities (n_rows, k).
        truth: class numbers (n_rows,).
    """
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        return float(_losses(Calibration(float(np.exp(log_t))).apply(scores), truth).mean())

    found = minimize_scalar(loss, bounds=(-LOG_T, LOG_T), method="bounded", options={"xatol": 1e-3})
    return Calibration(float(np.exp(found.x)))


def fit_isotonic(scores: Scores, truth: Truth) -> Calibration:
    """The rising curve of least squares through bins of equal mass, straight between the middles of
    its steps.

    Source: A. Oron and N. Flournoy, "Centered isotonic regression" (2017), for the middles.

    Args:
        scores: probabilities of two classes (n_rows, 2).
        truth: 0 or 1 (n_rows,).
    """
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(scores[:, 1], kind="stable")
    p, y = scores[order, 1], truth[order].astype(np.float64)
    cuts = np.searchsorted(p, p[np.arange(1, CURVE_BINS) * len(p) // CURVE_BINS], side="left")
    starts = np.unique(np.r_[0, cuts])
    n = np.diff(np.r_[starts, len(p)]).astype(np.float64)
    middle, share = (np.add.reduceat(values, starts) / n for values in (p, y))
    risen = isotonic_regression(share, sample_weight=n, y_min=0.0, y_max=1.0)
    blocks = np.flatnonzero(np.r_[True, np.diff(risen) > 0.0])
    mass = np.add.reduceat(n, blocks)
    x = np.clip(np.add.reduceat(n * middle, blocks) / mass, 0.0, 1.0)
    level = risen[blocks]
    inside = (x > 0.0) & (x < 1.0)
    x = np.r_[0.0, x[inside], 1.0]
    level = np.r_[level[0], level[inside], level[-1]]
    knots = np.column_stack([x, (1.0 - STRAIGHT) * level + STRAIGHT * x])
    return Calibration(knots=tuple((float(a), float(b)) for a, b in knots))
