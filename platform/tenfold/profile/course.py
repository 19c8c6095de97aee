"""How columns go over time, or along the file: statistics by slice of a frozen axis, mergeable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tenfold.profile.columns import class_codes
from tenfold.profile.grid import Floats, Ints
from tenfold.profile.target import OTHER_CLASS, ClassStats, NumberStats
from tenfold.schema import Column

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MAX_FOLLOWED", "N_SLICES", "Axis", "Course", "Sorted", "followed_classes"]

N_SLICES = 24
"""About as many points as a phone shows apart."""
MAX_FOLLOWED = 64
"""Categories followed one by one; of a column with more only the missing rows are."""

Groups = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Axis:
    """Where the slices lie: frozen before any row is counted, so that counts merge exactly.

    Attributes:
        column: the time column; None is the position in the source.
        edges: where the second and each later slice begins, increasing; date-times in epoch
            seconds, positions in rows.
    """

    column: str | None
    edges: tuple[float, ...]

    @classmethod
    def of_rows(cls, n_rows: int, *, n_slices: int = N_SLICES) -> Axis:
        """Slices of equal length along a source.

        >>> Axis.of_rows(100, n_slices=4).edges
        (25.0, 50.0, 75.0)
        """
        return cls(None, tuple((np.arange(1, n_slices) * (n_rows / n_slices)).tolist()))

    @classmethod
    def of_times(cls, column: str, times: Floats, *, n_slices: int = N_SLICES) -> Axis:
        """Slices of about equal counts of times in memory, see `of_ranked`.

        Args:
            column: the time column.
            times: of the rows that are followed, finite, shape (n_rows,).
            n_slices: at most so many.

        >>> Axis.of_times("at", np.array([5.0, 1.0, 1.0, 9.0]), n_slices=2).edges
        (5.0,)
        """
        return cls.of_ranked(column, np.sort(times)[cls.places(len(times), n_slices=n_slices)])

    @staticmethod
    def places(n_rows: int, *, n_slices: int = N_SLICES) -> npt.NDArray[np.int64]:
        """The ranks, from 0, of the times that `of_ranked` needs of so many rows.

        >>> Axis.places(8, n_slices=4).tolist(), Axis.places(0).tolist()
        ([0, 2, 4, 6], [])
        """
        if not n_rows:
            return np.zeros(0, dtype=np.int64)
        return np.arange(n_slices, dtype=np.int64) * n_rows // n_slices

    @classmethod
    def of_ranked(cls, column: str, ranked: Floats) -> Axis:
        """Slices of about equal counts; equal times share one, so there may be fewer.

        Args:
            column: the time column.
            ranked: the times of the rows that are followed at the ranks of `places`; finite.

        >>> Axis.of_ranked("at", np.array([1.0, 5.0])).edges
        (5.0,)
        """
        if not len(ranked):
            return cls(column, ())
        edges = np.unique(ranked[1:])
        return cls(column, tuple(edges[edges > ranked[0]].tolist()))

    @property
    def n_slices(self) -> int:
        """One more than edges."""
        return len(self.edges) + 1

    def slices(self, values: Floats) -> Groups:
        """The slice of each value, shape (n_rows,); NaN falls into the last."""
        return np.searchsorted(np.asarray(self.edges), values, side="right").astype(np.intp)


@dataclass(frozen=True, eq=False)
class Sorted:
    """Rows brought into the order of their slices, once for all columns of a block.

    Attributes:
        order: places of the rows, slice by slice; None where they stand so already.
        present: slices with rows, increasing, shape (n_present,).
        starts: where each begins in that order, shape (n_present,).
        n_slices: of the axis.
    """

    order: Groups | None
    present: Groups
    starts: Groups
    n_slices: int

    @classmethod
    def of(cls, slices: Groups, *, n_slices: int) -> Sorted:
        """Order rows by their slices, shape (n_rows,)."""
        order = None
        if len(slices) and bool(np.any(slices[1:] < slices[:-1])):
            order = np.argsort(slices.astype(np.uint16), kind="stable")  # a radix sort
            slices = slices[order]
        present, starts = np.unique(slices, return_index=True)
        return cls(order, present, starts, n_slices)

    def put(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of the present slices among zeros for the others, shape (n_slices,)."""
        out = np.zeros(self.n_slices, dtype=values.dtype)
        out[self.present] = values
        return out

    def span(self, values: Floats) -> tuple[Floats, Floats]:
        """Smallest and largest finite value by slice; infinite, and minus that, where none is."""
        low, high = np.full(self.n_slices, np.inf), np.full(self.n_slices, -np.inf)
        ordered = values if self.order is None else values[self.order]
        if len(ordered):
            finite = np.isfinite(ordered)
            low[self.present] = np.minimum.reduceat(np.where(finite, ordered, np.inf), self.starts)
            high[self.present] = np.maximum.reduceat(
                np.where(finite, ordered, -np.inf), self.starts
            )
        return low, high

    def stats(self, values: Floats) -> NumberStats:
        """Count, mean and squared deviations by slice; what is not finite is left out."""
        if not len(values):
            nothing = np.zeros(self.n_slices)
            return NumberStats(nothing.astype(np.int64), nothing, nothing)
        apart = values.copy() if self.order is None else values[self.order]
        away = np.flatnonzero(~np.isfinite(apart))  # few: by places, as in `CoMoments`
        ends = np.append(self.starts[1:], len(apart))
        n = ends - self.starts - np.diff(np.searchsorted(away, np.append(self.starts, len(apart))))
        apart[away] = 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.add.reduceat(apart, self.starts) / np.maximum(n, 1)
            for start, end, middle in zip(self.starts, ends, mean, strict=True):
                apart[start:end] -= middle
            apart[away] = 0.0
            np.multiply(apart, apart, out=apart)
            m2 = np.add.reduceat(apart, self.starts)
        return NumberStats(self.put(n.astype(np.int64)), self.put(mean), self.put(m2))


