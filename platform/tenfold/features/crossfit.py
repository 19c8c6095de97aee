"""The preparation of training rows: what is fitted on the target never saw a row's own fold.

A target encoding that is fitted on a row's own target hands the answer to the model, which then
trusts it on rows where it is not there. So of the folds ``T`` that a model learns from

- a row of fold ``j`` in ``T`` is encoded by the folds of ``T`` without ``j``; where rows have an
  order in time, by the slices of ``T`` before ``j`` (by nothing in the first: every shift is 0),
- every other row (the judged fold, the sealed rows, what is served) by all of ``T``.

With one fold in ``T`` its own rows learn nothing from the target's statistics. The statistics come
from the folds' profiles, so no row is read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import Codes
from tenfold.features.fitting_categories import target_columns
from tenfold.features.ops.base import Features
from tenfold.features.preprocessor import Preprocessor
from tenfold.features.recipe import Recipe
from tenfold.features.target_coding import TargetTables

if TYPE_CHECKING:
    from tenfold.features.construct import Construction
    from tenfold.profile import Profile
    from tenfold.schema import Schema

__all__ = ["CrossFit"]


class CrossFit:
    """A preprocessor with what its own training rows need. Immutable; any thread may use it.

    Only ``served`` is ever stored; it holds the final numbers.

    Args:
        served: fitted on all training folds.
        by_fold: per training fold, what its rows go through; the same features in the same order.
            Empty where nothing is fitted on the target, so that all rows go through ``served``.
    """

    def __init__(self, served: Preprocessor, by_fold: Mapping[int, Preprocessor]) -> None:
        self.served = served
        self.by_fold = dict(by_fold)

    @classmethod
    def fit(
        cls,
        schema: Schema,
        profiles: Mapping[int, Profile],
        *,
        recipe: Recipe,
        ordered: bool,
        construction: Construction | None = None,
    ) -> CrossFit:
        """Fit from the profiles of the training folds; no row is read.

        Args:
            schema: its features become the model's inputs.
            profiles: by fold, of the training folds only and of all of them.
            recipe: what to make of each kind of column.
            ordered: folds are slices of time: a row's numbers come from earlier ones only.
            construction: fitted on the same rows; the profiles are then of the columns it gives.

        Raises:
            DataError: no feature column has a usable kind, or a target encoding has no target.
        """
        from tenfold.profile import merge_profiles

        folds = sorted(profiles)
        whole = merge_profiles([profiles[fold] for fold in folds])
        served = Preprocessor.fit(schema, whole, recipe=recipe, construction=construction)
        seen = schema if construction is None else construction.extend(schema)
        columns = target_columns(seen, recipe=recipe)
        if not columns:
            return cls(served, {})
        tables = TargetTables(columns, profiles, recipe=recipe)
        others = {
            fold: [other for other in folds if (other < fold if ordered else other != fold)]
            for fold in folds
        }
        return cls(
            served,
            {fold: served.with_target(tables.op(others[fold])) for fold in folds},
        )

    def transform_training(self, codes: Codes, folds: npt.NDArray[np.integer]) -> Features:
        """The matrix of training rows, each without what its own fold says about the target.

        Args:
            codes: float64 (n_rows, n_features of the schema); not changed.
            folds: fold of each row, (n_rows,).

        Returns:
            float32 (n_rows, n_features).

        Raises:
            ValueError: a row is of no training fold.
        """
        if not self.by_fold:
            return self.served.transform_codes(codes)
        strange = sorted(set(np.unique(folds).tolist()) - self.by_fold.keys())
        if strange:
            raise ValueError(
                f"training rows are of the folds {sorted(self.by_fold)}, got rows of {strange}"
            )
        out = np.empty((len(codes), self.served.n_features), dtype=np.float32)
        for fold, prepared in self.by_fold.items():
            rows = np.flatnonzero(folds == fold)
            out[rows] = prepared.transform_codes(codes[rows])
        return out
