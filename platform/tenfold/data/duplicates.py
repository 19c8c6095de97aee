"""Which rows are there twice: equal in every column, or another version of the same key.

Peak memory about 50 bytes a row: 16 of hash, 8 each of order, place and time, and sorting.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DROPPED", "KEPT", "REPLACED", "first_of_equals", "mark_duplicates"]

KEPT = 0
"""A row that stays; its label is not decided yet."""
DROPPED = -2
"""Label of a row equal to one that is kept; it never reaches a snapshot."""
REPLACED = -3
"""Label of an older version of a row: same key, other values."""

Labels = NDArray[np.int8]
Times = NDArray[np.int64] | NDArray[np.float64]


def mark_duplicates(
    hashes: NDArray[np.uint64],
    *,
    drop_equal: bool,
    named: NDArray[np.uint64] | None = None,
    time: Times | None = None,
) -> Labels:
    """`KEPT`, `DROPPED` or `REPLACED` for each row; shape (n_rows,).

    Args:
        hashes: row hashes, shape (n_rows, 2).
        drop_equal: keep only the first of rows equal in every column.
        named: hash of the key, or the row's own hash where it has none; shape (n_rows, 2). The
            newest row of each key is kept. None: keys do not matter.
        time: when a row is from, shape (n_rows,); rows of one time, or all without it, are newer
            the later they stand in the source.

    >>> rows, keys = np.array([[1, 0], [2, 0], [1, 0]], np.uint64), np.zeros((3, 2), np.uint64)
    >>> mark_duplicates(rows, drop_equal=True).tolist()
    [0, 0, -2]
    >>> mark_duplicates(rows, drop_equal=True, named=keys).tolist()
    [-2, -3, 0]
    """
    labels = np.zeros(len(hashes), dtype=np.int8)
    keyed = np.zeros(len(hashes), dtype=bool)
    if named is not None:
        keyed = (named != hashes).any(axis=1)
        newest = _newest(named, time)
        equal = (hashes == hashes[newest]).all(axis=1)
        older = keyed & (newest != np.arange(len(hashes)))
        labels[older] = np.where(equal[older], DROPPED, REPLACED)
    if drop_equal:
        first = first_of_equals(hashes)
        labels[~keyed & (first != np.arange(len(first)))] = DROPPED
    return labels


def first_of_equals(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each row, the first row with the same hash; shapes (n_rows, 2) and (n_rows,)."""
    n_rows = len(hashes)
    return _leaders(hashes, np.lexsort((np.arange(n_rows), hashes[:, 1], hashes[:, 0])))


def _newest(named: NDArray[np.uint64], time: Times | None) -> NDArray[np.int64]:
    """For each row, the newest row of the same key; shape (n_rows,)."""
    later = -np.arange(len(named))
    within = (later,) if time is None else (later, -time)
    return _leaders(named, np.lexsort((*within, named[:, 1], named[:, 0])))


def _leaders(hashes: NDArray[np.uint64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first row, in an order that has equal hashes together, of each row's equals."""
    ranked = hashes[order]
    start = np.ones(len(order), dtype=bool)
    start[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    out = np.empty(len(order), dtype=np.int64)
    out[order] = order[start][np.cumsum(start) - 1]
    return out
