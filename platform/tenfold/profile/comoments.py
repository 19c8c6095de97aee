"""Co-moments of number columns, pairwise complete and mergeable: the ground of correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tenfold.profile.bits import both_set, packed
from tenfold.profile.grid import Floats, Ints

__all__ = ["MAX_COMOMENTS", "CoMoments"]

MAX_COMOMENTS = 200
"""Most columns: four matrices of 200 x 200 are 1.3 MB, and a heat map of more is unreadable."""


_STRIP = 4
_ROWS = 4096
"""Columns and rows that are multiplied at once: they stay in a core's cache."""
_MOST_PLACES = 2**18
"""Missing cells that are looked up at once, 2 MB."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CoMoments:
    """For each pair (i, j) over the rows where both have values.

    Source: Chan, Golub, LeVeque (1979), equation 2.1, for each pair.

    Attributes:
        names: columns, shape (n_columns,).
        n: rows, shape (n_columns, n_columns), symmetric.
        mean: ``mean[i, j]`` is the mean of column i where j has a value.
        m2: ``m2[i, j]`` is column i's sum of squared deviations where j has a value.
        c2: sums of products of deviations, symmetric.
    """

    names: tuple[str, ...]
    n: Ints
    mean: Floats
    m2: Floats
    c2: Floats

    @classmethod
    def from_columns(cls, names: Sequence[str], columns: Sequence[Floats]) -> CoMoments:
        """Summarize rows.

        Args:
            names: the columns' names.
            columns: each of shape (n_rows,); what is not finite is missing.
        """
        n_columns, n_rows = len(columns), len(columns[0]) if len(columns) else 0
        shifted = np.empty((n_columns, n_rows))
        missing = np.empty((n_columns, n_rows), dtype=np.bool_)
        shift = np.zeros(n_columns)
        with np.errstate(over="ignore", invalid="ignore"):
            for i, column in enumerate(columns):
                values = shifted[i]
                np.copyto(values, column)
                np.logical_not(np.isfinite(column), out=missing[i])
                away = np.flatnonzero(missing[i])  # by places: ten times as fast as by a mask
                values[away] = 0.0
                # Shifted by the column's mean, so that the squares do not cancel.
                shift[i] = values.sum() / max(n_rows - len(away), 1)
                values -= shift[i]
                values[away] = 0.0
            products = _products(shifted)
            n, sums, squares = _where_present(shifted, missing, np.diag(products))
            divisor = np.maximum(n, 1)
            c2 = products - sums * sums.T / divisor
            m2 = squares - sums * sums / divisor
            mean = np.where(n > 0, shift[:, None] + sums / divisor, 0.0)
        return cls(tuple(names), n, mean, np.maximum(m2, 0.0), c2)

    def merge(self, other: CoMoments) -> CoMoments:
        """The co-moments over the rows of both; the columns must be the same."""
        n = self.n + other.n
        divisor = np.maximum(n, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            delta = other.mean - self.mean
            weight = self.n * (other.n / divisor)
            empty = (self.n == 0) | (other.n == 0)
            mean = np.where(
                empty,
                np.where(self.n == 0, other.mean, self.mean),
                self.mean + delta * (other.n / divisor),
            )
            apart = np.where(empty, 0.0, delta)
            m2 = self.m2 + other.m2 + apart * apart * weight
            c2 = self.c2 + other.c2 + apart * apart.T * weight
        return CoMoments(self.names, n, mean, m2, c2)

    def pearson(self) -> Floats:
        """Pearson correlations, shape (n_columns, n_columns), as `pandas.DataFrame.corr` defines.

        NaN where a pair has fewer than two common rows or one side does not vary.

        >>> x = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.5]])
        >>> CoMoments.from_columns(["a", "b"], x).pearson().round(4)
        array([[1.    , 0.9979],
               [0.9979, 1.    ]])
        """
        # Below this share of the mean square, deviations are rounding: the column is constant.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            noise = 1e-24 * np.maximum(self.n, 1) * self.mean * self.mean
            varies = (self.m2 > noise) & (self.n > 1)
            r = self.c2 / (np.sqrt(self.m2) * np.sqrt(self.m2.T))
        return np.asarray(np.where(varies & varies.T, np.clip(r, -1.0, 1.0), np.nan))

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The arrays by name, for storing."""
        return {"n": self.n, "mean": self.mean, "m2": self.m2, "c2": self.c2}


def _where_present(
    values: Floats, missing: Mask, all_squares: Floats
) -> tuple[Ints, Floats, Floats]:
    """``out[i, j]``: rows with both columns, and over the rows with column j the sum of column i
    and of its squares.

    Told from the whole sum and the few rows without column j: products of masks and values over
    all rows were half of a profile's time (65,536 rows of 20 columns with 2 % missing). A column
    is looked up for all j at once, while it is in the cache.
    """
    n_columns, n_rows = values.shape
    own = n_rows - np.array([np.count_nonzero(mask) for mask in missing], dtype=np.int64)
    few = 2 * own >= n_rows
    n = own - (n_rows - own)[:, None] + both_set(packed(missing))
    sums = np.where(few, values.sum(axis=1)[:, None], 0.0)
    squares = np.where(few, all_squares[:, None], 0.0)
    sign = np.where(few, -1.0, 1.0)
    sizes = np.where(few, n_rows - own, own)
    strip = np.cumsum(sizes) // _MOST_PLACES
    for columns in np.split(np.arange(n_columns), np.flatnonzero(np.diff(strip)) + 1):
        columns = columns[sizes[columns] > 0]
        if not len(columns):
            continue
        rows = [np.flatnonzero(missing[j] if few[j] else ~missing[j]) for j in columns]
        places, starts = np.concatenate(rows), np.cumsum(sizes[columns]) - sizes[columns]
        there = np.empty(len(places))
        for i in range(n_columns):
            np.take(values[i], places, out=there, mode="clip")  # unchecked: twice as fast
            sums[i, columns] += sign[columns] * np.add.reduceat(there, starts)
            np.multiply(there, there, out=there)
            squares[i, columns] += sign[columns] * np.add.reduceat(there, starts)
    return n, sums, squares


def _products(values: Floats) -> Floats:
    """``values @ values.T`` with bits that depend neither on the number of threads nor on the kind
    of core, as BLAS's do: fitted numbers come from them. BLAS would take a quarter of the time, 2
    milliseconds of 8 for 20 columns of 65,536 rows, which is 5 % of a scan.

    Only the upper triangle is worked out.
    """
    n_columns, n_rows = values.shape
    out = np.zeros((n_columns, n_columns))
    for start in range(0, n_rows, _ROWS):
        part = values[:, start : start + _ROWS]
        for at in range(0, n_columns, _STRIP):
            strip = part[at : at + _STRIP]
            out[at : at + _STRIP, at:] += np.einsum("ik,jk->ij", strip, part[at:], optimize=False)
    return np.triu(out) + np.triu(out, 1).T
