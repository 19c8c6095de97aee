"""The second stage's value: extended profiles are profiles of the extended table, keeping keeps."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tenfold.features import Preprocessor, Recipe, encode_table
from tenfold.features.codes import code_width
from tenfold.features.construct import Candidates, fit_construction
from tenfold.features.second import Stage, extend_profile, narrow_profile
from tenfold.profile import Profile
from tenfold.profile.association import Target
from tenfold.profile.columns import class_codes
from tenfold.schema import Column, Kind, Schema
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold.testing.preprocessing import same_bits

SCHEMA, TABLE = mixed_schema(), mixed_table(500)
CODES, PROFILE = encode_table(SCHEMA, TABLE), Profile.from_table(TABLE, SCHEMA)
CANDIDATES = Candidates(ratios=((0, 1),), groups=((4, 1),), crosses=((3, 4),))
TARGET = Target(("no", "yes"), class_codes(TABLE.column("label").combine_chunks(), ("no", "yes")))
TARGET_OF_NONE = Target(("no", "yes"), np.zeros(0, dtype=np.intp))


def made_stage() -> Stage:
    made = fit_construction(SCHEMA, CANDIDATES, CODES)
    assert made is not None
    profile = extend_profile(PROFILE, made, CODES, schema=SCHEMA, target=TARGET)
    return Stage(SCHEMA, {0: profile}, construction=made, made=made.names)


def test_an_extended_profile_is_the_profile_of_the_extended_table() -> None:
    stage = made_stage()
    made = stage.construction
    assert made is not None
    seen = made.extend(SCHEMA)
    table, codes = TABLE, made.apply(CODES)
    for column, cells in zip(seen.features[8:], codes[:, 8:].T, strict=True):
        if column.kind is Kind.CATEGORY:
            names = [*(column.domain or ()), "\x00unseen"]
            values = pa.array([None if np.isnan(c) else names[int(c)] for c in cells], pa.string())
        else:
            values = pa.array(cells, pa.float64(), from_pandas=True)
        table = table.append_column(column.name, values)
    whole = Profile.from_table(table, seen)
    assert stage.profile.schema == seen
    assert set(whole.numbers) == set(stage.profile.numbers)
    assert set(whole.categories) == set(stage.profile.categories)
    for name, number in whole.numbers.items():
        other = stage.profile.numbers[name]
        assert (number.count, number.nulls) == (other.count, other.nulls)
        assert same_bits(number.values, other.values)
    for name, category in whole.categories.items():
        found = stage.profile.categories[name]
        assert (category.count, category.nulls) == (found.count, found.nulls)
        assert all(found.counts.get(k, 0) == n for k, n in category.counts.items() if k[0] != "\0")
    for name, association in whole.associations.items():
        same = stage.profile.associations[name].stats
        assert association.stats.n.sum() == same.n.sum() == 500
        assert association.stats.n[-1] == same.n[-1]
    assert sorted(stage.profile.categories["color & city"].counts) == list(
        stage.profile.categories["color & city"].counts
    )


def test_a_sample_of_the_rows_may_stand_for_them() -> None:
    """Of a large table the second read holds a sample; the first one counted all rows."""
    some = CODES[:200]
    made = fit_construction(SCHEMA, CANDIDATES, some)
    assert made is not None
    profile = extend_profile(PROFILE, made, some, schema=SCHEMA, target=None)
    assert profile.n_rows == 500
    assert profile.numbers["amount"] is PROFILE.numbers["amount"]
    assert profile.numbers["amount / age"].count + profile.numbers["amount / age"].nulls == 200
    none = extend_profile(PROFILE, made, CODES[:0], schema=SCHEMA, target=TARGET_OF_NONE)
    assert none.numbers["amount / age"].count == 0
    both = Stage(SCHEMA, {0: profile, 1: profile}, construction=made)
    fitted = both.crossfit(Recipe(numbers="robust", categories="frequency")).served
    assert np.isfinite(fitted.transform_codes(CODES)).all()


def test_keeping_everything_changes_no_feature() -> None:
    stage = made_stage()
    made = stage.construction
    assert made is not None
    kept = stage.keep(range(made.n_outputs))
    assert kept.dropped == ()
    assert kept.made == stage.made
    one, two = (s.crossfit(Recipe(numbers="standard")).served for s in (stage, kept))
    assert same_bits(
        one.transform_codes(stage.narrow(CODES)), two.transform_codes(kept.narrow(CODES))
    )


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(numbers="quantile", categories="onehot")])
def test_kept_columns_have_their_bits_and_requests_need_only_what_feeds_them(
    recipe: Recipe,
) -> None:
    stage = made_stage()
    made = stage.construction
    assert made is not None
    # member itself, and amount / age: amount and age are then asked for, but are no features.
    ratio = 8 + made.names.index("amount / age")
    kept = stage.keep([2, ratio])
    assert [c.name for c in kept.schema.features] == ["amount", "age", "member"]
    assert kept.places == (0, 1, 2)
    assert kept.made == ("amount / age",)
    assert set(kept.dropped) == {"color", "city", "since", "constant", "void"}
    whole, few = stage.crossfit(recipe).served, kept.crossfit(recipe).served
    assert few.feature_names == ("member", "amount / age")
    at = [whole.feature_names.index(name) for name in few.feature_names]
    everything = whole.transform_codes(CODES)
    assert same_bits(few.transform_codes(kept.narrow(CODES)), everything[:, at])
    rows = json_rows(kept.schema, TABLE.slice(0, 20))
    assert set(rows[0]) == {"amount", "age", "member"}
    assert same_bits(np.stack([few.transform_row(row) for row in rows]), everything[:20, at])
    sent = json_rows(SCHEMA, TABLE.slice(0, 1))[0]  # what is not asked for may be sent
    assert same_bits(few.transform_row(sent), everything[0, at])


def test_keeping_twice_is_keeping_the_last() -> None:
    stage = Stage(SCHEMA, {0: PROFILE}).keep([0, 1, 3, 4]).keep([1, 3])
    assert [c.name for c in stage.schema.features] == ["age", "city"]
    assert stage.places == (1, 4)
    assert stage.construction is None
    assert set(stage.profile.numbers) | set(stage.profile.categories) == {"age", "city", "label"}
    assert set(stage.dropped) == {c.name for c in SCHEMA.features} - {"age", "city"}
    fitted = stage.crossfit(Recipe()).served
    assert same_bits(
        fitted.transform_codes(stage.narrow(CODES)), fitted.transform(TABLE.select(["city", "age"]))
    )


def test_texts_pass_with_their_counts_or_go_with_them() -> None:
    rng = np.random.default_rng(0)
    words = np.array(["late", "good", "broken", "cheap", "new"])
    texts = {n: [" ".join(rng.choice(words, 3)) for _ in range(300)] for n in ("one", "two")}
    numbers = {n: 5 + rng.random(300) for n in ("a", "b")}
    schema = Schema(
        (
            Column("one", Kind.TEXT),
            Column("a", Kind.NUMBER),
            Column("two", Kind.TEXT),
            Column("b", Kind.NUMBER),
        )
    )
    table = pa.table({**texts, **numbers})
    codes, profile = encode_table(schema, table), Profile.from_table(table, schema)
    made = fit_construction(schema, Candidates(ratios=((1, 3),)), codes)
    assert made is not None
    extended = extend_profile(profile, made, codes, schema=schema, target=None)
    stage = Stage(schema, {0: extended}, construction=made, made=made.names)
    whole = stage.crossfit(Recipe()).served
    everything = whole.transform_codes(codes)
    for outputs, names in (([2, 4], ["a", "two", "b"]), ([0], ["one"]), ([4], ["a", "b"])):
        kept = stage.keep(outputs)
        assert [c.name for c in kept.schema.features] == names
        few = kept.crossfit(Recipe()).served
        assert kept.narrow(codes).shape == (300, code_width(kept.schema))
        at = [whole.feature_names.index(name) for name in few.feature_names]
        assert same_bits(few.transform_codes(kept.narrow(codes)), everything[:, at])
        assert same_bits(few.transform(table), everything[:, at])
        again = Preprocessor.from_dict(few.to_dict())
        assert same_bits(again.transform(table), everything[:, at])


def test_a_narrow_profile_keeps_its_target_and_co_moments() -> None:
    schema = Stage(SCHEMA, {0: PROFILE}).keep([0, 5]).schema
    narrow = narrow_profile(PROFILE, schema)
    assert narrow.n_rows == PROFILE.n_rows
    assert set(narrow.associations) == {"amount", "since"}
    assert narrow.comoments.names == ("amount", "since")
    at = [PROFILE.comoments.names.index(name) for name in narrow.comoments.names]
    assert same_bits(narrow.comoments.c2, PROFILE.comoments.c2[np.ix_(at, at)])
    again = Profile.from_bytes(narrow.to_bytes())
    assert again.to_bytes() == narrow.to_bytes()
