"""One column of strings over many blocks: a string is looked at once a block, not once a row."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tenfold.profile.association import CategoryAssociation, Target
from tenfold.profile.categories import MAX_CATEGORIES, CategoryProfile
from tenfold.profile.columns import places_among, plain
from tenfold.profile.target import TargetStats

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CategoryScan"]


class CategoryScan:
    """Summarizes a column block by block. Mutable, for one thread.

    Law, held by a property test: up to `MAX_CATEGORIES` strings the results do not depend on how
    the column was cut; beyond that they are those of merging the blocks.

    Args:
        domain: categories that must stay exact.

    >>> import pyarrow as pa
    >>> scan = CategoryScan()
    >>> scan.add(pa.array(["b", None]))
    >>> scan.add(pa.array(["a", "b"]))
    >>> scan.results()[0]
    CategoryProfile(count=3, nulls=1, counts={'a': 1, 'b': 2}, other=0, error=0)
    """

    def __init__(self, *, domain: Collection[str] = ()) -> None:
        self._domain = domain
        self._profile: CategoryProfile | None = None
        self._association: CategoryAssociation | None = None
        self._clear()

    def _clear(self) -> None:
        # Group 0 is for missing rows, so that the groups of known strings never move.
        self._known: pa.Array | None = None
        self._rows = np.zeros(1, dtype=np.int64)
        self._stats: TargetStats | None = None

    def add(self, array: pa.Array, target: Target | None = None) -> None:
        """Count a block.

        Args:
            array: Arrow strings, plain or a dictionary, shape (n_rows,).
            target: of the same rows; with every block or with none.
        """
        if len(self._rows) > MAX_CATEGORIES:
            self._summarize()
        groups, n_known = self._groups(array)
        n_groups = n_known + 1
        rows = np.bincount(groups, minlength=n_groups)
        rows[: len(self._rows)] += self._rows
        self._rows = rows
        if target is not None:
            stats = target.by_group(groups, n_groups=n_groups)
            self._stats = stats if self._stats is None else self._stats.padded(n_groups).plus(stats)

    def _groups(self, array: pa.Array) -> tuple[npt.NDArray[np.intp], int]:
        """The group of each row, and how many strings are known: new ones become it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._known is None:
            self._known = plain(array.slice(0, 0))
        found = places_among(array, self._known)
        if found.null_count > array.null_count:
            new = plain(array.filter(pc.and_(found.is_null(), array.is_valid())).unique())
            self._known = pa.concat_arrays([self._known, new])
            found = places_among(array, self._known)
        codes = found.fill_null(-1).to_numpy(zero_copy_only=False)
        return codes.astype(np.intp) + 1, len(self._known)

    def results(self) -> tuple[CategoryProfile, CategoryAssociation | None]:
        """The summaries of all blocks so far."""
        return self._summarize(), self._association

    def _summarize(self) -> CategoryProfile:
        known: list[str] = [] if self._known is None else self._known.to_pylist()
        ranked = sorted(range(len(known)), key=known.__getitem__)
        names = [known[at] for at in ranked]
        groups = np.array(ranked, dtype=np.intp) + 1
        part = CategoryProfile(
            count=int(self._rows[groups].sum()),
            nulls=int(self._rows[0]),
            counts=dict(zip(names, self._rows[groups].tolist(), strict=True)),
        )
        before = [] if self._profile is None else [self._profile]
        merged = CategoryProfile.merge_all([*before, part], domain=self._domain)
        self._profile = merged
        if self._stats is not None:
            association = CategoryAssociation(tuple(names), _in_order(self._stats, groups))
            also = [] if self._association is None else [self._association]
            parts = [*also, association]
            self._association = CategoryAssociation.merge_all(parts, domain=self._domain)
        self._clear()
        return merged


def _in_order(stats: TargetStats, groups: npt.NDArray[np.intp]) -> TargetStats:
    """One group a name in the given order, none dropped, missing last."""
    n_groups = len(groups) + 1
    return stats.padded(n_groups + 1).take(np.concatenate((groups, (n_groups, 0))))
