"""Which rows hang together, from any number of links: one number a row, whatever the links."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["WINDOW", "Forest"]

WINDOW = 2**20
"""Rows or links worked on at once: about 100 MB."""

Rows = NDArray[np.int64]


class Forest:
    """Groups of linked rows; each group is a tree whose root is its least row.

    Four bytes a row up to 2^31 rows, eight above.

    Args:
        n_rows: how many there are; every row is alone at first.

    >>> forest = Forest(4)
    >>> forest.join(np.array([3]), np.array([1]))
    >>> forest.leaders().tolist()
    [0, 1, 2, 1]
    """

    def __init__(self, n_rows: int) -> None:
        self._parent: NDArray[Any] = np.arange(
            n_rows, dtype=np.int32 if n_rows < 2**31 else np.int64
        )

    def join(self, first: Rows, second: Rows) -> None:
        """Link rows ``first[i]`` and ``second[i]``; shapes (n_links,)."""
        for start in range(0, len(first), WINDOW):
            self._join(first[start : start + WINDOW], second[start : start + WINDOW])

    def leaders(self) -> NDArray[Any]:
        """The least row of each row's group, shape (n_rows,); not a copy, so join no more."""
        for start in range(0, len(self._parent), WINDOW):  # roots are to the left: in one sweep
            window = slice(start, start + WINDOW)
            self._parent[window] = self._roots(self._parent[window])
        return self._parent

    def _roots(self, rows: NDArray[Any]) -> NDArray[Any]:
        found = self._parent[rows]
        while True:
            higher = self._parent[found]
            if bool((higher == found).all()):
                return np.asarray(found)
            found = higher

    def _join(self, first: Rows, second: Rows) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        one, two = self._roots(first), self._roots(second)
        self._parent[first], self._parent[second] = one, two  # short ways for later
        apart = one != two
        ends = np.concatenate([one[apart], two[apart]])
        if not len(ends):
            return
        trees, node = np.unique(ends, return_inverse=True)
        pairs = node.reshape(2, -1)
        shape = (len(trees), len(trees))
        links = coo_array((np.ones(pairs.shape[1], dtype=np.int8), (pairs[0], pairs[1])), shape)
        _, group = connected_components(links, directed=False)
        _, least = np.unique(group, return_index=True)  # trees are sorted: the first is the least
        self._parent[trees] = trees[least[group]]
