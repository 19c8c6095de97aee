"""The numbers of a target encoding against their definition; `test_crossfit` has who sees what."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import DataError
from tenfold.features import Preprocessor, Recipe
from tenfold.features.target_coding import MAX_TARGET_FEATURES, TargetTables
from tenfold.profile import Profile, merge_profiles
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.testing.mixed import mixed_schema, mixed_table

TOWNS = ("bern", "oslo", "rome", "york")
TARGET = Recipe(categories="target")


def schema_of(target: Column) -> Schema:
    return Schema((Column("town", Kind.CATEGORY, domain=TOWNS), target))


PRICE = schema_of(Column("y", Kind.NUMBER, Role.TARGET))


def classes_of(*names: str) -> Schema:
    return schema_of(Column("y", Kind.CATEGORY, Role.TARGET, domain=names))


def fit(schema: Schema, towns: list[Any], target: list[Any], **more: Any) -> Preprocessor:
    table = pa.table({"town": towns, "y": target}, schema=schema.arrow_schema())
    recipe = Recipe(categories="target", **more)
    return Preprocessor.fit(schema, Profile.from_table(table, schema), recipe=recipe)


def shift(fitted: Preprocessor, town: str | None) -> list[float]:
    return fitted.transform_row({"town": town}).tolist()


def expected(towns: list[Any], numbers: np.ndarray, town: str, smoothing: float) -> float:
    here = np.array([t == town for t in towns])
    n = here.sum()
    if not n or not numbers.std():
        return 0.0
    return float(n / (n + smoothing) * (numbers[here].mean() - numbers.mean()) / numbers.std())


rows = st.lists(
    st.tuples(st.sampled_from([None, *TOWNS]), st.integers(-1000, 1000)), min_size=1, max_size=40
)


@given(rows, st.sampled_from([0.5, 10.0]))
def test_a_number_is_told_as_a_shift_in_standard_deviations(
    pairs: list[tuple[str | None, int]], smoothing: float
) -> None:
    towns = [town for town, _ in pairs]
    numbers = np.array([float(y) for _, y in pairs])
    fitted = fit(PRICE, towns, numbers.tolist(), smoothing=smoothing)
    for town in TOWNS:
        wanted = expected(towns, numbers, town, smoothing)
        assert shift(fitted, town) == pytest.approx([wanted], rel=1e-5, abs=1e-6)


@given(rows)
def test_a_class_is_a_number_that_is_one_or_nothing(pairs: list[tuple[str | None, int]]) -> None:
    towns = [town for town, _ in pairs]
    names = ["abc"[y % 3] for _, y in pairs]
    fitted = fit(classes_of("a", "b", "c"), towns, names)
    assert fitted.feature_names == ("town (target=a)", "town (target=b)")
    for town in TOWNS:
        wanted = [
            expected(towns, np.array([float(n == name) for n in names]), town, 10.0)
            for name in "ab"
        ]
        assert shift(fitted, town) == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_two_classes_make_one_feature() -> None:
    fitted = fit(classes_of("no", "yes"), ["bern", "oslo"] * 5, ["no", "yes"] * 5)
    assert fitted.feature_names == ("town (target)",)
    assert shift(fitted, "bern") == pytest.approx([5 / 15 * 0.5 / 0.5], abs=1e-6)
    assert shift(fitted, "oslo") == pytest.approx([-5 / 15], abs=1e-6)


def test_what_is_missing_unseen_or_rare_is_the_prior() -> None:
    towns = ["bern", "bern", "bern", "oslo", None, None]
    fitted = fit(PRICE, towns, [9.0, 9.0, 9.0, 5.0, -7.0, -7.0], rare_min_count=2)
    assert shift(fitted, "bern")[0] > 0
    for town in (None, "oslo", "rome", "atlantis"):
        assert shift(fitted, town) == [0.0]


def test_rows_without_a_target_count_for_nothing() -> None:
    known = fit(PRICE, ["bern", "oslo"], [1.0, 3.0])
    more = fit(PRICE, ["bern", "oslo", "oslo", None], [1.0, 3.0, None, math.nan])
    assert shift(more, "oslo") == shift(known, "oslo")


@pytest.mark.parametrize("target", [[4.0] * 3, [None] * 3, [1.7e308, -1.7e308, 1.7e308]])
def test_a_target_that_says_nothing_or_overflows_gives_finite_shifts(target: list[Any]) -> None:
    fitted = fit(PRICE, ["bern", "oslo", "bern"], target)
    assert all(math.isfinite(shift(fitted, town)[0]) for town in TOWNS)


def test_the_first_classes_get_a_feature_when_there_are_many() -> None:
    names = [f"class {k:02d}" for k in range(40)]
    fitted = fit(classes_of(*names), ["bern"] * 40, names)
    assert fitted.n_features == MAX_TARGET_FEATURES
    assert fitted.feature_names[-1] == "town (target=class 15)"
    assert fit(classes_of("only"), ["bern"], ["only"]).feature_names == ("town (target)",)


def test_without_a_target_there_is_nothing_to_encode_by() -> None:
    schema = Schema((Column("town", Kind.CATEGORY, domain=TOWNS),))
    profile = Profile.from_table(pa.table({"town": ["bern"]}), schema)
    with pytest.raises(DataError, match=r"^column 'town': a target encoding needs a target and "):
        Preprocessor.fit(schema, profile, recipe=TARGET)


@pytest.mark.parametrize("schema", [PRICE, classes_of("no", "yes")], ids=["number", "class"])
@pytest.mark.parametrize("seed", range(5))
def test_any_cut_and_order_of_the_rows_gives_the_same_table(schema: Schema, seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = np.exp(rng.normal(12.0, 1.0, 900))
    values = target if schema is PRICE else np.where(target > 2e5, "yes", "no")
    table = pa.table({"town": rng.choice(TOWNS, 900), "y": values})
    whole = Preprocessor.fit(schema, Profile.from_table(table, schema), recipe=TARGET)
    for cuts in ([300], [1, 2, 500], list(range(50, 900, 50))):
        blocks = zip([0, *cuts], [*cuts, 900], strict=True)
        parts = [Profile.from_table(table.slice(i, j - i), schema) for i, j in blocks]
        for order in (parts, parts[::-1]):
            other = Preprocessor.fit(schema, merge_profiles(order), recipe=TARGET)
            assert other.digest() == whole.digest()


def test_folds_add_up_to_their_union_bit_for_bit() -> None:
    """Equal sums in equal order: the tables of two folds are those of their merged profile."""
    schema = mixed_schema()
    parts = [Profile.from_table(mixed_table(seed=k), schema) for k in (1, 2)]
    columns = [(k, c) for k, c in enumerate(schema.features) if c.domain]
    tables = TargetTables(columns, dict(enumerate(parts)), recipe=TARGET)
    whole = TargetTables(columns, {0: parts[0].merge(parts[1])}, recipe=TARGET)
    assert tables.op([0, 1]).to_dict() == whole.op([0]).to_dict()
    assert tables.op([1]).to_dict() != whole.op([0]).to_dict()
    assert set(np.concatenate(tables.op([]).tables)) == {0.0}
