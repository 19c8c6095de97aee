"""Where a value stands among known ones, by a table in place of a search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["ValueTable"]

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

_HASH_BITS = 18
"""A table of 512 kB, which stays in a core's cache."""
_SHIFT = np.uint64(64 - _HASH_BITS)
_MULTIPLIERS = [np.uint64((0x9E3779B97F4A7C15 * (2 * i + 1)) % 2**64) for i in range(8)]
_MOST = np.iinfo(np.int16).max


@dataclass(frozen=True, eq=False)
class ValueTable:
    """A multiplicative hash of the known values; those that lost their slot have a table below.

    Attributes:
        values: sorted, unique, without NaN and negative zero, shape (n,).
        depth: of the tables above, which is which multiplier the hash takes.
        slots: place of a value by slot, -1 elsewhere, shape (2 ** 18,).
        below: the table of those whose slot another value has; None if all have their own.
        places_below: their places among ``values``.
    """

    values: Floats
    depth: int
    slots: npt.NDArray[np.int16]
    below: ValueTable | None
    places_below: Places

    @classmethod
    def of(cls, values: Floats, *, depth: int = 0) -> ValueTable | None:
        """The table of some values; None if there are too many of them, or none.

        >>> table = ValueTable.of(np.array([0.5, 2.0]))
        >>> places, known = table.places(np.array([2.0, 7.0, np.nan]))
        >>> places[:1].tolist(), known.tolist()
        ([1], [True, False, False])
        """
        if not 0 < len(values) <= _MOST or depth == len(_MULTIPLIERS):
            return None
        values = np.ascontiguousarray(values)
        order = np.arange(len(values), dtype=np.int16)
        at = _slots(values, depth)
        slots = np.full(1 << _HASH_BITS, -1, dtype=np.int16)
        slots[at] = order
        lost = np.flatnonzero(slots[at] != order)
        below = cls.of(values[lost], depth=depth + 1)
        if len(lost) and below is None:
            return None
        return cls(values, depth, slots, below, lost)

    def places(self, values: Floats) -> tuple[Places, npt.NDArray[np.bool_]]:
        """The place of each value, and whether it is known: where not, the place says nothing.

        Args:
            values: contiguous, without a negative zero, shape (n_rows,).
        """
        places = self.slots[_slots(values, self.depth)].astype(np.intp)
        known = self.values[places] == values
        if self.below is not None:
            rest = np.flatnonzero(~known)
            found, also = self.below.places(values[rest])
            rest, found = rest[also], found[also]
            places[rest] = self.places_below[found]
            known[rest] = True
        return places, known


def _slots(values: Floats, depth: int) -> npt.NDArray[np.uint64]:
    return np.asarray((values.view(np.uint64) * _MULTIPLIERS[depth]) >> _SHIFT)
