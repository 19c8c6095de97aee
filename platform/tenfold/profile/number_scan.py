"""One column of numbers over many blocks, without a sort a block.

What a sort finds out of a block, the blocks before it have mostly told: a column of few values has
shown them, and a measured one that has shown more than `MAX_EXACT` is on a grid already, whose
cells are the highest bits of a value. Then a block is counted by a table. What a table does not
hold waits, and is summarized as `NumberProfile` and `NumberAssociation` summarize anything.

Per column and block of 65,536 rows, milliseconds of one core: sort, cells, hashes and merge 4 to
17; by a table of known values 0.6, by a grid 1.0.
"""

from __future__ import annotations

import numpy as np

from tenfold.profile.association import NumberAssociation, Target
from tenfold.profile.counted import Counted, GridTable
from tenfold.profile.grid import Floats
from tenfold.profile.grid_scan import scan_on_grid
from tenfold.profile.numbers import MAX_EXACT, NumberProfile
from tenfold.profile.value_table import ValueTable

__all__ = ["NumberScan"]

_MOST_KNOWN = 8192
"""Most values of a column that is counted value by value."""


class NumberScan:
    """Summarizes a column block by block. Mutable, for one thread.

    Law, held by a property test: what `results` gives is what `NumberProfile.merge_all` and
    `NumberAssociation.merge_all` give for the same blocks; moments beyond `MAX_EXACT` distinct
    values, and a numeric target's within cells, up to 1e-9 relative.

    Args:
        spare: rows that wait beyond those that could make the column too long to be kept exact.

    >>> scan = NumberScan()
    >>> scan.add(np.array([1.0, 2.0, np.nan]))
    >>> scan.add(np.array([2.0]))
    >>> profile, _ = scan.results()
    >>> profile.count, profile.nulls, profile.quantile(1.0)
    (3, 1, 2.0)
    """

    def __init__(self, *, spare: int = 2**17) -> None:
        self._spare = spare
        self._patience = 1  # the first block is looked at at once: few values show in it
        self._number: NumberProfile | None = None
        self._association: NumberAssociation | None = None
        self._waiting: list[tuple[Floats, Target | None]] = []
        self._n_waiting = 0
        self._counted: Counted | None = None

    def add(self, values: Floats, target: Target | None = None) -> None:
        """Count a block.

        Args:
            values: shape (n_rows,); what is not finite counts as null.
            target: of the same rows; with every block or with none.
        """
        if self._n_waiting >= self._patience:
            self._settle()
        if self._counted is not None:
            left = self._counted.take(values, target)
            if not len(left):
                return
            values = values[left]
            target = None if target is None else target.take(left)
        self._waiting.append((values, target))
        self._n_waiting += len(values)

    def results(self) -> tuple[NumberProfile, NumberAssociation | None]:
        """The summaries of all blocks so far."""
        self._close()
        return self._number or NumberProfile.from_values(np.empty(0)), self._association

    def _settle(self) -> None:
        """Find how the next blocks are counted; without a way they wait for a sort."""
        first = None
        if self._number is None and self._n_waiting < MAX_EXACT:
            first = NumberProfile.from_values(self._waiting[0][0])
            if len(first.values) > _MOST_KNOWN:  # sorted again with what comes
                self._patience = MAX_EXACT + self._spare
                return
        known = self._close(first)
        self._counted = self._next(known)
        # Fewer rows cannot make a column too long to be kept exact, and after each sort there is
        # a merge with all known values.
        self._patience = self._spare + (MAX_EXACT - len(known.values) if known.is_exact else 0)

    def _close(self, first: NumberProfile | None = None) -> NumberProfile:
        """Merge what was counted by a table and what waited; ``first``: of the first block."""
        if self._counted is not None:
            self._put(*self._counted.results())
            self._counted = None
        waiting, n_waiting = self._waiting, self._n_waiting
        self._waiting, self._n_waiting = [], 0
        if n_waiting > MAX_EXACT and (found := scan_on_grid(waiting)) is not None:
            return self._put(*found)
        values = np.concatenate([np.empty(0), *(values for values, _ in waiting)])
        targets = [target for _, target in waiting if target is not None]
        known = first if len(waiting) == 1 else None
        number = known or NumberProfile.from_values(values)
        association = None
        if targets:
            cells = (number.values, number.level)
            association = NumberAssociation.from_values(values, Target.concat(targets), cells=cells)
        return self._put(number, association)

    def _put(self, number: NumberProfile, association: NumberAssociation | None) -> NumberProfile:
        self._number = number if self._number is None else self._number.merge(number)
        if association is not None:
            before = [] if self._association is None else [self._association]
            self._association = NumberAssociation.merge_all([*before, association])
        return self._number

    def _next(self, known: NumberProfile) -> Counted | None:
        """How the next blocks are counted; None: they wait for a sort."""
        target_level = None if self._association is None else self._association.level
        if known.hashes is None:
            few = ValueTable.of(known.values) if len(known.values) <= _MOST_KNOWN else None
            return None if few is None else Counted(few, level=0, target_level=target_level)
        level, limit = known.level, known.hashes[-1]
        grid = GridTable.over(known.values, known.counts, level=level)
        if grid is None:
            return None
        return Counted(grid, level=level, limit=limit, target_level=target_level)
