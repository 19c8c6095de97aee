"""Values by their rank over many sorted files, without bringing them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["from_sortable", "order_statistics", "to_sortable"]

Sortable = NDArray[np.uint64]

_SIGN = np.uint64(1 << 63)


def to_sortable(values: NDArray[np.int64] | NDArray[np.float64]) -> Sortable:
    """Unsigned words in the order of the values, which must not be NaN; any shape.

    >>> words = to_sortable(np.array([-1.5, 0.0, 2.0]))
    >>> bool((words[1:] > words[:-1]).all()), from_sortable(words, np.float64).tolist()
    (True, [-1.5, 0.0, 2.0])
    """
    if values.dtype.kind != "f":
        return np.asarray(values.astype(np.int64).view(np.uint64) ^ _SIGN)
    words = (values.astype(np.float64) + 0.0).view(np.uint64)  # -0 is 0
    return np.asarray(np.where(words & _SIGN, ~words, words | _SIGN), dtype=np.uint64)


def from_sortable(words: Sortable, kind: Any) -> NDArray[Any]:
    """The inverse of `to_sortable`.

    Args:
        words: any shape.
        kind: NumPy's type of the values, ``int64`` or ``float64``.
    """
    if np.dtype(kind).kind != "f":
        return np.asarray((words ^ _SIGN).view(np.int64))
    return np.asarray(np.where(words & _SIGN, words ^ _SIGN, ~words).view(np.float64))


def order_statistics(parts: Sequence[Sortable], ranks: NDArray[np.int64]) -> Sortable:
    """The values at some ranks among those of all parts together.

    A bisection over the 64 bits of the values, all ranks at once: the parts may be mapped files,
    of which only the pages around the answers are read.

    Args:
        parts: each sorted.
        ranks: from 0, below the number of all values; shape (n_ranks,).

    Returns:
        Shape (n_ranks,).

    >>> parts = [np.array([1, 5], np.uint64), np.array([2, 2, 9], np.uint64)]
    >>> order_statistics(parts, np.array([0, 1, 2, 3, 4])).tolist()
    [1, 2, 2, 5, 9]
    """
    found = np.zeros(len(ranks), dtype=np.uint64)
    for bit in range(63, -1, -1):
        tried = found | np.uint64(1 << bit)
        below = np.zeros(len(ranks), dtype=np.int64)
        for part in parts:
            below += np.searchsorted(part, tried, side="left")
        found = np.where(below <= ranks, tried, found)  # the answer is the tried one or larger
    return found
