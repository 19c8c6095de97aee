"""Nested grids of float64 values: the one deterministic way in which a profile forgets detail.

A grid of level L puts all values that agree in everything but their lowest L bits into one cell
and names the cell by its middle. Cells of level L + 1 are unions of cells of level L, so the
smallest level at which a table fits a cap depends on the table alone: neither on its order nor on
how it was cut into blocks. That is what a seedless random sketch cannot promise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tenfold.profile.value_table import ValueTable

__all__ = [
    "Floats",
    "Ints",
    "cell_middles",
    "combine_weighted",
    "fitting_level",
    "grid_counts",
    "group_sorted",
    "place_in_cells",
    "relative_error",
    "snap",
    "weighted_unique",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MANTISSA_BITS = 52
_TABLE_LEVEL = 46
"""From this level on all cells fit a table of 2 MB."""
_COUNT_BITS = 18
"""A table to count in has up to a million places, those of both signs: 8 MB."""
_LARGEST = np.finfo(np.float64).max


def snap(values: Floats, *, level: int) -> Floats:
    """Replace each finite value by the middle of its cell; zero stays zero.

    Args:
        values: finite values, any shape. Snapped values may be snapped again at a higher level,
            with the same result as snapping the originals.
        level: lowest bits to forget, 0 (nothing) to 62.

    >>> snap(np.array([1.0, 1.1, 2.9, 0.0, -1.1]), level=51)
    array([ 1.25,  1.25,  2.5 ,  0.  , -1.25])
    """
    if level == 0:
        return values
    bits = np.ascontiguousarray(values).view(np.uint64)
    half = np.uint64(1) << np.uint64(level - 1)
    kept = (bits >> np.uint64(level)) << np.uint64(level)
    middles = (kept | half).view(np.float64)
    return np.where(values == 0.0, 0.0, np.clip(middles, -_LARGEST, _LARGEST))


def relative_error(level: int) -> float:
    """Largest distance of a normal value to the middle of its cell, relative to the value.

    >>> relative_error(0), relative_error(40) == 2.0**-13
    (0.0, True)
    """
    return 0.0 if level == 0 else float(2.0 ** (level - 1 - _MANTISSA_BITS))


def fitting_level(values: Floats, *, floor: int, cap: int) -> int:
    """The smallest level, at least ``floor``, at which at most ``cap`` cells are in use.

    Args:
        values: sorted, unique, finite, shape (n,).
        floor: level that the values are already snapped to.
        cap: most cells, at least 5 (two signs of two halves, and zero).

    >>> fitting_level(np.arange(1.0, 1025.0), floor=0, cap=100)
    49
    """
    if len(values) <= cap:
        return floor
    bits = values.view(np.uint64)
    # Neighbors share a cell from the level that covers their highest differing bit.
    meets = _bit_lengths(bits[1:] ^ bits[:-1])
    touches_zero = (values[1:] == 0.0) | (values[:-1] == 0.0)
    meets = np.where(touches_zero, 64, meets)
    cells = 1 + len(meets) - np.cumsum(np.bincount(meets, minlength=65))
    return max(floor, int(np.argmax(cells <= cap)))


def _bit_lengths(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """Bits that each word needs: 0 for 0, k + 1 for one whose highest bit is k.

    The exponent of its float64. The bit below the highest is cleared first, so that rounding to 53
    bits cannot carry into the next power of two.
    """
    highest = (words & ~(words >> np.uint64(1))).astype(np.float64)
    return np.asarray(np.frexp(highest)[1], dtype=np.int32)


def group_sorted(values: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Unique values of a sorted array and where each begins.

    >>> group_sorted(np.array([1.0, 1.0, 3.0]))
    (array([1., 3.]), array([0, 2]))
    """
    if not len(values):
        return values, np.zeros(0, dtype=np.intp)
    begins = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    return values[begins], begins


