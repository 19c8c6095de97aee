"""Blocks of a measured column on the grid of all of them, each block in the cache.

`NumberProfile.from_values` and `NumberAssociation.from_values` say the same of the blocks in one
piece, whose temporaries of 9 MB each come from memory and not from the cache: 65 ms for the
1.2 million rows from which on a column can be too long to be kept exact, and here 45. Of these the
counts in the cells take 20, the proof that there are too many values 15, the level 7.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tenfold.profile.association import MAX_CELLS, NumberAssociation, Target
from tenfold.profile.counted import MOST_PLACES, Counted, GridTable
from tenfold.profile.distinct import KEPT_HASHES, DistinctMarks, hash_numbers
from tenfold.profile.grid import Floats, cell_middles, fitting_level
from tenfold.profile.numbers import MAX_EXACT, SUMMARY_CELLS, NumberProfile

__all__ = ["scan_on_grid"]

_FINE_BITS = 18
"""Places of one sign, at least half of them, in which cells in use are looked for: 512 kB."""
_LIMIT = np.uint64(2 * KEPT_HASHES * (2**64 // MAX_EXACT))
"""Twice as many hashes lie below as are kept, where there are more values than are kept exact."""

Places = npt.NDArray[np.int64]


def scan_on_grid(
    blocks: Sequence[tuple[Floats, Target | None]],
) -> tuple[NumberProfile, NumberAssociation | None] | None:
    """The summaries of the rows of some blocks, where there are more than `MAX_EXACT` values.

    Args:
        blocks: values of shape (n_rows,), of which what is not finite counts as null, and the
            target of the same rows, with every block or with none.

    Returns:
        What `NumberProfile.from_values` and `NumberAssociation.from_values` give for all rows;
        moments, and a numeric target's within cells, up to 1e-9 relative. None where the values
        may be too few to leave any out, or too far apart for a table: ask those two then.

    >>> scan_on_grid([(np.arange(9.0), None)]) is None
    True
    """
    columns = [values[np.isfinite(values)] for values, _ in blocks]
    marks = DistinctMarks()
    for column in columns:
        marks.add(hash_numbers(column))
    if marks.count() <= MAX_EXACT:
        return None
    found = _cells_in_use(columns)
    if found is None:
        return None
    table, cells = found
    del columns
    kept = fitting_level(cells, floor=table.level, cap=MAX_CELLS)
    level = None if blocks[0][1] is None else kept
    counted = Counted(table, level=table.level, limit=_LIMIT, target_level=level)
    for values, target in blocks:
        counted.take(values, target)  # every value has a place
    number, association = counted.results()
    if number.hashes is None or len(number.hashes) < KEPT_HASHES:
        return None
    return number, association


def _cells_in_use(columns: Sequence[Floats]) -> tuple[GridTable, Floats] | None:
    """A table over the smallest level at which few enough cells are in use, and these cells."""
    low, high, n_zero = 2**64, 0, 0
    for column in columns:
        bits = _magnitudes(column)
        n_zero += len(bits) - int(np.count_nonzero(bits))
        high = max(high, int(bits.max(initial=0)))
        # Zero wraps to the largest: a minimum with a mask takes ten times as long.
        low = min(low, int((bits - np.uint64(1)).min(initial=2**64 - 1)) + 1)
    if not high:
        return None
    room = SUMMARY_CELLS - (n_zero > 0)
    level = max(1, (high - low).bit_length() - _FINE_BITS)
    above, below = _places_in_use(columns, level=level, low=low >> level, high=high >> level)
    if len(above) + len(below) <= room:
        return None  # a finer level may do
    while len(above) + len(below) > room:
        above, below, level = _halved(above), _halved(below), level + 1
    lowest = low >> level
    n_magnitudes = (high >> level) - lowest + 1
    if 2 * n_magnitudes > MOST_PLACES:
        return None
    middles = (-cell_middles(below[::-1], level=level), cell_middles(above, level=level))
    cells = np.concatenate((middles[0], np.zeros(min(n_zero, 1)), middles[1]))
    return GridTable(level, lowest, n_magnitudes), cells


def _places_in_use(
    columns: Sequence[Floats], *, level: int, low: int, high: int
) -> tuple[Places, Places]:
    """The magnitudes of a level that positive values have, and those that negative ones have."""
    width = high - low + 1
    used = np.zeros(2 * width + 1, dtype=np.bool_)
    for column in columns:
        bits = _magnitudes(column)
        zero = bits == 0
        bits >>= np.uint64(level)
        bits += (column.view(np.uint64) >> np.uint64(63)) * np.uint64(width)
        places = bits.view(np.int64) - low
        if zero.any():
            places[zero] = 2 * width  # a cell of its own
        used[places] = True
    return np.flatnonzero(used[:width]) + low, np.flatnonzero(used[width:-1]) + low


def _halved(places: Places) -> Places:
    """The cells of the next level, which unite two each."""
    halves = places >> 1
    return halves[np.diff(halves, prepend=-1) > 0]


def _magnitudes(values: Floats) -> npt.NDArray[np.uint64]:
    return np.asarray((values.view(np.uint64) << np.uint64(1)) >> np.uint64(1))
