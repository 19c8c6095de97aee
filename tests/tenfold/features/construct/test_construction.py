"""A preprocessor that constructs: the conformance suite, real tables, and files that lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data import Hints, clean_table, infer_schema, read_batches
from tenfold.errors import ArtifactError
from tenfold.features import Preprocessor, Recipe, encode_table
from tenfold.features.construct import (
    MAX_CONSTRUCTED,
    Candidates,
    Construction,
    choose_candidates,
    fit_construction,
    served_schema,
)
from tenfold.features.second import Stage, extend_profile
from tenfold.profile import Profile, merge_profiles
from tenfold.profile.association import Target
from tenfold.profile.columns import class_codes
from tenfold.schema import Kind, Role, Schema
from tenfold.testing.fuzz import damaged
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold.testing.preprocessing import PreprocessingConformance, same_bits

SCHEMA = mixed_schema()
ALL_KINDS = Candidates(
    differences=((0, 1), (1, 0)),
    ratios=((0, 1), (0, 6), (0, 7)),
    groups=((3, 0), (4, 1)),
    crosses=((3, 4),),
)
"""Numbers amount and age, constant and void; categories color and city."""


def stage_of(table: Any, profile: Profile | None = None) -> Stage:
    """The stage of a table, by default with its own profile."""
    codes, profile = encode_table(SCHEMA, table), profile or Profile.from_table(table, SCHEMA)
    made = fit_construction(SCHEMA, ALL_KINDS, codes)
    assert made is not None
    classes = ("no", "yes")
    target = Target(classes, class_codes(table.column("label").combine_chunks(), classes))
    extended = extend_profile(profile, made, codes, schema=SCHEMA, target=target)
    return Stage(SCHEMA, {0: extended}, construction=made, made=made.names)


class _Constructed(PreprocessingConformance):
    def fit(self) -> Preprocessor:
        return stage_of(self.table()).crossfit(self.recipe).served

    def test_any_cut_and_order_of_the_rows_gives_the_same_digest(self) -> None:
        """Rows come in hash order whatever the blocks; profiles come merged from them."""
        table, expected = self.table(), self.fit().digest()
        for size in (7, 60, 199):
            starts = range(0, table.num_rows, size)
            parts = [Profile.from_table(table.slice(k, size), SCHEMA) for k in starts]
            for order in (parts, parts[::-1]):
                stage = stage_of(table, merge_profiles(order))
                assert stage.crossfit(self.recipe).served.digest() == expected


class TestTrees(_Constructed):
    recipe = Recipe()


class TestLinear(_Constructed):
    recipe = Recipe(numbers="standard", categories="onehot", missing_indicator=True)


class TestNetwork(_Constructed):
    recipe = Recipe(numbers="robust", categories="onehot", clip=3.0, max_onehot=8)


class TestQuantile(_Constructed):
    recipe = Recipe(numbers="quantile", categories="frequency", missing_indicator=True)


class TestTarget(_Constructed):
    recipe = Recipe(numbers="power", categories="target", dates="elapsed")


def test_a_cross_is_encoded_by_the_target_like_any_category() -> None:
    fitted = stage_of(mixed_table(2000)).crossfit(Recipe(categories="target")).served
    assert "color & city (target)" in fitted.feature_names
    column = fitted.transform(mixed_table(2000))[
        :, fitted.feature_names.index("color & city (target)")
    ]
    assert len(np.unique(column)) > 3


def test_made_columns_stand_among_the_features_with_their_numbers() -> None:
    fitted = stage_of(mixed_table()).crossfit(Recipe()).served
    row = json_rows(SCHEMA, mixed_table(1))[0] | {"amount": 30.0, "age": 20}
    got = dict(zip(fitted.feature_names, fitted.transform_row(row).tolist(), strict=True))
    assert (got["amount - age"], got["age - amount"], got["amount / age"]) == (10.0, -10.0, 1.5)
    assert got["amount / constant"] == np.float32(30 / 7)
    assert np.isnan(got["amount / void"])
    assert got["amount - mean by color"] == pytest.approx(30 - got["mean(amount) by color"], 1e-6)


def test_a_file_without_construction_is_as_it_was() -> None:
    """Models of earlier versions keep their bytes and so their digests."""
    plain = Preprocessor.fit(SCHEMA, Profile.from_table(mixed_table(), SCHEMA), recipe=Recipe())
    assert set(plain.to_dict()) == {"format_version", "schema", "recipe", "ops", "feature_names"}
    assert plain.to_dict()["format_version"] == 1
    assert stage_of(mixed_table()).crossfit(Recipe()).served.to_dict()["format_version"] == 2


def some_of_all(schema: Schema) -> Candidates:
    kinds = [column.kind for column in schema.features]
    numbers = [k for k, kind in enumerate(kinds) if kind in (Kind.NUMBER, Kind.INTEGER)][:2]
    levels = [k for k, kind in enumerate(kinds) if kind is Kind.CATEGORY][:2]
    pair, cross = tuple(numbers), tuple(levels)
    return Candidates((pair,), (pair,), ((levels[0], numbers[0]),), (cross,))


@pytest.mark.parametrize("name", ["adult", "diamonds", "telco-churn"])
def test_real_rows_equal_real_batches_bit_for_bit(name: str, data_folder: Path) -> None:
    target = {"adult": "salary", "diamonds": "price", "telco-churn": "Churn"}[name]
    batch = next(iter(read_batches(data_folder / f"{name}.csv"))).slice(0, 4000)
    schema = infer_schema([batch], Hints(target=target))
    table, _ = clean_table(batch, schema)
    codes, profile = encode_table(schema, table), Profile.from_table(table, schema)
    truth = table[target].combine_chunks()
    truth = truth if target == "price" else truth.dictionary_encode().indices
    # Nothing is worth a trial on the churn table: there any column does.
    wanted = choose_candidates(schema, profile, codes, truth.to_numpy()) or some_of_all(schema)
    made = fit_construction(schema, wanted, codes)
    assert made is not None
    extended = extend_profile(profile, made, codes, schema=schema, target=None)
    fitted = (
        Stage(schema, {0: extended}, construction=made).crossfit(Recipe(numbers="robust")).served
    )
    rows = json_rows(schema, table.slice(0, 200))
    whole = fitted.transform_codes(codes)
    assert same_bits(np.stack([fitted.transform_row(row) for row in rows]), whole[:200])


def value_of() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(
        json.dumps(stage_of(mixed_table()).crossfit(Recipe()).served.to_dict())
    )
    return value


VALUE = value_of()
CODES = encode_table(SCHEMA, mixed_table(50))


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_construction_is_refused_or_harmless(data: st.DataObject) -> None:
    bad = data.draw(damaged(VALUE["construction"]))
    try:
        loaded = Preprocessor.from_dict(VALUE | {"construction": bad})
    except ArtifactError as error:
        assert str(error)
        return
    with np.errstate(all="ignore"):
        assert loaded.transform_codes(CODES).shape == (50, loaded.n_features)


MADE = VALUE["construction"]
RATIO = {"op": "ratio", "columns": [0], "others": [1]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "has the fields direct, makers and names"),
        ({"direct": 3}, "holds three lists"),
        ({"makers": []}, "one maker at least"),
        ({"direct": [1, 0]}, "passes on increasing columns below 8"),
        ({"direct": [0, 8]}, "passes on increasing columns below 8"),
        ({"direct": [True]}, "passes on increasing columns below 8"),
        ({"makers": [{"op": "os.system"}]}, "knows the makers aggregate, .*, not 'os.system'"),
        ({"makers": [3]}, "knows the makers"),
        ({"makers": [{"op": "take", "columns": [0]}]}, "not 'take'"),
        ({"makers": [RATIO | {"others": [99]}], "names": ["r"]}, "reads columns below 8"),
        ({"makers": [RATIO | {"x": 1}], "names": ["r"]}, "has the fields"),
        ({"makers": [RATIO], "names": ["r", "s"]}, "names every made column"),
        ({"makers": [RATIO], "names": [3]}, "names that are text"),
        ({"makers": [RATIO], "names": ["age"]}, "names that no other column has"),
        ({"names": ["n"] * (MAX_CONSTRUCTED + 1)}, f"at most {MAX_CONSTRUCTED} columns"),
    ],
)
def test_a_tampered_construction_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        Construction.from_dict(MADE | change, schema=SCHEMA)


def test_the_version_of_the_file_must_fit_its_content() -> None:
    with pytest.raises(ArtifactError, match="format 1 and this tenfold reads 2"):
        Preprocessor.from_dict(VALUE | {"format_version": 1})


def test_columns_that_are_not_needed_become_ignored_ones() -> None:
    served = served_schema(SCHEMA, [0, 3])
    assert [c.name for c in served.features] == ["amount", "color"]
    assert served.names == SCHEMA.names
    assert served.column("age").role is Role.IGNORED
    assert served.column("age").kind is Kind.INTEGER
    assert served.column("label") == SCHEMA.column("label")