def grid_counts(values: Floats, *, cap: int) -> tuple[Floats, Ints, int] | None:
    """What `fitting_level` and `snap` make of many values, without the sort that they ask for.

    The highest bits of the values are counted in one table, whose neighbors are then added up
    until at most ``cap`` cells are in use: a third of the time of a sort (a million values).

    Args:
        values: finite, without a negative zero, shape (n,).
        cap: most cells.

    Returns:
        Sorted cells, rows of each and their level; None where no table is both fine and small.

    >>> values = np.arange(-1000.0, 1000.0)
    >>> cells, counts, level = grid_counts(values, cap=200)
    >>> len(cells), int(counts.sum()), level == fitting_level(values, floor=0, cap=200)
    (127, 2000, True)
    """
    magnitudes = (values.view(np.uint64) << np.uint64(1)) >> np.uint64(1)
    n_zero = len(values) - int(np.count_nonzero(magnitudes))
    if n_zero == len(values):
        return None
    high = int(magnitudes.max())
    # Zero wraps to the largest: a minimum with a mask takes ten times as long.
    low = int((magnitudes - np.uint64(1)).min()) + 1
    level = max(1, (high - low).bit_length() - _COUNT_BITS)
    # Begin and width are whole on every level up to the last, so that neighbors stay neighbors.
    step = 1 << _COUNT_BITS
    first = (low >> level) // step * step
    width = ((high >> level) - first) // step * step + step
    places = (magnitudes >> np.uint64(level)).view(np.int64) - first
    places[np.signbit(values)] += width
    if n_zero:
        places = places[magnitudes > 0]
    counts = np.bincount(places, minlength=2 * width).reshape(2, width)
    room = cap - (n_zero > 0)
    if np.count_nonzero(counts) <= room:
        return None  # a finer level may do
    last = level + _COUNT_BITS
    while np.count_nonzero(counts) > room and level < last:
        counts = counts[:, 0::2] + counts[:, 1::2]
        first, level = first >> 1, level + 1
    if np.count_nonzero(counts) > room:
        return None
    above, below = np.flatnonzero(counts[0]), np.flatnonzero(counts[1])[::-1]
    cells = [
        -cell_middles(below + first, level=level),
        np.zeros(min(n_zero, 1)),
        cell_middles(above + first, level=level),
    ]
    rows = [counts[1][below], np.full(min(n_zero, 1), n_zero, dtype=np.int64), counts[0][above]]
    return np.concatenate(cells), np.concatenate(rows).astype(np.int64), level


def cell_middles(places: npt.NDArray[np.int64], *, level: int) -> Floats:
    """The middles of cells of positive values, told by their bits above the lowest ``level``.

    Args:
        places: those bits as numbers, shape (n,).
        level: over 0.

    >>> cell_middles(np.array([0x3FF]), level=52)  # all from 1 to below 2
    array([1.5])
    """
    # One bit more than the cell's begin, which may be zero: that is a cell of its own.
    inside = (places.astype(np.uint64) << np.uint64(level)) | np.uint64(1)
    return snap(inside.view(np.float64), level=level)


def place_in_cells(values: Floats, cells: Floats, *, level: int) -> npt.NDArray[np.intp]:
    """The cell of each value.

    A table is many times faster than a binary search (65,536 values in 1,024 cells: 0.15 against
    9.8 ms): one over all cells of the level where it is small, else one without collisions by a
    multiplicative hash of the cells.

    Args:
        values: finite, without a negative zero, each in one of the cells, shape (n,).
        cells: sorted middles of the cells that are in use, those of all values among them.
        level: of the cells.

    >>> place_in_cells(np.array([1.1, -3.0, 0.0]), np.array([-2.5, 0.0, 1.25]), level=51).tolist()
    [2, 0, 1]
    """
    if level < _TABLE_LEVEL or not len(cells):
        return _look_up(snap(values, level=level), cells)
    shift = np.uint64(level)
    table = np.zeros(1 << (64 - level), dtype=np.intp)
    inner = np.flatnonzero(cells != 0.0)
    table[cells[inner].view(np.uint64) >> shift] = inner
    places = table[np.ascontiguousarray(values).view(np.uint64) >> shift]
    zero = np.flatnonzero(cells == 0.0)
    if len(zero):  # zero is a cell of its own, whatever lies beside it
        places[values == 0.0] = zero[0]
    return np.asarray(places, dtype=np.intp)


def _look_up(values: Floats, cells: Floats) -> npt.NDArray[np.intp]:
    """The place of each value among some cells, all of which it is one of."""
    table = ValueTable.of(cells) if len(cells) <= len(values) else None
    if table is None:
        return np.asarray(np.searchsorted(cells, values), dtype=np.intp)
    return table.places(np.ascontiguousarray(values))[0]


def weighted_unique(values: Floats) -> tuple[Floats, Ints]:
    """Sorted unique values and how often each occurs.

    >>> weighted_unique(np.array([2.0, -0.0, 2.0, 0.0]))
    (array([0., 2.]), array([2, 2]))
    """
    unique, begins = group_sorted(np.sort(values + 0.0))
    return unique, np.diff(begins, append=len(values)).astype(np.int64)


def combine_weighted(parts: Sequence[tuple[Floats, Ints]]) -> tuple[Floats, Ints]:
    """Add up several (sorted unique values, counts).

    >>> combine_weighted([(np.array([1.0, 2.0]), np.array([1, 1])),
    ...                   (np.array([2.0]), np.array([5]))])
    (array([1., 2.]), array([1, 6]))
    """
    if len(parts) == 1:
        return parts[0]
    values = np.concatenate([part[0] for part in parts])
    counts = np.concatenate([part[1] for part in parts])
    if len(counts) and counts.max() == 1:  # a measured number: no value has come twice so far
        unique, begins = group_sorted(np.sort(values, kind="stable"))
        return unique, np.diff(begins, append=len(values)).astype(np.int64)
    order = np.argsort(values, kind="stable")  # a merge sort: the runs are already sorted
    unique, begins = group_sorted(values[order])
    if not len(unique):
        return unique, np.zeros(0, dtype=np.int64)
    return unique, np.add.reduceat(counts[order], begins)
