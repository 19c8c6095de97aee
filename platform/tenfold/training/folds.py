"""Which folds a model is fitted on and judged on: the one place with that rule.

Rows carry a fold number: 0..k-1 by hash where order has no meaning, time slices 0..k where it has,
and -1 for the sealed test rows, which no plan ever names.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STOP_EVERY", "TEST_FOLD", "FoldUse", "fold_plan"]

TEST_FOLD = -1
"""The sealed test rows: only the last metrics see them."""
STOP_EVERY = 10
"""One training row in ten decides when a fit stops: enough to see the bend, little to give away."""


@dataclass(frozen=True, slots=True)
class FoldUse:
    """One split: fitted on the folds ``train``, judged on the fold ``valid``."""

    train: tuple[int, ...]
    valid: int


def fold_plan(n_folds: int, *, ordered: bool) -> tuple[FoldUse, ...]:
    """The splits of a cross-validation with ``n_folds`` judged folds.

    Args:
        n_folds: judged folds, from 2. Ordered rows have one slice more: slice 0 is never judged.
        ordered: rows have an order in time; a slice is judged by models of *earlier* slices only.

    Raises:
        ValueError: fewer than two folds.

    >>> fold_plan(3, ordered=False)[0]
    FoldUse(train=(1, 2), valid=0)
    >>> [(use.train, use.valid) for use in fold_plan(3, ordered=True)]
    [((0,), 1), ((0, 1), 2), ((0, 1, 2), 3)]
    """
    if n_folds < 2:
        raise ValueError(f"cross-validation needs two folds or more, got {n_folds}")
    if ordered:
        return tuple(FoldUse(tuple(range(j)), j) for j in range(1, n_folds + 1))
    every = range(n_folds)
    return tuple(FoldUse(tuple(k for k in every if k != j), j) for j in every)
