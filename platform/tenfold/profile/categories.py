"""The summary of one column of strings: exact counts up to a cap, heavy hitters beyond it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tenfold.profile.distinct import estimate_distinct, hash_strings, smallest_hashes

__all__ = ["MAX_CATEGORIES", "CategoryProfile"]

MAX_CATEGORIES = 20_000
"""Most categories that are counted one by one; twice the largest domain of a schema, so that the
categories of a domain are never dropped."""


@dataclass(frozen=True, eq=False)
class CategoryProfile:
    """One column of strings. A value: merging returns a new one.

    Up to `MAX_CATEGORIES` distinct strings the counts are exact. Beyond that the strings of the
    schema's domain stay exact, and of the others the most frequent are kept: each of their counts
    is short by at most `error`.

    Attributes:
        count: rows with a value.
        nulls: rows without one.
        counts: rows per category, sorted by category.
        other: rows whose category was dropped.
        error: most rows that any category outside the domain may be short of.
        hashes: smallest hashes of all categories, kept only once some were dropped.
    """

    count: int
    nulls: int
    counts: Mapping[str, int]
    other: int = 0
    error: int = 0
    hashes: npt.NDArray[np.uint64] | None = field(default=None, repr=False)

    @classmethod
    def merge_all(
        cls, parts: Sequence[CategoryProfile], *, domain: Collection[str] = ()
    ) -> CategoryProfile:
        """The summary of all parts' rows.

        Args:
            parts: at least one.
            domain: categories that must stay exact; the same in every call for a column.
        """
        total: Counter[str] = Counter()
        for part in parts:
            total.update(part.counts)
        merged = cls(
            count=sum(part.count for part in parts),
            nulls=sum(part.nulls for part in parts),
            counts=dict(sorted(total.items())),
            other=sum(part.other for part in parts),
            error=sum(part.error for part in parts),
        )
        if len(total) <= MAX_CATEGORIES and all(part.hashes is None for part in parts):
            return merged
        hashes = [hash_strings(p.counts) if p.hashes is None else p.hashes for p in parts]
        return merged._trimmed(frozenset(domain), smallest_hashes(hashes))

    def merge(self, other: CategoryProfile, *, domain: Collection[str] = ()) -> CategoryProfile:
        """The summary of the rows of both."""
        return self.merge_all([self, other], domain=domain)

    def _trimmed(self, domain: frozenset[str], hashes: npt.NDArray[np.uint64]) -> CategoryProfile:
        free = sorted(
            (name for name in self.counts if name not in domain),
            key=lambda name: (-self.counts[name], name),
        )
        room = max(0, MAX_CATEGORIES - (len(self.counts) - len(free)))
        dropped = free[room:]
        gone = frozenset(dropped)
        return CategoryProfile(
            count=self.count,
            nulls=self.nulls,
            counts={name: n for name, n in self.counts.items() if name not in gone},
            other=self.other + sum(self.counts[name] for name in dropped),
            error=self.error + max((self.counts[name] for name in dropped), default=0),
            hashes=hashes,
        )

    @property
    def is_exact(self) -> bool:
        """Whether every category of the column is counted."""
        return self.hashes is None

    @property
    def n_distinct(self) -> int:
        """Distinct categories: exact while the counts are, else within about 5 %."""
        return len(self.counts) if self.hashes is None else estimate_distinct(self.hashes)

    @cached_property
    def _ranked(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self.counts.items(), key=lambda item: (-item[1], item[0])))

    def top(self, n: int) -> tuple[tuple[str, int], ...]:
        """The ``n`` most frequent categories with their rows; ties by name.

        >>> CategoryProfile(3, 0, {"a": 1, "b": 2}).top(1)
        (('b', 2),)
        """
        return self._ranked[:n]

    def frequencies(self, names: Iterable[str]) -> list[float]:
        """The share of each named category among the rows with a value; 0 where unseen.

        >>> CategoryProfile(4, 0, {"a": 1, "b": 3}).frequencies(["b", "z"])
        [0.75, 0.0]
        """
        return [self.counts.get(name, 0) / max(1, self.count) for name in names]
