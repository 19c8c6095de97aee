"""Target encoding: what the target does in a category, as a table per category column.

A table holds **shifts**: how far the target's mean in a category lies from its mean over all rows,
in standard deviations of the target, pulled to 0 where there are few rows::

    shift = n / (n + smoothing) * (mean of the category - mean of all) / deviation of all

Missing, unseen and rare categories get 0: nothing is known of them. Shifts, not means: the means of
folds differ, and a row encoded without its own fold would tell by its mean which fold it is from
and, since a fold that is left out pulls the mean of the others the other way, what its target is.

A category's number of rows is no feature beside its shift: the shift carries it already, and with
2,000 categories it moved ROC AUC by about 0.001, up or down.

Source: D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes"
(2001), equation 4, with n / (n + m) as weight; the fold scheme is in `crossfit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tenfold.errors import DataError
from tenfold.features.codes import Codes
from tenfold.features.ops import TargetLookup

if TYPE_CHECKING:
    from tenfold.features.recipe import Recipe
    from tenfold.profile import Profile
    from tenfold.profile.profile import Association
    from tenfold.profile.target import TargetStats
    from tenfold.schema import Column

__all__ = ["MAX_TARGET_FEATURES", "TargetTables"]

MAX_TARGET_FEATURES = 16
"""Most features of one column: with more classes only the first of the target's domain get one.
Which ones must not depend on rows, since every fold makes the same features."""

_DIGITS = 6
"""Digits of a shift: a millionth of a deviation is far below its error, and the sums of a number's
parts differ in bits beyond it by how the rows were cut into blocks."""


class TargetTables:
    """The target's statistics of some category columns, fold by fold, ready to be added up.

    Args:
        columns: places in the codes and the columns, each with a domain.
        profiles: by fold, of the rows of one schema with a target.
        recipe: its ``smoothing`` and ``rare_min_count`` count.

    Raises:
        DataError: there is no target to encode by.
    """

    def __init__(
        self,
        columns: Sequence[tuple[int, Column]],
        profiles: Mapping[int, Profile],
        *,
        recipe: Recipe,
    ) -> None:
        self.columns = tuple(columns)
        self.recipe = recipe
        self._parts = {
            fold: [_by_code(_of(profile, column), column) for _, column in self.columns]
            for fold, profile in profiles.items()
        }
        self._any = next(iter(self._parts.values()))

    def op(self, folds: Sequence[int]) -> TargetLookup:
        """The operation fitted on the rows of some folds alone; of no fold, all shifts are 0."""
        places: list[int] = []
        tables: list[tuple[float, ...]] = []
        for index, (place, _) in enumerate(self.columns):
            shifts = self._shifts(index, folds)
            places += [place] * shifts.shape[1]
            tables += [tuple(column) for column in shifts.T.tolist()]
        return TargetLookup(tuple(places), tuple(tables))

    @cached_property
    def feature_names(self) -> list[str]:
        """One per feature: the column, and the class where there are several."""
        classes = _classes(self._any[0])
        if len(classes) < 2:
            return [f"{column.name} (target)" for _, column in self.columns]
        return [f"{c.name} (target={name})" for _, c in self.columns for name in classes]

    def _shifts(self, index: int, folds: Sequence[int]) -> Codes:
        """(2 + n_categories, n_features of this column), opening with missing and unseen."""
        some = self._any[index]
        n_groups = len(some.n)
        if not folds:
            return np.zeros((n_groups, len(_classes(some))))
        parts = [self._parts[fold][index] for fold in folds]
        # Added up anew, never "all minus own": a fold that is left out must not leave a trace in
        # the last bit.
        every = np.tile(np.arange(n_groups), len(parts))
        stats = parts[0].concat(parts[1:]).regroup(every, n_groups=n_groups)
        n = stats.n[:, None].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            means, mean, deviation = _moments(stats)
            shifts = n / (n + self.recipe.smoothing) * ((means - mean) / deviation)
        known = (n >= max(1, self.recipe.rare_min_count)) & np.isfinite(shifts)
        known[:2] = False
        return np.where(known, np.round(shifts, _DIGITS), 0.0) + 0.0


def _of(profile: Profile, column: Column) -> Association:
    if column.name not in profile.associations:
        raise DataError(
            f"column {column.name!r}: a target encoding needs a target and the schema has none; "
            "choose another coding of categories, such as 'onehot'"
        )
    return profile.associations[column.name]


def _by_code(association: Association, column: Column) -> TargetStats:
    """Groups as a table has them: missing, unseen, then the categories of the domain."""
    from tenfold.profile.association import CategoryAssociation

    assert isinstance(association, CategoryAssociation)  # noqa: S101  (it has a domain)
    codes = {text: code + 2 for code, text in enumerate(column.domain or ())}
    groups = [codes.get(text, 1) for text in association.categories]
    return association.stats.regroup(np.array([*groups, 1, 0]), n_groups=len(codes) + 2)


def _classes(stats: TargetStats) -> tuple[str, ...]:
    """One name per feature: every class but the last, which the others imply; "" for a number."""
    from tenfold.profile.target import ClassStats

    if not isinstance(stats, ClassStats):
        return ("",)
    return stats.classes[:-1][:MAX_TARGET_FEATURES] or ("",)


def _moments(stats: TargetStats) -> tuple[Codes, Codes, Codes]:
    """Means per group (n_groups, k), means and deviations of all rows (k,)."""
    from tenfold.profile.target import ClassStats

    if isinstance(stats, ClassStats):
        counts = stats.counts[:, : len(_classes(stats))].astype(np.float64)
        shares = counts.sum(axis=0) / stats.n.sum()
        return counts / stats.n[:, None], shares, np.sqrt(shares * (1.0 - shares))
    whole = stats.regroup(np.zeros(len(stats.n), dtype=np.intp), n_groups=1)
    return stats.mean[:, None], whole.mean, np.sqrt(whole.m2 / whole.n)
