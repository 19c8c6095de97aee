"""A column of numbers counted by places that are known before: values, or cells of a grid."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from tenfold.profile.association import NumberAssociation, Target
from tenfold.profile.distinct import hash_numbers, smallest_hashes
from tenfold.profile.grid import Floats, cell_middles, snap
from tenfold.profile.numbers import Moments, NumberProfile
from tenfold.profile.target import TargetStats

__all__ = ["MOST_PLACES", "Counted", "GridTable", "PlaceTable"]

Places = npt.NDArray[np.intp]

MOST_PLACES = 2**18
"""Most cells of a table, those of both signs."""
_MOST_FINE = 2**20
_MOST_LEFT = 1 / 128
"""A grid that would leave more of the known rows aside is not worth its table."""
_NEVER = np.uint64(2**64 - 1)


class PlaceTable(Protocol):
    """Finds the place of values among sorted ones."""

    @property
    def values(self) -> Floats:
        """What stands at each place, sorted, shape (n_places,)."""

    def places(self, values: Floats) -> tuple[Places, npt.NDArray[np.bool_]]:
        """The place of each value, and whether it has one: where not, the place says nothing.

        NaN and infinities have none; ``values`` are contiguous and hold no negative zero.
        """


class GridTable:
    """The cells of one level of the grid, those between the outermost too, found by their bits.

    Args:
        level: of the grid, 1 to 62.
        lowest: the smallest magnitude that has a cell, as bits without sign and lowest ``level``.
        n_magnitudes: number of magnitudes from there on.

    >>> table = GridTable.over(np.array([-2.5, 1.25]), np.array([1, 1]), level=51)
    >>> places, known = table.places(np.array([1.1, -2.6, 0.0, 1e9]))
    >>> table.values[places[:3]], known.tolist()
    (array([ 1.25, -2.5 ,  0.  ]), [True, True, True, False])
    """

    def __init__(self, level: int, lowest: int, n_magnitudes: int) -> None:
        self.level = level
        self._lowest = lowest
        self._n = n_magnitudes
        upper = cell_middles(np.arange(lowest, lowest + n_magnitudes), level=level)
        self.values = np.concatenate((-upper[::-1], [0.0], upper))

    @classmethod
    def over(cls, cells: Floats, counts: npt.NDArray[np.int64], *, level: int) -> GridTable | None:
        """The table that holds nearly all rows of a profile; None if it would be too large.

        Args:
            cells: sorted middles of cells in use.
            counts: rows of each.
            level: of the cells.
        """
        inner = cells != 0.0
        if not level or not inner.any():
            return None
        found = _magnitudes(cells[inner], level)
        order = np.argsort(found, kind="stable")
        found, rows = found[order].astype(np.int64), counts[inner][order]
        ends = np.cumsum(rows)
        reach = np.searchsorted(found, found + MOST_PLACES // 2)  # first beyond a table from here
        covered = ends[reach - 1] - ends + rows
        first = int(np.argmax(covered))
        if covered[first] < (1.0 - _MOST_LEFT) * ends[-1]:
            return None
        lowest = int(found[first])
        return cls(level, lowest, int(found[reach[first] - 1]) - lowest + 1)

    def places(self, values: Floats) -> tuple[Places, npt.NDArray[np.bool_]]:
        """See `PlaceTable`."""
        above = _magnitudes(values, self.level) - np.uint64(self._lowest)  # below wraps to a large
        known = above < np.uint64(self._n)
        places = above.view(np.int64) + 1
        minus = values.view(np.int64) >> 63  # -1 for those below zero, whose places are negated:
        places ^= minus  # in two's complement -p is ~p + 1
        places -= minus
        places += self._n
        zero = values == 0.0
        if zero.any():
            places[zero] = self._n
            known |= zero
        return places, known


def _magnitudes(values: Floats, level: int) -> npt.NDArray[np.uint64]:
    bits = values.view(np.uint64) << np.uint64(1)  # without the sign
    return np.asarray(bits >> np.uint64(level + 1))


class Counted:
    """Rows and the target by place; mutable, for one thread.

    Args:
        table: finds the places.
        level: of the places' grid; 0: they are the values themselves.
        limit: for a grid, the largest hash of a distinct value that is still wanted.
        target_level: level of the cells that the target is kept in; None: it is not kept.
    """

    def __init__(
        self,
        table: PlaceTable,
        *,
        level: int,
        limit: np.uint64 = _NEVER,
        target_level: int | None = None,
    ) -> None:
        self._table = table
        self._level = level
        self._limit = limit
        self._target_level = target_level or 0
        self._n_places = len(table.values)
        self._counts = np.zeros(self._n_places + 2, dtype=np.int64)  # and missing, left aside
        self._moments = Moments(0, 0.0, 0.0)
        self._span = (np.inf, -np.inf)
        self._hashes: list[npt.NDArray[np.uint64]] = []
        self._fine: TargetStats | None = None  # by place
        self._coarse: TargetStats | None = None  # by cell of the target's level
        if target_level is not None:
            cells, group = np.unique(snap(table.values, level=target_level), return_inverse=True)
            self._cells = cells
            self._group = np.append(group, (len(cells), len(cells) + 1))

    def take(self, values: Floats, target: Target | None) -> Places:
        """Count the rows that have a place, and those without a value.

        Args:
            values: shape (n_rows,).
            target: of the same rows.

        Returns:
            The rows that have a value and no place; they are not counted.
        """
        values = values + 0.0
        places, known = self._table.places(values)
        lost = np.flatnonzero(~known)
        places[lost] = self._n_places
        left = lost[np.isfinite(values[lost])]
        places[left] += 1
        self._count(places, target)
        if self._level and len(lost) < len(values):
            self._measure(values, lost)
        return left

    def _count(self, places: Places, target: Target | None) -> None:
        n_groups = self._n_places + 2
        if target is not None and target.is_full and n_groups * target.width <= _MOST_FINE:
            # Few classes, known in every row: places and classes are counted in one go.
            stats = target.by_group(places, n_groups=n_groups)
            self._fine = stats if self._fine is None else self._fine.plus(stats)
            return
        self._counts += np.bincount(places, minlength=n_groups)
        if target is not None:
            stats = target.by_group(self._group[places], n_groups=len(self._cells) + 2)
            self._coarse = stats if self._coarse is None else self._coarse.plus(stats)

    def _measure(self, values: Floats, lost: Places) -> None:
        """What a grid forgets; ``values`` is written to."""
        n = len(values) - len(lost)
        values[lost] = 0.0
        mean = float(np.sum(values / n))
        hashes = hash_numbers(values)
        hashes[lost] = _NEVER
        self._hashes.append(hashes[hashes <= self._limit])
        values[lost] = mean
        low, high = self._span
        self._span = (min(low, float(values.min())), max(high, float(values.max())))
        with np.errstate(over="ignore"):  # near 1e308 the square is honestly infinite
            values -= mean
            np.multiply(values, values, out=values)
            self._moments = self._moments.merge(Moments(n, mean, float(values.sum())))

    def results(self) -> tuple[NumberProfile, NumberAssociation | None]:
        """The summaries of the rows that were taken.

        A grid's are only good for a merge with the profile that the grid was made over, which
        knows the distinct values above the limit.
        """
        rows = self._counts if self._fine is None else self._counts + self._fine.n
        counts = rows[:-2]
        used = np.flatnonzero(counts)
        values = self._table.values[used]
        low, high = self._span if self._level else (values[[0, -1]] if len(values) else self._span)
        exact = not self._level
        number = NumberProfile(
            count=int(counts.sum()),
            nulls=int(rows[-2]),
            minimum=float(low),
            maximum=float(high),
            values=values,
            counts=counts[used],
            level=self._level,
            moments=None if exact else self._moments,
            hashes=None if exact else smallest_hashes(self._hashes or [np.empty(0, np.uint64)]),
        )
        stats = self._coarse
        if self._fine is not None:
            fine = self._fine.regroup(self._group, n_groups=len(self._cells) + 2)
            stats = fine if stats is None else stats.plus(fine)
        if stats is None:
            return number, None
        n_cells = len(self._cells)
        held = np.bincount(self._group[used], minlength=n_cells)[:n_cells] > 0
        kept = np.append(np.flatnonzero(held), n_cells)
        association = NumberAssociation(self._cells[held], self._target_level, stats.take(kept))
        return number, association
