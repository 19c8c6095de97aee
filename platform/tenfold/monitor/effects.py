"""Effect sizes: how large a difference is, for people. Evidence decides, these explain.

Both are corrected for the bias of small samples, so that healthy traffic shows about 0 and not a
number that shrinks as more rows arrive.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["kolmogorov_smirnov", "population_stability"]

FLOOR = 1e-4
"""Smallest share in the logarithm: an empty cell must not be infinitely different."""

KS_NULL_MEAN = 0.8687
"""Mean of the Kolmogorov distribution, ``sqrt(pi/2) log 2``: what pure noise shows."""


def population_stability(reference: npt.ArrayLike, live: npt.ArrayLike) -> float:
    """Population stability index of two vectors of counts, bias removed, at least 0.

    ``sum (q - p) log(q / p)`` less its mean under no change, ``(K - 1)(1/n + 1/m)`` (Yurdakul,
    2018), K counting the cells that either side uses.

    Args:
        reference: counts ``(n_cells,)``.
        live: counts ``(n_cells,)`` of the same cells; 0 rows give 0.

    >>> population_stability([500, 500], [500, 500])
    0.0
    >>> round(population_stability([5000, 5000], [6000, 4000]), 3)
    0.04
    """
    before, after = np.asarray(reference, float), np.asarray(live, float)
    n, m = before.sum(), after.sum()
    if n == 0 or m == 0:
        return 0.0
    used = int(np.count_nonzero(before + after))
    p, q = np.maximum(before / n, FLOOR), np.maximum(after / m, FLOOR)
    index = float(np.sum((q - p) * np.log(q / p)))
    return max(0.0, index - (used - 1) * float(1.0 / n + 1.0 / m))


def kolmogorov_smirnov(reference: npt.ArrayLike, live: npt.ArrayLike) -> float:
    """Kolmogorov-Smirnov distance over frozen cells, noise removed, in [0, 1].

    The distance is taken at the cells' edges and shrunk by what pure noise shows on average,
    ``sqrt(max(0, D^2 - c^2 (1/n + 1/m)))`` with c = 0.8687.

    Args:
        reference: counts ``(n_cells,)`` in order of value.
        live: counts ``(n_cells,)`` of the same cells; 0 rows give 0.

    >>> kolmogorov_smirnov([500, 500], [1000, 0]) > 0.49
    True
    """
    before, after = np.asarray(reference, float), np.asarray(live, float)
    n, m = before.sum(), after.sum()
    if n == 0 or m == 0:
        return 0.0
    distance = float(np.abs(np.cumsum(before / n - after / m)).max())
    return math.sqrt(max(0.0, distance**2 - KS_NULL_MEAN**2 * (1.0 / n + 1.0 / m)))
