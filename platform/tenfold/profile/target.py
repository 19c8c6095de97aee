"""What the target does in groups of rows: class counts, or count, mean and squared deviations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.profile.grid import Floats, Ints

__all__ = ["MAX_CLASSES", "OTHER_CLASS", "ClassStats", "NumberStats", "TargetStats"]

MAX_CLASSES = 256
"""Most classes counted one by one; the rest (last in the sorted domain) are one class together."""

OTHER_CLASS = "\x00other"
"""The name of the class that the rest is counted under; no cleaned table holds it."""

Groups = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class ClassStats:
    """Rows per group and class.

    Attributes:
        classes: their names, shape (n_classes,).
        counts: shape (n_groups, n_classes).
    """

    classes: tuple[str, ...]
    counts: Ints

    @classmethod
    def count_rows(
        cls, groups: Groups, codes: Groups, *, n_groups: int, classes: tuple[str, ...]
    ) -> ClassStats:
        """Count rows by group and class.

        Args:
            groups: group of each row, shape (n_rows,).
            codes: class of each row, an index into ``classes``; -1 (no target) is left out.
            n_groups: number of groups.
            classes: class names.
        """
        unknown = int(len(codes) > 0 and codes.min() < 0)  # then a class more, the first
        width = len(classes) + unknown
        flat = groups * width
        flat += codes
        flat += unknown
        counts = np.bincount(flat, minlength=n_groups * width).astype(np.int64)
        return cls(classes, counts.reshape(n_groups, width)[:, unknown:])

    @property
    def n(self) -> Ints:
        """Rows with a target per group, shape (n_groups,)."""
        return np.asarray(self.counts.sum(axis=1), dtype=np.int64)

    def regroup(self, groups: Groups, *, n_groups: int) -> ClassStats:
        """Add up groups: group i goes to group ``groups[i]``."""
        counts = np.zeros((n_groups, len(self.classes)), dtype=np.int64)
        np.add.at(counts, groups, self.counts)
        return ClassStats(self.classes, counts)

    def plus(self, other: Any) -> ClassStats:
        """The rows of both, which have the same groups and classes."""
        return ClassStats(self.classes, self.counts + other.counts)

    def padded(self, n_groups: int) -> ClassStats:
        """The same with empty groups at the end."""
        more = n_groups - len(self.counts)
        return ClassStats(self.classes, np.pad(self.counts, ((0, more), (0, 0))))

    def take(self, groups: slice | Groups) -> ClassStats:
        """Some of the groups."""
        return ClassStats(self.classes, self.counts[groups])

    def concat(self, others: Sequence[Any]) -> ClassStats:
        """The groups of several, one after the other; all have the same classes."""
        return ClassStats(self.classes, np.concatenate([self.counts, *(o.counts for o in others)]))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays by name, for storing."""
        return {"counts": self.counts}


@dataclass(frozen=True, eq=False)
class NumberStats:
    """Count, mean and squared deviations of a numeric target per group, shapes (n_groups,)."""

    n: Ints
    mean: Floats
    m2: Floats

    @classmethod
    def sum_rows(cls, groups: Groups, target: Floats, *, n_groups: int) -> NumberStats:
        """Summarize rows by group.

        Args:
            groups: group of each row, shape (n_rows,).
            target: NaN (no target) is left out, shape (n_rows,).
            n_groups: number of groups.
        """
        known = np.isfinite(target)
        once = np.ones(int(known.sum()), dtype=np.int64)
        rows = cls(once, target[known], np.zeros(len(once), dtype=np.float64))
        return rows.regroup(groups[known], n_groups=n_groups)

    @property
    def sums(self) -> Floats:
        """Sum of the target per group, shape (n_groups,)."""
        return self.n * self.mean

    def regroup(self, groups: Groups, *, n_groups: int) -> NumberStats:
        """Add up groups (Chan, Golub, LeVeque 1979, in its form for many parts)."""
        n = np.bincount(groups, weights=self.n, minlength=n_groups)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.bincount(groups, weights=self.n * self.mean, minlength=n_groups)
            mean = sums / np.maximum(n, 1.0)
            apart = self.mean - mean[groups]
            spread = self.m2 + self.n * apart * apart
        m2 = np.bincount(groups, weights=spread, minlength=n_groups)
        return NumberStats(n.astype(np.int64), mean, m2.astype(np.float64))

    def plus(self, other: Any) -> NumberStats:
        """The rows of both, which have the same groups."""
        n_groups = len(self.n)
        return self.concat([other]).regroup(np.tile(np.arange(n_groups), 2), n_groups=n_groups)

    def padded(self, n_groups: int) -> NumberStats:
        """The same with empty groups at the end."""
        more = n_groups - len(self.n)
        return NumberStats(
            np.pad(self.n, (0, more)), np.pad(self.mean, (0, more)), np.pad(self.m2, (0, more))
        )

    def take(self, groups: slice | Groups) -> NumberStats:
        """Some of the groups."""
        return NumberStats(self.n[groups], self.mean[groups], self.m2[groups])

    def concat(self, others: Sequence[Any]) -> NumberStats:
        """The groups of several, one after the other."""
        every = [self, *others]
        return NumberStats(
            np.concatenate([stats.n for stats in every]),
            np.concatenate([stats.mean for stats in every]),
            np.concatenate([stats.m2 for stats in every]),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays by name, for storing."""
        return {"n": self.n, "mean": self.mean, "m2": self.m2}


TargetStats = ClassStats | NumberStats
