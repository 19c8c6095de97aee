"""Operations on category codes: a number per category, or a 0/1 feature per category."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import Codes
from tenfold.features.ops.base import Features, Op

__all__ = ["Lookup", "NativeCodes", "OneHot", "TargetLookup"]

_SHIFT = 2
"""Tables open with the answers for missing and unseen; code k stands at k + 2."""

_MISSING = -float(_SHIFT)


@dataclass(frozen=True, eq=False)
class Lookup(Op):
    """A fitted number per category.

    Attributes:
        tables: per column ``[missing, unseen, code 0, code 1, ...]``; NaN stays missing.

    >>> out = np.empty((4, 1), np.float32)
    >>> op = Lookup(columns=(0,), tables=((0.5, 0.0, 0.75, 0.25),))
    >>> op.apply(np.array([[np.nan], [-1.0], [0.0], [1.0]]), out)
    >>> out.ravel().tolist()
    [0.5, 0.0, 0.75, 0.25]
    """

    kind: ClassVar[str] = "lookup"

    tables: tuple[tuple[float, ...], ...]

    @property
    def n_outputs(self) -> int:
        """One per column."""
        return len(self.columns)

    def apply(self, codes: Codes, out: Features) -> None:
        """See `Op.apply`."""
        places, starts, table = self._arrays
        out[...] = table.take(_indices(codes, places, starts))

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Op.check`."""
        return _check_tables(self.columns, self.tables, sizes)

    @cached_property
    def _arrays(self) -> tuple[npt.NDArray[np.intp], Codes, Features]:
        table = np.concatenate([np.array(table, dtype=np.float64) for table in self.tables])
        return self.places, _starts(self.tables), table.astype(np.float32)


@dataclass(frozen=True, eq=False)
class TargetLookup(Lookup):
    """A `Lookup` whose numbers come from the target, one table per feature; columns may repeat.

    The only operation that training rows see with other numbers than served ones: those of the
    folds that are not their own, see `tenfold.features.crossfit`.
    """

    kind: ClassVar[str] = "target"


@dataclass(frozen=True, eq=False)
class NativeCodes(Lookup):
    """A `Lookup` whose numbers are names: slots from 0 that a tree splits by sets, in no order.

    >>> NativeCodes(columns=(0,), tables=((math.nan, 0.0, 1.0, 2.0),)).slots_of_outputs
    (3,)
    """

    kind: ClassVar[str] = "native"

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Op.check`."""
        fault = super().check(sizes)
        if fault is not None:
            return fault
        for table in self.tables:
            slots = [slot for slot in table if not math.isnan(slot)]
            if not all(0 <= slot < len(table) and slot == int(slot) for slot in slots):
                return "has slots from 0 that are whole numbers, at most one a text and one more"
        return None

    @property
    def slots_of_outputs(self) -> tuple[int, ...]:
        """See `Op.slots_of_outputs`."""
        return tuple(
            1 + max((int(slot) for slot in table if not math.isnan(slot)), default=0)
            for table in self.tables
        )


@dataclass(frozen=True, eq=False)
class OneHot(Op):
    """A 0/1 feature per frequent category.

    Attributes:
        slots: per column ``[missing, unseen, code 0, ...]``: the place of the feature that is 1,
            counted over all columns of this op, or -1 for none. Rare categories share a place.
        n_slots: the features in all.
    """

    kind: ClassVar[str] = "onehot"

    slots: tuple[tuple[int, ...], ...]
    n_slots: int

    @property
    def n_outputs(self) -> int:
        """One per slot."""
        return self.n_slots

    def apply(self, codes: Codes, out: Features) -> None:
        """See `Op.apply`."""
        places, starts, table, owners, slots = self._arrays
        chosen = table.take(_indices(codes, places, starts))
        np.equal(chosen.take(owners, axis=1), slots, out=out, casting="unsafe")

    def inputs(self, output: int) -> tuple[int, ...]:
        """See `Op.inputs`; the column that has the slot."""
        return (self.columns[int(self._arrays[3][output])],)

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Op.check`."""
        fault = _check_tables(self.columns, self.slots, sizes)
        if fault is not None:
            return fault
        used = [slot for slots in self.slots for slot in sorted({s for s in slots if s >= 0})]
        # The length first: a range as long as a file claims must never be made.
        if len(used) != self.n_slots or used != list(range(self.n_slots)):
            return "has slots that are numbered in the order of the columns, none twice"
        return None

    @cached_property
    def _arrays(
        self,
    ) -> tuple[
        npt.NDArray[np.intp],
        Codes,
        npt.NDArray[np.int32],
        npt.NDArray[np.intp],
        npt.NDArray[np.int32],
    ]:
        table = np.concatenate([np.array(slots, dtype=np.int32) for slots in self.slots])
        owners = np.empty(self.n_outputs, dtype=np.intp)
        for index, slots in enumerate(self.slots):
            owners[[slot for slot in slots if slot >= 0]] = index
        numbers = np.arange(self.n_outputs, dtype=np.int32)
        return self.places, _starts(self.slots), table, owners, numbers


def _starts(tables: tuple[tuple[float, ...], ...] | tuple[tuple[int, ...], ...]) -> Codes:
    """Where code 0 of each column stands in the joined table."""
    sizes = [len(table) for table in tables]
    return np.cumsum([0.0, *sizes[:-1]]) + _SHIFT


def _indices(codes: Codes, places: npt.NDArray[np.intp], starts: Codes) -> npt.NDArray[np.intp]:
    values = codes.take(places, axis=1)
    np.copyto(values, _MISSING, where=np.isnan(values))
    np.add(values, starts, out=values)
    return values.astype(np.intp)


def _check_tables(
    columns: tuple[int, ...],
    tables: tuple[tuple[float, ...], ...] | tuple[tuple[int, ...], ...],
    sizes: tuple[int, ...],
) -> str | None:
    if len(columns) != len(tables) or not columns:
        return "has one table per column, and a column"
    if any(len(t) != _SHIFT + sizes[c] for c, t in zip(columns, tables, strict=True)):
        return "has an answer for missing, for unseen and for each category of the domain"
    return None
