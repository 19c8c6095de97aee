"""Hashed categories: a fixed number of features whatever the number of texts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tenfold.features.codes import Codes
from tenfold.features.hashing import HASHES, MAX_SLOTS
from tenfold.features.ops.base import Features, Op

__all__ = ["Hashed"]

_SHIFT = 2
_MISSING = -float(_SHIFT)


@dataclass(frozen=True, eq=False)
class Hashed(Op):
    """Each column has ``n_slots`` features; a text puts +1 or -1 into one of them.

    Two texts in one slot are told apart no more; the sign, a further bit of the hash, makes what
    they say about the target cancel on average instead of adding up. Source: K. Weinberger et al.,
    "Feature hashing for large scale multitask learning" (2009), section 2.

    Attributes:
        n_slots: per column.
        tables: per column, ``[missing, unseen, code 0, ...]``: the hash of each category of the
            domain, -1 for none; empty for a column without a domain, whose codes are hashes.

    >>> out = np.empty((3, 4), np.float32)
    >>> Hashed((0,), 4, ((),)).apply(np.array([[2.0], [7.0], [np.nan]]), out)
    >>> out.tolist()
    [[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0]]
    """

    kind: ClassVar[str] = "hashed"

    n_slots: int
    tables: tuple[tuple[int, ...], ...]

    @property
    def n_outputs(self) -> int:
        """``n_slots`` per column."""
        return self.n_slots * len(self.columns)

    def apply(self, codes: Codes, out: Features) -> None:
        """See `Op.apply`."""
        places, known, starts, table, owners, slots = self._arrays
        hashes = codes.take(places, axis=1)
        np.copyto(hashes, _MISSING, where=np.isnan(hashes))
        if len(known):
            hashes[:, known] = table.take((hashes[:, known] + starts).astype(np.intp))
        # Whole numbers below 2**53: every step is exact.
        turns = np.floor_divide(hashes, self.n_slots)
        chosen = np.subtract(hashes, np.multiply(turns, self.n_slots))
        signs = np.subtract(1.0, np.multiply(np.remainder(turns, 2.0), 2.0))
        np.copyto(signs, 0.0, where=np.less(hashes, 0.0))
        hits = np.equal(chosen.take(owners, axis=1), slots)
        np.multiply(hits, signs.take(owners, axis=1), out=out, casting="unsafe")
        np.add(out, 0.0, out=out)  # a minus zero is a zero

    def inputs(self, output: int) -> tuple[int, ...]:
        """See `Op.inputs`."""
        return (self.columns[output // self.n_slots],)

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Op.check`."""
        if not 1 <= self.n_slots <= MAX_SLOTS:
            return f"has from 1 to {MAX_SLOTS} slots"
        if len(self.tables) != len(self.columns) or not self.columns:
            return "has one table per column, and a column"
        for column, table in zip(self.columns, self.tables, strict=True):
            if len(table) != (_SHIFT + sizes[column] if sizes[column] else 0):
                return "has a hash for missing, for unseen and for each category of the domain"
            if not all(-1 <= value < HASHES for value in table):
                return f"has hashes below {HASHES}, or -1"
        return None

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        known = [index for index, table in enumerate(self.tables) if table]
        sizes = [len(self.tables[index]) for index in known]
        starts = np.cumsum([0.0, *sizes[:-1]]) + _SHIFT
        table = np.array([value for values in self.tables for value in values], dtype=np.float64)
        owners = np.repeat(np.arange(len(self.columns)), self.n_slots)
        slots = np.tile(np.arange(self.n_slots, dtype=np.float64), len(self.columns))
        return self.places, np.array(known, dtype=np.intp), starts, table, owners, slots