def followed_classes(column: Column) -> tuple[str, ...]:
    """The categories whose rows are counted by slice.

    >>> from tenfold.schema import Kind
    >>> followed_classes(Column("c", Kind.CATEGORY, domain=("a", "b")))
    ('a', 'b', '\\x00other')
    """
    domain = column.domain or ()
    return (*domain, OTHER_CLASS) if len(domain) <= MAX_FOLLOWED else (OTHER_CLASS,)


@dataclass(frozen=True, eq=False)
class Course:
    """Columns by slice. A value: merging returns a new one; counts merge exactly in any order.

    Attributes:
        rows: rows of each slice, shape (n_slices,).
        low: smallest axis value met in each; infinite where there is none.
        high: largest; minus infinite where there is none.
        numbers: columns of numbers.
        categories: columns of strings; the last class is every category not followed.
    """

    rows: Ints
    low: Floats
    high: Floats
    numbers: Mapping[str, NumberStats]
    categories: Mapping[str, ClassStats]

    @classmethod
    def from_columns(
        cls,
        along: Floats,
        axis: Axis,
        *,
        numbers: Mapping[str, Floats],
        strings: Mapping[str, tuple[Column, pa.Array]],
    ) -> Course:
        """Follow the columns of one block.

        Args:
            along: the axis value of each row, shape (n_rows,).
            axis: the slices.
            numbers: name to values, NaN where missing.
            strings: name to column and Arrow strings.
        """
        slices = axis.slices(along)
        by_slice = Sorted.of(slices, n_slices=axis.n_slices)
        low, high = by_slice.span(along)
        return cls(
            rows=np.bincount(slices, minlength=axis.n_slices).astype(np.int64),
            low=low,
            high=high,
            numbers={name: by_slice.stats(values) for name, values in numbers.items()},
            categories={
                name: _count(slices, array, followed_classes(column), axis.n_slices)
                for name, (column, array) in strings.items()
            },
        )

    @classmethod
    def merge_all(cls, parts: Sequence[Course]) -> Course:
        """The course over the rows of all; at least one part, all of one axis and schema."""
        n_slices = len(parts[0].rows)
        groups = np.tile(np.arange(n_slices), len(parts))
        first, others = parts[0], parts[1:]
        return cls(
            rows=np.sum([part.rows for part in parts], axis=0),
            low=np.min([part.low for part in parts], axis=0),
            high=np.max([part.high for part in parts], axis=0),
            numbers={
                name: stats.concat([o.numbers[name] for o in others]).regroup(
                    groups, n_groups=n_slices
                )
                for name, stats in first.numbers.items()
            },
            categories={
                name: stats.concat([o.categories[name] for o in others]).regroup(
                    groups, n_groups=n_slices
                )
                for name, stats in first.categories.items()
            },
        )


def _count(slices: Groups, array: pa.Array, classes: tuple[str, ...], n_slices: int) -> ClassStats:
    if len(classes) == 1:  # no category is followed: only which rows have one
        present = np.asarray(array.is_valid().to_numpy(zero_copy_only=False))
        counts = np.bincount(slices[present], minlength=n_slices).astype(np.int64)
        return ClassStats(classes, counts[:, None])
    codes = class_codes(array, classes)
    return ClassStats.count_rows(slices, codes, n_groups=n_slices, classes=classes)
