"""The laws of a fold plan."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.training.folds import TEST_FOLD, fold_plan


@given(st.integers(2, 20), st.booleans())
def test_no_fold_is_judged_by_a_model_that_saw_it(n_folds: int, ordered: bool) -> None:
    plan = fold_plan(n_folds, ordered=ordered)
    assert len(plan) == n_folds
    assert len({use.valid for use in plan}) == n_folds
    for use in plan:
        assert use.valid not in use.train
        assert use.train
        assert TEST_FOLD not in (*use.train, use.valid)
        if ordered:
            assert max(use.train) < use.valid


@given(st.integers(2, 20))
def test_unordered_folds_are_all_judged_and_all_used(n_folds: int) -> None:
    for use in fold_plan(n_folds, ordered=False):
        assert {*use.train, use.valid} == set(range(n_folds))


def test_one_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="got 1"):
        fold_plan(1, ordered=False)
