"""A number by a category: the group's statistic, and how far a row stands from its own group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import Codes
from tenfold.features.construct.base import Maker, finite_codes

__all__ = ["Aggregate", "Deviation"]

_HEAD = 2
"""Tables open with the answers for missing and unseen; code k stands at k + 2."""

_MISSING = -float(_HEAD)


@dataclass(frozen=True, eq=False)
class _Grouped(Maker):
    """Looks a fitted number up by a category.

    Attributes:
        columns: places of the categories.
        tables: per made column ``[missing, unseen, code 0, code 1, ...]``; NaN is missing.
    """

    tables: tuple[tuple[float, ...], ...]

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Maker.check`."""
        fault = super().check(sizes)
        if fault is not None:
            return fault
        for column, table in zip(self.columns, self.tables, strict=True):
            if not sizes[column] or len(table) != _HEAD + sizes[column]:
                return "has an answer for missing, for unseen and for each category of the domain"
        return None

    def looked_up(self, codes: Codes) -> Codes:
        """The fitted number of each row, float64 (n_rows, n_outputs)."""
        places, starts, table = self._arrays
        values = codes.take(places, axis=1)
        np.copyto(values, _MISSING, where=np.isnan(values))
        np.add(values, starts, out=values)
        return np.asarray(table.take(values.astype(np.intp)))

    @cached_property
    def _arrays(self) -> tuple[npt.NDArray[np.intp], Codes, Codes]:
        sizes = [len(table) for table in self.tables]
        starts = np.cumsum([0.0, *sizes[:-1]]) + _HEAD
        return self.places, starts, np.concatenate([np.array(t, float) for t in self.tables])


@dataclass(frozen=True, eq=False)
class Aggregate(_Grouped):
    """A statistic of the row's group: mean or spread of a number, or the group's share of rows.

    >>> out = np.empty((3, 1))
    >>> op = Aggregate(columns=(0,), tables=((0.5, 9.0, 7.0),))
    >>> op.apply(np.array([[np.nan], [-1.0], [0.0]]), out)
    >>> out.ravel().tolist()
    [0.5, 9.0, 7.0]
    """

    kind: ClassVar[str] = "aggregate"

    def apply(self, codes: Codes, out: Any) -> None:
        """See `Maker.apply`."""
        out[...] = self.looked_up(codes)


@dataclass(frozen=True, eq=False)
class Deviation(_Grouped):
    """A number minus the mean of its row's group.

    Attributes:
        numbers: places of the numbers.

    >>> out = np.empty((1, 1))
    >>> op = Deviation(columns=(0,), tables=((0.5, 9.0, 7.0),), numbers=(1,))
    >>> op.apply(np.array([[0.0, 10.0]]), out)
    >>> out.ravel().tolist()
    [3.0]
    """

    kind: ClassVar[str] = "deviation"
    place_fields: ClassVar[tuple[str, ...]] = ("columns", "numbers")

    numbers: tuple[int, ...]

    def apply(self, codes: Codes, out: Any) -> None:
        """See `Maker.apply`."""
        with np.errstate(over="ignore"):
            values = np.subtract(codes.take(self._numbers, axis=1), self.looked_up(codes))
        out[...] = finite_codes(values)

    @cached_property
    def _numbers(self) -> npt.NDArray[np.intp]:
        return np.array(self.numbers, dtype=np.intp)
