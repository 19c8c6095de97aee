"""Which columns a feature is made of, shown by changing columns and looking at what moves."""

from __future__ import annotations

import numpy as np
import pytest

from tenfold.features import Preprocessor, Recipe, encode_table
from tenfold.features.codes import Codes
from tenfold.features.joined import join_preprocessors
from tenfold.features.preprocessor import Prepares
from tenfold.features.sources import code_groups, feature_shares, feature_sources
from tenfold.profile import Profile
from tenfold.testing.mixed import mixed_table, wide_schema, wide_table
from tests.tenfold.features.construct.test_construction import stage_of

RECIPES = {
    "trees": Recipe(dates="elapsed"),
    "linear": Recipe(numbers="standard", categories="onehot", missing_indicator=True),
    "hashed": Recipe(categories="hashed", slots=16, dates="calendar"),
    "network": Recipe(numbers="quantile", categories="frequency", dates="elapsed"),
}


def prepared(name: str) -> tuple[Prepares, Codes]:
    if name == "constructed":
        recipe = Recipe(categories="target", dates="elapsed")
        fitted: Prepares = stage_of(mixed_table(400)).crossfit(recipe).served
        return fitted, encode_table(fitted.schema, mixed_table(120, seed=3))
    table, schema = wide_table(400), wide_schema()
    profile = Profile.from_table(table, schema)
    if name == "joined":
        parts = [Preprocessor.fit(schema, profile, recipe=r) for r in RECIPES.values()]
        fitted = join_preprocessors(parts)
    else:
        fitted = Preprocessor.fit(schema, profile, recipe=RECIPES[name])
    return fitted, encode_table(schema, wide_table(120, seed=3))


@pytest.mark.parametrize("name", [*RECIPES, "constructed", "joined"])
def test_a_feature_moves_with_its_own_columns_only(name: str) -> None:
    fitted, codes = prepared(name)
    sources = feature_sources(fitted)
    assert len(sources) == fitted.n_features
    before = fitted.transform_codes(codes)
    moved = np.zeros((fitted.n_features, len(fitted.schema.features)), dtype=bool)
    for column, places in enumerate(code_groups(fitted.schema)):
        for roll in (1, 7, 60):
            other = codes.copy()
            other[:, places] = np.roll(codes[:, places], roll, axis=0)
            after = fitted.transform_codes(other)
            same = (before == after) | (np.isnan(before) & np.isnan(after))
            moved[:, column] |= ~same.all(axis=0)
    told = feature_shares(fitted) > 0
    assert not (moved & ~told).any()
    # Nearly everything told does move: not a constant column, and not every hashed place.
    assert moved.any(axis=1).sum() > 0.4 * fitted.n_features


@pytest.mark.parametrize("name", [*RECIPES, "constructed", "joined"])
def test_shares_of_a_feature_sum_to_one(name: str) -> None:
    fitted, _codes = prepared(name)
    assert np.allclose(feature_shares(fitted).sum(axis=1), 1.0)


def test_what_is_made_of_two_columns_counts_half_for_each() -> None:
    fitted, _codes = prepared("constructed")
    names = [column.name for column in fitted.schema.features]
    shares = feature_shares(fitted)[fitted.feature_names.index("amount / age")]
    assert {names[k]: shares[k] for k in np.flatnonzero(shares)} == {"amount": 0.5, "age": 0.5}


def test_groups_of_codes_are_all_codes_once() -> None:
    fitted, codes = prepared("trees")
    joined = np.concatenate(code_groups(fitted.schema))
    assert sorted(joined.tolist()) == list(range(codes.shape[1]))
