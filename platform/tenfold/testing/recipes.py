"""Recipes drawn at random, for laws that hold for each of them."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from tenfold.features.recipe import CategoryCoding, DateCoding, Imputation, NumberCoding, Recipe

__all__ = ["recipes"]

_CODINGS = st.sampled_from(get_args(CategoryCoding))

recipes: st.SearchStrategy[Recipe] = st.builds(
    Recipe,
    numbers=st.sampled_from(get_args(NumberCoding)),
    categories=_CODINGS,
    dates=st.sampled_from(get_args(DateCoding)),
    missing_indicator=st.booleans(),
    clip=st.none() | st.sampled_from([0.5, 3.0, 1e6]),
    max_onehot=st.integers(1, 70),
    rare_min_count=st.integers(1, 4),
    many=st.none() | _CODINGS,
    many_from=st.integers(2, 130),
    smoothing=st.sampled_from([0.5, 10.0, 1e9]),
    impute=st.sampled_from(get_args(Imputation)),
    fill=st.sampled_from([0.0, -5.0, 3e38]),
    winsorize=st.none() | st.sampled_from([0.01, 0.2, 0.49]),
    slots=st.integers(1, 40),
)
"""Any recipe that can be written; a schema without a target takes none with ``target``."""
