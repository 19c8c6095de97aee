"""Two numbers against each other: what a tree needs a staircase of splits for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import Codes
from tenfold.features.construct.base import Maker, finite_codes

__all__ = ["Difference", "Ratio"]

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Pair(Maker):
    """Two numbers in, one out; missing where either is.

    Attributes:
        others: places of the second column of each pair.
    """

    place_fields: ClassVar[tuple[str, ...]] = ("columns", "others")

    others: tuple[int, ...]

    @cached_property
    def _sides(self) -> tuple[Places, Places]:
        return self.places, np.array(self.others, dtype=np.intp)


@dataclass(frozen=True, eq=False)
class Difference(_Pair):
    """The first column minus the second, in their own unit (seconds for two times).

    >>> out = np.empty((2, 1))
    >>> Difference(columns=(0,), others=(1,)).apply(np.array([[5.0, 3.0], [1.0, np.nan]]), out)
    >>> out.ravel().tolist()
    [2.0, nan]
    """

    kind: ClassVar[str] = "difference"

    def apply(self, codes: Codes, out: Any) -> None:
        """See `Maker.apply`; a difference beyond float64 is missing."""
        first, second = self._sides
        with np.errstate(over="ignore"):
            values = np.subtract(codes.take(first, axis=1), codes.take(second, axis=1))
        out[...] = finite_codes(values)


@dataclass(frozen=True, eq=False)
class Ratio(_Pair):
    """The first column divided by the second; missing where that is 0.

    >>> out = np.empty((2, 1))
    >>> Ratio(columns=(0,), others=(1,)).apply(np.array([[6.0, 3.0], [1.0, 0.0]]), out)
    >>> out.ravel().tolist()
    [2.0, nan]
    """

    kind: ClassVar[str] = "ratio"

    def apply(self, codes: Codes, out: Any) -> None:
        """See `Maker.apply`; a ratio beyond float64 is missing."""
        first, second = self._sides
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            values = np.divide(codes.take(first, axis=1), codes.take(second, axis=1))
        out[...] = finite_codes(values)
