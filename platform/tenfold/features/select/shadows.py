"""Which columns are worth more than noise: their gain against the gain of shuffled copies.

A *shadow* is a copy of a column with its values shuffled over the rows: it has the column's
distribution and no connection with the target, so what a booster gains from it is what chance
gains. A column stays if it gains more than every shadow in most of the parts that it is tried on.

Source: M. Kursa and W. Rudnicki, "Feature selection with the Boruta package" (2010), with held-out
parts in place of repeated forests; stability as in N. Meinshausen and P. Buehlmann, "Stability
selection" (2010).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_SHADOWS", "add_shadows", "beats_shadows"]

MAX_SHADOWS = 32
"""The largest of so many gains of chance is rarely beaten by chance: once in 33 for one part, and
about once in 400 for two of three."""
SHARE_OF_PARTS = 0.6
"""Two of three parts: one alone may be luck, and all three lose a weak column to one bad part."""

Matrix = npt.NDArray[np.float32]


def add_shadows(matrix: Matrix, *, seed: int) -> Matrix:
    """The matrix with shuffled copies of some of its columns behind.

    Args:
        matrix: (n_rows, n_columns), in an order without meaning.
        seed: of the choice and the shuffles.

    Returns:
        (n_rows, n_columns + n_shadows), n_shadows at most `MAX_SHADOWS` and n_columns.
    """
    random = np.random.default_rng(seed)
    n_rows, n_columns = matrix.shape
    chosen = random.permutation(n_columns)[:MAX_SHADOWS]
    shadows = [matrix[random.permutation(n_rows), column] for column in chosen]
    return np.column_stack([matrix, *shadows]).astype(np.float32)


def beats_shadows(gains: npt.NDArray[np.float64], *, n_columns: int) -> npt.NDArray[np.bool_]:
    """Which columns stay.

    Args:
        gains: (n_parts, n_columns + n_shadows), at least one shadow.
        n_columns: how many of them are no shadows.

    Returns:
        bool (n_columns,).

    >>> gains = np.array([[5.0, 1.0, 2.0], [6.0, 3.0, 2.0], [4.0, 0.0, 1.0]])
    >>> beats_shadows(gains, n_columns=2)
    array([ True, False])
    """
    best_shadow = gains[:, n_columns:].max(axis=1, keepdims=True)
    wins = (gains[:, :n_columns] > best_shadow).mean(axis=0)
    return np.asarray(wins >= SHARE_OF_PARTS)
