"""Laws of whole recipes, drawn at random: doors, cuts and files change no bit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.canonical import canonical_json
from tenfold.features import Preprocessor, Recipe
from tenfold.features.ops import OPS
from tenfold.features.second import Stage
from tenfold.profile import Profile, merge_profiles
from tenfold.schema import Column, Kind, Schema
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table, wide_schema, wide_table
from tenfold.testing.preprocessing import same_bits
from tenfold.testing.recipes import recipes
from tests.tenfold.features.construct.test_construction import stage_of

N_ROWS = 80
SCHEMA = wide_schema()


@cache
def profile_of(seed: int) -> Profile:
    return Profile.from_table(wide_table(N_ROWS, seed=seed), SCHEMA)


@cache
def constructed() -> Stage:
    return stage_of(mixed_table(N_ROWS))


def fit(recipe: Recipe, *, seed: int) -> Preprocessor:
    return Preprocessor.fit(SCHEMA, profile_of(seed), recipe=recipe)


def cells(column: Column) -> st.SearchStrategy[Any]:
    """Values of a column, of any size and among them those that no training row had."""
    text = st.text(max_size=8)
    known = {
        Kind.NUMBER: st.floats(allow_nan=False, allow_infinity=False),
        Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
        Kind.BOOLEAN: st.booleans(),
        Kind.CATEGORY: st.sampled_from(column.domain or ("",)) | text,
        Kind.DATETIME: st.datetimes(timezones=st.just(UTC))
        | st.just(datetime.max.replace(tzinfo=UTC)),
        Kind.TEXT: text | st.sampled_from(["Quiet room", "river, RIVER!", "AX-7/Ü 3"]),
        Kind.IDENTIFIER: text,
    }[column.kind]
    return st.none() | known if column.nullable else known


def rows_of(schema: Schema) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A few rows of the features."""
    row = st.fixed_dictionaries({column.name: cells(column) for column in schema.features})
    return st.lists(row, min_size=1, max_size=6)


def demand_one_answer(fitted: Preprocessor, rows: list[dict[str, Any]]) -> None:
    """The batch's bits are the rows', and bounded."""
    types = fitted.schema.arrow_schema()
    names = pa.schema([types.field(column.name) for column in fitted.schema.features])
    table = pa.Table.from_pylist(rows, schema=names)
    one_by_one = np.stack([fitted.transform_row(row) for row in json_rows(fitted.schema, table)])
    assert same_bits(fitted.transform(table), one_by_one)
    assert not np.isinf(one_by_one).any()
    assert fitted.recipe.leaves_missing or not np.isnan(one_by_one).any()


@settings(max_examples=100)
@given(recipe=recipes, seed=st.integers(0, 9), rows=rows_of(SCHEMA))
def test_a_row_has_the_same_bits_alone_and_in_a_batch(
    recipe: Recipe, seed: int, rows: list[dict[str, Any]]
) -> None:
    demand_one_answer(fit(recipe, seed=seed), rows)


@settings(max_examples=40)
@given(recipe=recipes, rows=rows_of(mixed_schema()))
def test_a_row_with_constructed_columns_too(recipe: Recipe, rows: list[dict[str, Any]]) -> None:
    demand_one_answer(constructed().crossfit(recipe).served, rows)


@settings(max_examples=40)
@given(recipe=recipes, seed=st.integers(0, 9), data=st.data())
def test_any_cut_and_order_of_the_rows_fits_the_same_numbers(
    recipe: Recipe, seed: int, data: st.DataObject
) -> None:
    table = wide_table(N_ROWS, seed=seed)
    cuts = data.draw(st.lists(st.integers(0, N_ROWS), max_size=4).map(sorted))
    order = data.draw(st.permutations(range(N_ROWS)))
    shuffled = table.take(order)
    blocks = zip([0, *cuts], [*cuts, N_ROWS], strict=True)
    parts = [Profile.from_table(shuffled.slice(i, j - i), SCHEMA) for i, j in blocks]
    cut = Preprocessor.fit(SCHEMA, merge_profiles(parts), recipe=recipe)
    assert cut.digest() == fit(recipe, seed=seed).digest()


@settings(max_examples=40)
@given(recipe=recipes, seed=st.integers(0, 9))
def test_a_file_gives_back_what_was_fitted(recipe: Recipe, seed: int) -> None:
    fitted = fit(recipe, seed=seed)
    text = canonical_json(fitted.to_dict())
    again = Preprocessor.from_dict(json.loads(text))
    assert canonical_json(again.to_dict()) == text
    assert len(set(fitted.feature_names)) == fitted.n_features
    table = wide_table(20, seed=seed + 1)
    assert same_bits(again.transform(table), fitted.transform(table))


def test_the_tables_above_reach_every_operation() -> None:
    chosen = [
        Recipe(missing_indicator=True, categories="native", dates="elapsed"),
        Recipe(numbers="power", categories="onehot", many="target"),
        Recipe(numbers="quantile", categories="frequency", missing_indicator=True),
    ]
    kinds = {op.kind for recipe in chosen for op in fit(recipe, seed=0).ops}
    assert kinds == set(OPS)
