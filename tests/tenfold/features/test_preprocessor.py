"""The conformance suite over the recipes that families use, and what it cannot say in general."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tenfold.errors import ArtifactError, DataError
from tenfold.features import Preprocessor, Recipe, encode_table
from tenfold.features.hashing import text_hash
from tenfold.profile import N_TEXT_SLOTS, Profile
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table, wide_schema, wide_table
from tenfold.testing.preprocessing import PreprocessingConformance, same_bits


def test_a_matrix_is_written_among_the_columns_of_a_larger_one() -> None:
    schema, table = mixed_schema(), mixed_table(50, seed=1)
    recipe = Recipe(numbers="standard", categories="onehot", missing_indicator=True)
    fitted = Preprocessor.fit(schema, Profile.from_table(table, schema), recipe=recipe)
    codes = encode_table(schema, table)
    wide = np.full((50, fitted.n_features + 3), 99.0, dtype=np.float32)
    fitted.fill(codes, wide[:, 1:-2])
    assert same_bits(wide[:, 1:-2], fitted.transform_codes(codes))
    assert (wide[:, [0, -2, -1]] == 99.0).all()


class TestTrees(PreprocessingConformance):
    recipe = Recipe()


class TestLinear(PreprocessingConformance):
    recipe = Recipe(numbers="standard", categories="onehot", missing_indicator=True)


class TestNetwork(PreprocessingConformance):
    recipe = Recipe(numbers="robust", categories="onehot", clip=3.0, max_onehot=8, rare_min_count=3)


class TestQuantile(PreprocessingConformance):
    recipe = Recipe(numbers="quantile", categories="frequency", missing_indicator=True)


class TestTimesAlone(PreprocessingConformance):
    recipe = Recipe(dates="epoch", categories="frequency")


class TestScaledOrdinal(PreprocessingConformance):
    recipe = Recipe(numbers="standard")


class TestPower(PreprocessingConformance):
    recipe = Recipe(numbers="power", categories="onehot", winsorize=0.01)


class TestMinmax(PreprocessingConformance):
    recipe = Recipe(numbers="minmax", impute="constant", fill=-5.0)


class TestImputedTrees(PreprocessingConformance):
    recipe = Recipe(impute="mode", winsorize=0.05)


class WideConformance(PreprocessingConformance):
    def schema(self) -> Schema:
        return wide_schema()

    def table(self, *, seed: int = 0, n_rows: int = 200) -> pa.Table:
        return wide_table(n_rows, seed=seed)


class TestHashed(WideConformance):
    recipe = Recipe(categories="hashed", slots=7, rare_min_count=2)


class TestManyHashed(WideConformance):
    recipe = Recipe(numbers="standard", categories="onehot", many="hashed", missing_indicator=True)


class TestElapsed(WideConformance):
    recipe = Recipe(dates="elapsed")


class TestElapsedScaled(WideConformance):
    recipe = Recipe(numbers="robust", dates="elapsed")


class TestElapsedImputed(WideConformance):
    recipe = Recipe(dates="elapsed", impute="median")


class TestTarget(PreprocessingConformance):
    recipe = Recipe(categories="target", missing_indicator=True)


class TestManyByTarget(PreprocessingConformance):
    recipe = Recipe(numbers="standard", categories="onehot", many="target", rare_min_count=2)


def fit(recipe: Recipe) -> Preprocessor:
    schema = mixed_schema()
    return Preprocessor.fit(schema, Profile.from_table(mixed_table(), schema), recipe=recipe)


def feature(fitted: Preprocessor, name: str, **values: object) -> float:
    row = json_rows(fitted.schema, mixed_table(1))[0] | values
    return float(fitted.transform_row(row)[fitted.feature_names.index(name)])


def test_raw_keeps_numbers_and_missing_values() -> None:
    fitted = fit(Recipe())
    assert feature(fitted, "age", age=39) == 39.0
    assert np.isnan(feature(fitted, "age", age=None))
    assert feature(fitted, "member", member=True) == 1.0


def test_standard_has_mean_zero_and_variance_one() -> None:
    fitted = fit(Recipe(numbers="standard"))
    matrix = fitted.transform(mixed_table())
    amount = mixed_table().column("amount").to_numpy()
    known = ~np.isnan(amount)
    column = matrix[:, fitted.feature_names.index("amount")].astype(np.float64)
    np.testing.assert_allclose(column[known].mean(), 0.0, atol=1e-6)
    np.testing.assert_allclose(column[known].std(), 1.0, rtol=1e-6)
    assert (column[~known] == 0.0).all()


def test_robust_centers_the_median_and_clip_bounds_without_losing_order() -> None:
    fitted = fit(Recipe(numbers="robust", clip=3.0))
    median = float(np.nanmedian(mixed_table().column("amount").to_numpy()))
    assert feature(fitted, "amount", amount=median) == 0.0
    far, farther = (feature(fitted, "amount", amount=x) for x in (1e4, 1e5))
    assert 2.9 < far < farther < 3.0


def test_quantile_gives_normal_scores() -> None:
    fitted = fit(Recipe(numbers="quantile"))
    matrix = fitted.transform(mixed_table())
    column = matrix[:, fitted.feature_names.index("amount")]
    assert abs(float(np.median(column))) < 0.1
    assert 0.8 < float(column.std()) < 1.1
    order = np.argsort(mixed_table().column("amount").to_numpy(), kind="stable")
    known = order[: np.count_nonzero(~np.isnan(mixed_table().column("amount").to_numpy()))]
    assert (np.diff(column[known]) >= 0).all()


def test_constant_and_all_missing_columns_become_constant_features() -> None:
    matrix = fit(Recipe(numbers="standard")).transform(mixed_table())
    names = fit(Recipe(numbers="standard")).feature_names
    assert (matrix[:, names.index("constant")] == 0.0).all()
    assert (matrix[:, names.index("void")] == 0.0).all()


def test_onehot_names_categories_and_shares_one_place_for_the_rest() -> None:
    fitted = fit(Recipe(categories="onehot", max_onehot=2))
    colors = [name for name in fitted.feature_names if name.startswith("color")]
    assert colors == ["color=blue", "color=green", "color=(other)", "color=(missing)"]
    for value, hit in [
        ("blue", "color=blue"),
        ("red", "color=(other)"),
        ("violet", "color=(other)"),
        ("octarine", "color=(other)"),
        (None, "color=(missing)"),
    ]:
        assert [feature(fitted, name, color=value) for name in colors] == [
            float(name == hit) for name in colors
        ]


def test_a_category_that_training_never_met_is_like_an_unseen_one() -> None:
    for categories in ("ordinal", "onehot", "frequency"):
        fitted = fit(Recipe(categories=categories))
        row = json_rows(fitted.schema, mixed_table(1))[0]
        assert same_bits(
            fitted.transform_row(row | {"color": "violet"}),
            fitted.transform_row(row | {"color": "octarine"}),
        )


def test_frequency_is_the_share_of_training_rows() -> None:
    table = mixed_table()
    fitted = fit(Recipe(categories="frequency"))
    n_blue = table.column("color").to_pylist().count("blue")
    assert feature(fitted, "color", color="blue") == np.float32(n_blue / 200)
    assert feature(fitted, "color", color="violet") == 0.0
    assert feature(fitted, "color", color=None) == np.float32(table["color"].null_count / 200)


def test_calendar_fields_of_a_leap_day() -> None:
    fitted = fit(Recipe())
    row = {"since": "2024-02-29T23:59:59.999999Z"}
    found = {f: feature(fitted, f"since.{f}", **row) for f in ("month", "day", "weekday", "hour")}
    assert found == {"month": 2.0, "day": 29.0, "weekday": 3.0, "hour": 23.0}
    assert np.isnan(feature(fitted, "since.hour", since=None))


def fit_wide(recipe: Recipe, *, n_rows: int = 200) -> Preprocessor:
    schema, table = wide_schema(), wide_table(n_rows)
    return Preprocessor.fit(schema, Profile.from_table(table, schema), recipe=recipe)


def feature_wide(fitted: Preprocessor, name: str, **values: object) -> float:
    row = json_rows(fitted.schema, wide_table(1))[0] | values
    return float(fitted.transform_row(row)[fitted.feature_names.index(name)])


def test_days_are_told_to_the_newest_time_and_between_times() -> None:
    fitted = fit_wide(Recipe(dates="elapsed"))
    newest = max(t for t in wide_table(200)["since"].to_pylist() if t is not None)
    row = {"since": newest.isoformat(), "until": (newest + timedelta(days=36)).isoformat()}
    assert feature_wide(fitted, "since", **row) == 0.0
    before = newest - timedelta(days=1.5)
    assert feature_wide(fitted, "since", since=before.isoformat()) == -1.5
    assert feature_wide(fitted, "since", since="9999-12-31T00:00:00Z") == 36525.0
    assert feature_wide(fitted, "until - since (days)", **row) == 36.0
    assert np.isnan(feature_wide(fitted, "until - since (days)", **row | {"until": None}))
    assert "since.weekday" in fitted.feature_names
    scaled = fit_wide(Recipe(numbers="standard", dates="elapsed"))
    assert {"since", "since.hour.sin", "until - since (days)"} <= set(scaled.feature_names)
    assert feature_wide(scaled, "until - since (days)", **row | {"until": None}) == 0.0


def test_an_identifier_without_a_domain_is_hashed_whatever_the_coding() -> None:
    for categories in ("ordinal", "onehot", "target", "hashed"):
        fitted = fit_wide(Recipe(categories=categories, slots=16))
        names = [f"ticket#{slot}" for slot in range(16)]
        assert set(names) <= set(fitted.feature_names)
        hits = {
            text: [feature_wide(fitted, name, ticket=text) for name in names]
            for text in ("a", " a ", "b", "never seen", None)
        }
        assert hits["a"] == hits[" a "]
        assert hits["a"] != hits["b"]
        assert sum(map(abs, hits["never seen"])) == 1.0
        assert hits[None] == [0.0] * 16


def test_hashed_categories_use_the_hash_of_their_text() -> None:
    """So a domain that grew, or was ordered otherwise, leaves every text its features."""
    fitted = fit(Recipe(categories="hashed", slots=8))
    for color in ("blue", "green"):
        hashed = int(text_hash(color))
        sign = -1.0 if hashed // 8 % 2 else 1.0
        for slot in range(8):
            hit = sign if slot == hashed % 8 else 0.0
            assert feature(fitted, f"color#{slot}", color=color) == hit
    assert all(feature(fitted, f"color#{slot}", color="violet") == 0.0 for slot in range(8))


def test_a_text_is_told_by_its_words_in_any_order_of_rows() -> None:
    fitted = fit_wide(Recipe())
    names = [f"note~{slot}" for slot in range(N_TEXT_SLOTS)]
    assert set(names) <= set(fitted.feature_names)

    def note(text: str | None) -> list[float]:
        return [feature_wide(fitted, name, note=text) for name in names]

    assert note("Quiet room") == note("  quiet, ROOM! ")
    assert note("quiet") != note("room")
    assert note(None) == note("") == note("...") == [0.0] * N_TEXT_SLOTS
    assert sum(hit > 0 for hit in note("quiet room")) == 3  # two words and the pair
    # Of two words the rarer one weighs more: "river" once, "room" in many rows.
    assert max(note("xylophone")) > max(note("room"))


def test_a_text_by_characters_is_near_what_is_spelled_nearly_so() -> None:
    fitted = fit_wide(Recipe())
    names = [f"part~{slot}" for slot in range(N_TEXT_SLOTS)]

    def part(text: str | None) -> np.ndarray[Any, Any]:
        return np.array([feature_wide(fitted, name, part=text) for name in names])

    assert part(None).tolist() == part("  ").tolist() == [0.0] * N_TEXT_SLOTS
    assert part("AB-1234").tolist() == part(" ab-1234\n").tolist()
    exact = part("AB-12345")
    assert exact @ part("AB-12346") > 2 * (exact @ part("QX/98 zt"))


def test_a_profile_from_before_texts_were_counted_is_refused() -> None:
    schema = wide_schema()
    old = replace(Profile.from_table(wide_table(50), schema), texts={})
    with pytest.raises(
        DataError, match=r"^columns \['note', 'part'\] are texts and the profile has not "
    ):
        Preprocessor.fit(schema, old, recipe=Recipe())


def test_missing_indicators_only_where_training_had_missing_values() -> None:
    names = fit(Recipe(numbers="standard", missing_indicator=True)).feature_names
    assert "age (missing)" in names
    assert "constant (missing)" not in names


def test_a_huge_number_from_a_client_stays_finite() -> None:
    for numbers in ("raw", "standard", "robust", "minmax", "quantile", "power"):
        fitted = fit(Recipe(numbers=numbers, clip=3.0))
        assert np.isfinite(feature(fitted, "amount", amount=1.7e308))
        assert np.isfinite(feature(fitted, "amount", amount=-1.7e308))


def test_a_schema_without_a_usable_feature_is_refused() -> None:
    schema = Schema((Column("same", Kind.CONSTANT), Column("y", Kind.NUMBER, Role.TARGET)))
    table = pa.table({"same": ["a", "a"], "y": [1.0, 2.0]})
    with pytest.raises(DataError, match=r"at least one usable feature.*same \(constant\)"):
        Preprocessor.fit(schema, Profile.from_table(table, schema), recipe=Recipe())


def test_what_was_fitted_on_other_rows_has_another_digest() -> None:
    schema = mixed_schema()
    other = Profile.from_table(mixed_table(seed=9), schema)
    assert fit(Recipe(numbers="standard")).digest() != (
        Preprocessor.fit(schema, other, recipe=Recipe(numbers="standard")).digest()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format 2 and this tenfold reads 1"),
        ({"extra": 1}, "has the fields"),
        ({"ops": [{"op": "os.system", "columns": [0]}]}, "'os.system' is not one of"),
        ({"ops": [{"op": "take", "columns": [99]}]}, "reads columns below"),
        ({"ops": [{"op": "take", "columns": [True]}]}, "not a whole number"),
        ({"ops": [{"op": "take", "columns": [0], "class": "x"}]}, "has the fields"),
        ({"ops": [{"op": "take", "columns": [0]}]}, "names .* features and its operations make 1"),
        ({"ops": 3}, "is broken"),
        ({"schema": {"columns": [{}]}}, "is broken"),
        ({"recipe": {"numbers": "raw"}}, "a recipe has the fields"),
        ({"feature_names": []}, "names 0 features"),
    ],
)
def test_a_tampered_file_is_refused(change: dict[str, object], message: str) -> None:
    value = json.loads(json.dumps(fit(Recipe()).to_dict()))
    with pytest.raises(ArtifactError, match=message):
        Preprocessor.from_dict(value | change)
