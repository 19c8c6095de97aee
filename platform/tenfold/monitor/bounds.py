"""Confidence limits of rates and means: how well a finite reference is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["mean_upper", "rate_upper", "wilson"]


def rate_upper(
    events: npt.ArrayLike, rows: npt.ArrayLike, *, delta: float
) -> npt.NDArray[np.float64]:
    """Exact upper confidence limit of a rate (Clopper and Pearson, 1934).

    Args:
        events: how many rows had the event, any shape.
        rows: how many rows there were; 0 gives 1.
        delta: chance that the true rate is above the limit.

    >>> rate_upper(0, 100, delta=0.05).round(4).item()
    0.0295
    """
    from scipy.special import betaincinv

    hits, n = np.broadcast_arrays(np.asarray(events, float), np.asarray(rows, float))
    full = hits >= n
    limit = betaincinv(np.where(full, 1.0, hits + 1.0), np.where(full, 1.0, n - hits), 1.0 - delta)
    return np.where(full, 1.0, limit)


def mean_upper(mean: float, variance: float, n: int, *, delta: float) -> float:
    """Upper confidence limit of the mean of values in [0, 1].

    The empirical Bernstein bound of Maurer and Pontil (2009), theorem 4.

    Args:
        mean: of the sample.
        variance: of the sample, divided by ``n - 1``.
        n: rows; below 2 gives 1.
        delta: chance that the true mean is above the limit.

    >>> round(mean_upper(0.1, 0.01, 10_000, delta=0.001), 4)
    0.1057
    """
    if n < 2:
        return 1.0
    spread = math.log(2.0 / delta)
    limit = mean + math.sqrt(2.0 * variance * spread / n) + 7.0 * spread / (3.0 * (n - 1))
    return min(limit, 1.0)


def wilson(rate: float, n: int, *, z: float = 1.96) -> tuple[float, float]:
    """Two-sided interval of a rate (Wilson, 1927).

    Args:
        rate: share of the rows, in [0, 1].
        n: rows; 0 gives (0, 1).
        z: normal quantile; 1.96 covers 95 %.

    >>> low, high = wilson(0.0, 100)
    >>> low, round(high, 3)
    (0.0, 0.037)
    """
    if n == 0:
        return 0.0, 1.0
    center = rate + z * z / (2 * n)
    half = z * math.sqrt(rate * (1.0 - rate) / n + z * z / (4.0 * n * n))
    scale = 1.0 + z * z / n
    return max(0.0, (center - half) / scale), min(1.0, (center + half) / scale)
