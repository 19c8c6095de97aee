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

__all__ = [
    "Floats",
    "Ints",
    "combine_weighted",
    "fitting_level",
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
_HASH_BITS = 18
"""A table of 512 kB, which stays in a core's cache; a thousand cells rarely need ten tries."""
_MULTIPLIERS = [np.uint64((0x9E3779B97F4A7C15 * (2 * i + 1)) % 2**64) for i in range(64)]
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
    shift = np.uint64(64 - _HASH_BITS)
    if len(cells) <= len(values) and len(cells) <= np.iinfo(np.int16).max:
        bits = np.ascontiguousarray(cells).view(np.uint64)
        for multiplier in _MULTIPLIERS:
            slots = (bits * multiplier) >> shift
            table = np.full(1 << _HASH_BITS, -1, dtype=np.int16)
            table[slots] = np.arange(len(cells), dtype=np.int16)
            if (table[slots] == np.arange(len(cells))).all():
                found = table[(np.ascontiguousarray(values).view(np.uint64) * multiplier) >> shift]
                return np.asarray(found, dtype=np.intp)
    return np.asarray(np.searchsorted(cells, values), dtype=np.intp)


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
