"""Contributions of columns to any answer, by walks from known rows to the row in question.

A walk starts at a background row and takes over the columns of the row one by one, in some order;
what the answer changes by is that column's. The mean over walks estimates the Shapley values of the
answer with columns left out meaning: taken from the background. The steps of a walk add up to the
whole way, so contributions always add up to the answer minus the mean answer of the background.

Every order is walked forth and back from the same row, which cancels most of its luck. Orders are
frozen: the same row gets the same contributions every time.

Source: E. Strumbelj and I. Kononenko, "Explaining prediction models and individual predictions with
feature contributions" (2014), algorithm 1; R. Mitchell et al., "Sampling permutations for Shapley
value estimation" (2022), section 4, for orders with their reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_BACKGROUND", "n_evaluations", "walked"]

Floats = NDArray[np.float64]

N_BACKGROUND: Final = 32
"""Rows that walks start from, two walks each. Of a function of steps, products and a curve the mean
error is then below a twentieth of the largest contribution (a test)."""
_SEED: Final = 20_310_504


def n_evaluations(n_groups: int) -> int:
    """Answers that one row's contributions cost.

    >>> n_evaluations(14)
    896
    """
    return 2 * N_BACKGROUND * n_groups


def walked(
    score: Callable[[Floats], Floats],
    rows: Floats,
    background: Floats,
    groups: Sequence[NDArray[np.intp]],
) -> tuple[Floats, Floats]:
    """Contributions of groups of columns.

    Args:
        score: rows (m, width) to scores (m, k); each row alone decides its score.
        rows: to explain, (n_rows, width); not changed.
        background: to start from, (n_background, width), at least one; the first `N_BACKGROUND`.
        groups: places of the columns that change together; disjoint, all of them.

    Returns:
        Contributions (n_rows, n_groups, k), and the base: the background's mean scores (k,).

    >>> line = lambda x: x @ np.array([[2.0], [1.0]])
    >>> parts, base = walked(line, np.array([[1.0, 1.0]]), np.zeros((1, 2)), [[0], [1]])
    >>> parts.ravel().tolist(), base.tolist()
    ([2.0, 1.0], [0.0])
    """
    starts = np.asarray(background[:N_BACKGROUND], dtype=np.float64)
    base = score(starts)
    orders = _orders(len(starts), len(groups))
    out = np.empty((len(rows), len(groups), base.shape[1]))
    for number, row in enumerate(rows):
        out[number] = _row(score, row, starts, base, orders, groups)
    return out, np.asarray(base.mean(axis=0))


def _orders(n_starts: int, n_groups: int) -> NDArray[np.intp]:
    """(n_starts, n_groups), the same whoever asks."""
    rng = np.random.default_rng([_SEED, n_groups])
    return np.array([rng.permutation(n_groups) for _ in range(n_starts)], dtype=np.intp)


def _row(
    score: Callable[[Floats], Floats],
    row: Floats,
    starts: Floats,
    base: Floats,
    orders: NDArray[np.intp],
    groups: Sequence[Any],
) -> Floats:
    n_groups, n_starts = len(groups), len(starts)
    both = np.concatenate([orders, orders[:, ::-1]])
    steps = np.repeat(np.concatenate([starts, starts])[:, None, :], n_groups, axis=1)
    # At step s of a walk everything up to its s-th group is the row's own.
    when = np.argsort(both, axis=1)  # (n_walks, n_groups): the step at which a group changes
    for group, places in enumerate(groups):
        taken = when[:, group, None] <= np.arange(n_groups)[None, :]
        for place in places:
            steps[:, :, place] = np.where(taken, row[place], steps[:, :, place])
    scores = score(steps.reshape(-1, steps.shape[2])).reshape(2 * n_starts, n_groups, -1)
    before = np.concatenate([np.concatenate([base, base])[:, None, :], scores[:, :-1]], axis=1)
    gains = scores - before  # by step; each walk has its own order of groups
    by_group = np.take_along_axis(gains, when[:, :, None], axis=1)
    return np.asarray(by_group.mean(axis=0))
