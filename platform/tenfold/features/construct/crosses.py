"""Two categories as one: what either says only together with the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import UNSEEN, Codes
from tenfold.features.construct.base import Maker
from tenfold.schema import Column, Kind

__all__ = ["MAX_CELLS", "Cross"]

MAX_CELLS = 1_000_000
"""Most cells (categories of one times categories of the other) of all crosses together: their
table is 8 MB then. A fit stays far below; a file that claims more is refused."""

_HEAD = 2
"""The joined table opens with missing and unseen."""


@dataclass(frozen=True, eq=False)
class Cross(Maker):
    """The pair of two categories, where training had enough rows of it; else unseen.

    Attributes:
        columns: places of the first categories.
        others: places of the second.
        heights: sizes of the first's domains.
        widths: sizes of the second's domains.
        pairs: per cross, the cells ``first * width + second`` that are categories, in the order of
            the cross's own domain.

    >>> out = np.empty((4, 1))
    >>> op = Cross((0,), others=(1,), heights=(2,), widths=(2,), pairs=((0, 3),))
    >>> op.apply(np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [np.nan, 0.0]]), out)
    >>> out.ravel().tolist()
    [0.0, 1.0, -1.0, nan]
    """

    kind: ClassVar[str] = "cross"
    place_fields: ClassVar[tuple[str, ...]] = ("columns", "others")

    others: tuple[int, ...]
    heights: tuple[int, ...]
    widths: tuple[int, ...]
    pairs: tuple[tuple[int, ...], ...]

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Maker.check`."""
        fault = super().check(sizes)
        if fault is not None:
            return fault
        if (
            sum(max(0, h) * max(0, w) for h, w in zip(self.heights, self.widths, strict=True))
            > MAX_CELLS
        ):
            return f"crosses categories with at most {MAX_CELLS} cells together"
        rows = zip(self.columns, self.others, self.heights, self.widths, self.pairs, strict=True)
        for first, second, height, width, pairs in rows:
            cells = height * width
            if (height, width) != (sizes[first], sizes[second]) or not cells:
                return "crosses two categories with domains of the stated sizes"
            if not pairs or len(set(pairs)) != len(pairs):
                return "has distinct cells, and at least one"
            if not 0 <= min(pairs) <= max(pairs) < cells:
                return f"has cells from 0 and below {cells}"
        return None

    def describe(self, names: Sequence[str], columns: Sequence[Column]) -> list[Column]:
        """The made categories; quotes keep ``'a' & 'b & c'`` apart from ``'a & b' & 'c'``."""
        made = []
        for name, first, second, pairs in zip(
            names, self.columns, self.others, self.pairs, strict=True
        ):
            left, right = columns[first].domain or (), columns[second].domain or ()
            cells = (divmod(pair, len(right)) for pair in pairs)
            domain = tuple(f"{left[i]!r} & {right[j]!r}" for i, j in cells)
            made.append(Column(name, Kind.CATEGORY, domain=domain, evidence="constructed"))
        return made

    def sorted_by_text(self, columns: Sequence[Column]) -> Cross:
        """The same crosses with domains in the order of their texts, as every domain is."""
        made = self.describe([""] * self.n_outputs, columns)
        ranked = [
            tuple(pair for _, pair in sorted(zip(c.domain or (), pairs, strict=True)))
            for c, pairs in zip(made, self.pairs, strict=True)
        ]
        return replace(self, pairs=tuple(ranked))

    def apply(self, codes: Codes, out: Any) -> None:
        """See `Maker.apply`."""
        places, others, widths, starts, table = self._arrays
        first, second = codes.take(places, axis=1), codes.take(others, axis=1)
        unseen = np.logical_or(np.less(first, 0.0), np.less(second, 0.0))
        np.multiply(first, widths, out=first)
        np.add(first, second, out=first)
        np.add(first, starts, out=first)
        missing = np.isnan(first)
        np.copyto(first, 1.0, where=unseen)
        np.copyto(first, 0.0, where=missing)
        out[...] = table.take(first.astype(np.intp))

    @cached_property
    def _arrays(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Codes, Codes, Codes]:
        cells = [high * wide for high, wide in zip(self.heights, self.widths, strict=True)]
        starts = np.cumsum([0, *cells[:-1]]) + _HEAD
        table = np.full(_HEAD + sum(cells), UNSEEN)
        table[0] = np.nan
        for start, pairs in zip(starts, self.pairs, strict=True):
            table[start + np.array(pairs)] = np.arange(len(pairs))
        others = np.array(self.others, dtype=np.intp)
        widths = np.array(self.widths, dtype=np.float64)
        return self.places, others, widths, starts.astype(np.float64), table
