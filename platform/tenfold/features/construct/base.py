"""What every maker is: some columns of the codes in, new columns of codes out, numbers in JSON.

A maker is an operation (`tenfold.features.ops.base.Op`: a frozen value, any thread, input never
changed, the same NumPy functions for one row and a million) whose block holds float64 *codes*
instead of float32 features: numbers with NaN for missing, or places in a domain with -1 for unseen.
The first-stage operations then treat a made column like any other.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np

from tenfold.features.codes import Codes
from tenfold.features.ops.base import Op
from tenfold.schema import Column, Kind

__all__ = ["Maker", "finite_codes"]


@dataclass(frozen=True, eq=False)
class Maker(Op):
    """One kind of constructed columns; every field that is a tuple has one entry a made column."""

    place_fields: ClassVar[tuple[str, ...]] = ("columns",)
    """Fields that hold places of columns."""

    @property
    def n_outputs(self) -> int:
        """Columns it makes: one an entry."""
        return len(self.columns)

    @abstractmethod
    def apply(self, codes: Codes, out: Any) -> None:
        """Fill a block of codes.

        Args:
            codes: float64 (n_rows, n_columns); read only.
            out: float64 (n_rows, n_outputs); every cell is written.
        """

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Op.check`; here: as many entries everywhere, and every place in range."""
        lengths = {len(getattr(self, f.name)) for f in fields(self)}
        if lengths != {len(self.columns)} or not self.columns:
            return "has as many entries in every field, and at least one"
        places = [place for name in self.place_fields for place in getattr(self, name)]
        if not all(0 <= place < len(sizes) for place in places):
            return f"reads columns below {len(sizes)}, got {sorted(set(places))}"
        return None

    def describe(self, names: Sequence[str], columns: Sequence[Column]) -> list[Column]:
        """The made columns.

        Args:
            names: one a made column.
            columns: of the codes, by place.
        """
        return [Column(name, Kind.NUMBER, evidence="constructed") for name in names]

    def inputs(self, output: int) -> tuple[int, ...]:
        """Places of the columns that one made column needs."""
        return tuple(getattr(self, name)[output] for name in self.place_fields)

    def narrow(self, outputs: Sequence[int], places: Mapping[int, int]) -> Self:
        """Some of the made columns, over codes with fewer columns.

        Args:
            outputs: which made columns stay, increasing.
            places: from a column's old place to its new one, for every input of those.
        """
        kept: dict[str, tuple[Any, ...]] = {
            f.name: tuple(getattr(self, f.name)[k] for k in outputs) for f in fields(self)
        }
        for name in self.place_fields:
            kept[name] = tuple(places[place] for place in kept[name])
        return replace(self, **kept)


def finite_codes(values: Codes) -> Codes:
    """Infinities become missing, in place: codes hold none.

    >>> finite_codes(np.array([1.0, np.inf]))
    array([ 1., nan])
    """
    np.copyto(values, np.nan, where=np.isinf(values))
    return values
