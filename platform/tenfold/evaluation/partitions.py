"""Measures of ways to cut rows into segments: how two cuts agree, how far segments overlap.

Plain NumPy; the tests compare each with scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["adjusted_rand", "davies_bouldin", "mean_agreement"]

Labels = NDArray[Any]


def adjusted_rand(one: Labels, other: Labels) -> float:
    """How far two cuts of the same rows agree beyond chance (Hubert and Arabie 1985).

    Args:
        one: segment numbers (n_rows,).
        other: segment numbers of the same rows; names need not match.

    Returns:
        1 for equal cuts, about 0 for unrelated ones, at least -0.5.

    Raises:
        ValueError: the cuts have not the same rows.

    >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2]))
    1.0
    >>> round(adjusted_rand(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])), 3)
    -0.5
    """
    if one.shape != other.shape:
        raise ValueError(
            f"two cuts of the same rows have one shape, not {one.shape}, {other.shape}"
        )
    _, a = np.unique(one, return_inverse=True)
    _, b = np.unique(other, return_inverse=True)
    width = int(b.max(initial=-1)) + 1
    cells = np.bincount(a * width + b)
    both, first, second = (_pairs(counts) for counts in (cells, np.bincount(a), np.bincount(b)))
    total = _pairs(np.array([len(a)]))
    if total == 0:
        return 1.0
    chance = first * second / total
    most = (first + second) / 2
    return 1.0 if most == chance else float((both - chance) / (most - chance))


def _pairs(counts: NDArray[Any]) -> float:
    """Pairs of rows that share a cell."""
    n = counts.astype(np.float64)
    return float((n * (n - 1) / 2).sum())


def mean_agreement(cuts: Sequence[Labels]) -> float:
    """The mean `adjusted_rand` of each two of some cuts, NaN for fewer than two."""
    found = [adjusted_rand(one, other) for one, other in combinations(cuts, 2)]
    return float(np.mean(found)) if found else float("nan")


def davies_bouldin(matrix: NDArray[Any], labels: Labels) -> float:
    """How far segments overlap (Davies and Bouldin 1979): the spread of each with that of its worst
    neighbor over the distance of their centers, on average.

    Args:
        matrix: prepared features (n_rows, n_features).
        labels: segment numbers (n_rows,).

    Returns:
        From 0, smaller is better; NaN for fewer than two segments, or where centers coincide.

    >>> points = np.array([[0.0], [0.2], [5.0], [5.2]])
    >>> round(davies_bouldin(points, np.array([0, 0, 1, 1])), 3)
    0.04
    """
    names, codes = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        return float("nan")
    x = np.asarray(matrix, dtype=np.float64)
    centers = np.stack([x[codes == k].mean(axis=0) for k in range(len(names))])
    away = np.sqrt(((x - centers[codes]) ** 2).sum(axis=1))
    spread = np.bincount(codes, weights=away) / np.bincount(codes)
    apart = np.sqrt(((centers[:, None, :] - centers[None, :, :]) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    if (apart == 0.0).any():
        return float("nan")
    return float(((spread[:, None] + spread[None, :]) / apart).max(axis=1).mean())
