"""The exponent of a Yeo-Johnson transform, by maximum likelihood from weighted values."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tenfold.features.codes import Codes
from tenfold.features.ops.power import MAX_LAMBDA, yeo_johnson
from tenfold.profile.grid import Ints

__all__ = ["fit_lambda"]

MAX_CELLS = 4096
"""Most values that the likelihood looks at; more are averaged with their neighbors, which moves
lambda by less than 1e-3 (a test holds it on a heavy tail) and bounds a fit to milliseconds."""

_DIGITS = 4
"""Digits of lambda: finer ones are far below its error, and would depend on the CPU's logarithm."""

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_STEPS = 28
"""Steps of a golden section from 10 wide to 1e-5."""


def fit_lambda(values: Codes, counts: Ints) -> float:
    """The lambda under which the values look most like a normal distribution.

    The negative log-likelihood is convex in lambda (T. Marchand et al., "SecureFedYJ" (2022),
    theorem 1), so a golden section finds its one minimum; it agrees with SciPy's within 1e-3 where
    that one lies within `MAX_LAMBDA`.

    Args:
        values: sorted, float64 (n_values,), within the range of a float32.
        counts: rows of each.

    Returns:
        From -`MAX_LAMBDA` to `MAX_LAMBDA`, with four digits; 1 (no change) with fewer than three
        different values, which no exponent makes normal.

    >>> rng = np.random.default_rng(0)
    >>> x = np.sort(np.exp(rng.normal(3.0, 1.0, 2000)))
    >>> -0.2 < fit_lambda(x, np.ones(2000, dtype=np.int64)) < 0.1
    True
    """
    if len(np.unique(values)) < 3:
        return 1.0
    values, weights = _thinned(values, counts)
    lean = float(np.sum(weights * np.copysign(np.log1p(np.abs(values)), values)))

    def likelihood(bend: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            bent = yeo_johnson(values, bend)
            apart = bent - np.sum(bent * weights)
            variance = float(np.sum(apart * apart * weights))
        if not math.isfinite(variance) or variance <= 0.0:
            return -math.inf
        return -0.5 * math.log(variance) + (bend - 1.0) * lean

    best = round(_highest(likelihood), _DIGITS)
    # A flat likelihood (constant but for noise) has no best: the column stays as it is.
    return best + 0.0 if likelihood(best) > likelihood(1.0) else 1.0


def _highest(likelihood: Callable[[float], float]) -> float:
    """Where a function with one hill within `MAX_LAMBDA` is highest, by golden section."""
    low, high = -MAX_LAMBDA, MAX_LAMBDA
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = likelihood(left), likelihood(right)
    for _ in range(_STEPS):
        if at_left < at_right:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = likelihood(right)
        else:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = likelihood(left)
    return (low + high) / 2.0


def _thinned(values: Codes, counts: Ints) -> tuple[Codes, Codes]:
    """At most `MAX_CELLS` values with their shares: neighbors are averaged, the ends stay apart."""
    total = float(counts.sum())
    if len(values) <= MAX_CELLS:
        return values, counts / total
    begins = np.linspace(1, len(values) - 1, MAX_CELLS - 1).astype(np.intp)
    begins = np.concatenate([[0], begins])
    weights = np.add.reduceat(counts, begins) / total
    return np.add.reduceat(values * (counts / total), begins) / weights, weights
