"""Slots of categories: one rule for what has none of its own, kept as a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from tenfold.errors import ArtifactError
from tenfold.features import CrossFit, Preprocessor, Recipe
from tenfold.features.native import MAX_SLOTS, native_table
from tenfold.features.ops import OPS, NativeCodes, op_from_dict
from tenfold.profile import CategoryProfile, Profile
from tenfold.schema import Column, Kind, Schema
from tenfold.testing.preprocessing import PreprocessingConformance

NAN = math.nan


class TestNative(PreprocessingConformance):
    recipe = Recipe(categories="native")


class TestNativeManyOnly(PreprocessingConformance):
    recipe = Recipe(categories="ordinal", many="native", many_from=3)


class TestNativeBesideScaledNumbers(PreprocessingConformance):
    recipe = Recipe(numbers="standard", categories="native")


def seen(values: Sequence[str | None]) -> CategoryProfile:
    counts = Counter(value for value in values if value is not None)
    n_rows = sum(counts.values())
    return CategoryProfile(n_rows, len(values) - n_rows, dict(sorted(counts.items())))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # missing, unseen, then a, b, c
        (["a"] * 3 + ["b"] * 2 + ["c", None], (NAN, 0.0, 1.0, 2.0, 0.0)),
        (["a"] * 3 + ["b"] * 2 + ["c"], (0.0, 0.0, 1.0, 2.0, 0.0)),
        (["a"] * 3 + ["b"] * 2 + [None], (NAN, NAN, 1.0, 2.0, NAN)),
        (["a"] * 2 + ["b"] * 3, (2.0, 2.0, 1.0, 2.0, 2.0)),
        (["a"] * 2 + ["b"] * 2, (1.0, 1.0, 1.0, 2.0, 1.0)),
        (["a"] * 2 + ["not in the domain"], (0.0, 0.0, 1.0, 0.0, 0.0)),
        (["a", "b", "c"], (0.0, 0.0, 0.0, 0.0, 0.0)),
        ([None, None], (NAN, NAN, NAN, NAN, NAN)),
        ([], (0.0, 0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_the_rule(values: list[str | None], expected: tuple[float, ...]) -> None:
    table = native_table(("a", "b", "c"), seen(values), least=2, leaves_missing=True)
    assert np.array_equal(table, expected, equal_nan=True)


def test_beside_scaled_numbers_missing_is_one_of_the_others() -> None:
    values = ["a", "a", "b", "b", None]
    table = native_table(("a", "b"), seen(values), least=2, leaves_missing=False)
    assert table == (0.0, 0.0, 1.0, 2.0)


def test_of_ten_thousand_texts_the_most_frequent_have_slots() -> None:
    domain = tuple(f"shop {k:05d}" for k in range(10_000))
    counts = {text: 2 + (k % 100 == 7) for k, text in enumerate(domain)}
    profile = CategoryProfile(sum(counts.values()), 0, counts)
    missing, unseen, *slots = native_table(domain, profile, least=2, leaves_missing=True)
    assert (missing, unseen) == (0.0, 0.0)
    own = [slot for slot in slots if slot]
    assert own == [float(k) for k in range(1, MAX_SLOTS)]
    assert all(slots[k] for k in range(7, 10_000, 100))


def test_every_door_and_every_batch_answers_alike() -> None:
    schema = Schema((Column("town", Kind.CATEGORY, domain=("bern", "oslo", "rome", "ulm")),))
    towns = ["bern"] * 4 + ["oslo"] * 3 + ["rome", None]
    fitted = Preprocessor.fit(
        schema,
        Profile.from_table(pa.table({"town": towns}), schema),
        recipe=Recipe(categories="native"),
    )
    asked = ["bern", "oslo", "rome", "ulm", "never heard of", None]
    matrix = fitted.transform(pa.table({"town": asked}))[:, 0]
    assert np.array_equal(matrix, [1.0, 2.0, 0.0, 0.0, 0.0, NAN], equal_nan=True)
    one_by_one = [fitted.transform_row({"town": town})[0] for town in asked]
    assert np.array_equal(matrix, one_by_one, equal_nan=True)
    assert fitted.slots == (3,)


def test_a_fold_that_lacks_a_category_answers_it_like_any_stranger() -> None:
    schema = Schema((Column("town", Kind.CATEGORY, domain=("bern", "oslo", "rome")),))
    towns = {0: ["bern"] * 3 + ["oslo"] * 2, 1: ["bern"] * 2 + ["oslo"] * 3, 2: ["rome"] * 5}
    profiles = {
        fold: Profile.from_table(pa.table({"town": some}), schema) for fold, some in towns.items()
    }
    recipe = Recipe(categories="native")
    lacking = {fold: profiles[fold] for fold in (0, 1)}
    few = CrossFit.fit(schema, lacking, recipe=recipe, ordered=False).served
    table = pa.table({"town": ["bern", "oslo", "rome", "ulm"]})
    assert few.transform(table)[:, 0].tolist() == [1.0, 2.0, 1.0, 1.0]
    every = CrossFit.fit(schema, profiles, recipe=recipe, ordered=False).served
    assert every.transform(table)[:, 0].tolist() == [1.0, 2.0, 3.0, 1.0]


def test_numbers_have_no_slots() -> None:
    schema = Schema((Column("age", Kind.NUMBER), Column("sex", Kind.CATEGORY, domain=("f", "m"))))
    table = pa.table({"age": [1.0, 2.0, 3.0, 4.0], "sex": ["f", "m", "f", "m"]})
    profile = Profile.from_table(table, schema)
    for coding, slots in (("native", (0, 3)), ("ordinal", ()), ("onehot", ())):
        recipe = Recipe.from_dict(Recipe().to_dict() | {"categories": coding})
        assert Preprocessor.fit(schema, profile, recipe=recipe).slots == slots


@pytest.mark.parametrize("table", [[0, 0, 1, 4], [0, 0, -1, 1], [0.5, 0, 1, 2], [0, 0, 1e9, 2]])
def test_slots_that_are_none_are_refused(table: list[float]) -> None:
    assert OPS["native"] is NativeCodes
    good = {"op": "native", "columns": [0], "tables": [[None, 0, 1, 2]]}
    assert op_from_dict(good, sizes=(2,)).slots_of_outputs == (3,)
    with pytest.raises(ArtifactError, match="op 'native' has slots from 0 that are whole numbers"):
        op_from_dict(good | {"tables": [table]}, sizes=(2,))
