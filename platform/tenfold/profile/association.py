"""The target against one feature: exact per category, and per cell of a grid for numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt

from tenfold.profile.grid import Floats, fitting_level, group_sorted, place_in_cells, snap
from tenfold.profile.target import ClassStats, NumberStats, TargetStats

__all__ = [
    "MAX_ASSOCIATED",
    "MAX_CELLS",
    "CategoryAssociation",
    "NumberAssociation",
    "Target",
]

MAX_CELLS = 1024
"""Most cells of a number's grid: fine enough for 20 bins of equal weight on any usual spread."""

MAX_ASSOCIATED = 10_000
"""Most categories with target statistics of their own: as many as a schema's domain holds."""

Groups = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Target:
    """The target of a table's rows: codes into classes, or numbers.

    Attributes:
        classes: class names; empty for a numeric target.
        values: class index (-1 missing) or number (NaN missing), shape (n_rows,).
    """

    classes: tuple[str, ...]
    values: npt.NDArray[np.intp] | Floats

    @staticmethod
    def concat(parts: Sequence[Target]) -> Target:
        """The rows of several, one after the other; at least one."""
        values = np.concatenate([part.values for part in parts])
        return Target(parts[0].classes, cast("Groups | Floats", values))

    def take(self, rows: Groups) -> Target:
        """Some of the rows."""
        return Target(self.classes, self.values[rows])

    @property
    def width(self) -> int:
        """Figures that are kept of it for each group."""
        return len(self.classes) or 3

    @cached_property
    def is_full(self) -> bool:
        """Whether every row has a class; a number's statistics are not told place by place."""
        return bool(self.classes) and bool((cast("Groups", self.values) >= 0).all())

    def by_group(self, groups: Groups, *, n_groups: int) -> TargetStats:
        """The target's statistics per group of rows; ``groups`` has shape (n_rows,)."""
        if self.classes:
            codes = cast("Groups", self.values)
            return ClassStats.count_rows(groups, codes, n_groups=n_groups, classes=self.classes)
        return NumberStats.sum_rows(groups, cast("Floats", self.values), n_groups=n_groups)


@dataclass(frozen=True, eq=False)
class NumberAssociation:
    """The target per cell of a number's values.

    Attributes:
        cells: sorted values or middles of cells, shape (n_cells,), at most `MAX_CELLS`.
        level: lowest bits forgotten by the cells; 0 is exact.
        stats: one group per cell, then one for rows where the feature is missing.
    """

    cells: Floats
    level: int
    stats: TargetStats

    @classmethod
    def from_values(
        cls, values: Floats, target: Target, *, cells: tuple[Floats, int] | None = None
    ) -> NumberAssociation:
        """Summarize a column; what is not finite counts as missing.

        Args:
            values: shape (n_rows,).
            target: of the same rows.
            cells: those of the column's own profile and their level, where it is known: the sort
                is half of the work.
        """
        finite = np.isfinite(values)
        fine, floor = (np.unique(values[finite] + 0.0), 0) if cells is None else cells
        level = fitting_level(fine, floor=floor, cap=MAX_CELLS)
        found, _ = group_sorted(snap(fine, level=level))
        groups = np.full(len(values), len(found), dtype=np.intp)
        groups[finite] = place_in_cells(values[finite] + 0.0, found, level=level)
        return cls(found, level, target.by_group(groups, n_groups=len(found) + 1))

    @classmethod
    def merge_all(cls, parts: Sequence[NumberAssociation]) -> NumberAssociation:
        """The association over all parts' rows; at least one part."""
        floor = max(part.level for part in parts)
        # A missing row's group is named by NaN, which sorts last and keeps it apart.
        names = np.concatenate([np.append(snap(p.cells, level=floor), np.nan) for p in parts])
        cells = np.unique(names[~np.isnan(names)])
        level = fitting_level(cells, floor=floor, cap=MAX_CELLS)
        cells, _ = group_sorted(snap(cells, level=level))
        groups = np.searchsorted(cells, snap(names, level=level))
        groups[np.isnan(names)] = len(cells)
        stats = parts[0].stats.concat([part.stats for part in parts[1:]])
        return cls(cells, level, stats.regroup(groups, n_groups=len(cells) + 1))


@dataclass(frozen=True, eq=False)
class CategoryAssociation:
    """The target per category: exact for the categories that are kept.

    Attributes:
        categories: sorted, at most `MAX_ASSOCIATED`.
        stats: one group per category, then one for rows of all dropped categories, then one for
            rows where the feature is missing.
    """

    categories: tuple[str, ...]
    stats: TargetStats

    @classmethod
    def merge_all(
        cls, parts: Sequence[CategoryAssociation], *, domain: Collection[str] = ()
    ) -> CategoryAssociation:
        """The association over all parts' rows; at least one part."""
        names = sorted(set().union(*(part.categories for part in parts)))
        index = {name: i for i, name in enumerate(names)}
        groups = np.concatenate(
            [[*(index[c] for c in p.categories), len(names), len(names) + 1] for p in parts]
        ).astype(np.intp)
        stats = parts[0].stats.concat([part.stats for part in parts[1:]])
        merged = stats.regroup(groups, n_groups=len(names) + 2)
        return cls(tuple(names), merged)._trimmed(frozenset(domain))

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The group of each category."""
        return {name: i for i, name in enumerate(self.categories)}

    def _trimmed(self, domain: frozenset[str]) -> CategoryAssociation:
        if len(self.categories) <= MAX_ASSOCIATED:
            return self
        n = self.stats.n
        ranked = sorted(
            range(len(self.categories)),
            key=lambda i: (self.categories[i] not in domain, -n[i], self.categories[i]),
        )
        kept = sorted(ranked[:MAX_ASSOCIATED])
        groups = np.full(len(self.categories) + 2, MAX_ASSOCIATED, dtype=np.intp)
        groups[kept] = np.arange(MAX_ASSOCIATED)
        groups[-1] = MAX_ASSOCIATED + 1
        stats = self.stats.regroup(groups, n_groups=MAX_ASSOCIATED + 2)
        return CategoryAssociation(tuple(self.categories[i] for i in kept), stats)
