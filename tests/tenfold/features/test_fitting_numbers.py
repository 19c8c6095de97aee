"""What is fitted for numbers, against the same rows in NumPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, RobustScaler, StandardScaler

from tenfold.features import Preprocessor, Recipe
from tenfold.profile import Profile
from tenfold.schema import Column, Kind, Schema

SCHEMA = Schema((Column("x", Kind.NUMBER), Column("since", Kind.DATETIME)))
DAY_US = 86_400_000_000


def table(numbers: list[float | None], days: list[int | None] | None = None) -> pa.Table:
    days = list(range(len(numbers))) if days is None else days
    times = pa.array([None if d is None else d * DAY_US for d in days], pa.int64())
    return pa.table(
        {"x": numbers, "since": times.cast(pa.timestamp("us", "UTC"))},
        schema=SCHEMA.arrow_schema(),
    )


def fit(rows: pa.Table, **recipe: object) -> Preprocessor:
    made = Recipe(dates="epoch", **recipe)  # type: ignore[arg-type]
    return Preprocessor.fit(SCHEMA, Profile.from_table(rows, SCHEMA), recipe=made)


def skewed(n_rows: int = 2000) -> np.ndarray:
    return np.exp(np.random.default_rng(3).normal(1.0, 1.2, n_rows))


REFERENCES = {
    "standard": StandardScaler(),
    "robust": RobustScaler(),
    "minmax": MinMaxScaler(),
    "power": PowerTransformer(method="yeo-johnson"),
}


@pytest.mark.parametrize("numbers", REFERENCES)
@pytest.mark.parametrize("winsorize", [None, 0.02])
def test_scales_of_scikit_learn(numbers: str, winsorize: float | None) -> None:
    x = skewed()
    got = fit(table(x.tolist()), numbers=numbers, winsorize=winsorize).transform(table(x.tolist()))
    if winsorize is not None:
        x = np.clip(x, *np.quantile(x, [winsorize, 1 - winsorize]))
    expected = REFERENCES[numbers].fit_transform(x[:, None])[:, 0]
    # A lambda that differs by a thousandth moves a value by less than a hundredth of a deviation.
    tolerance = 1e-2 if numbers == "power" else 1e-5
    np.testing.assert_allclose(got[:, 0], expected, atol=tolerance)


def test_winsorized_raw_numbers_stay_in_their_unit_and_may_be_missing() -> None:
    rows = table([0.0, 1.0, 2.0, 3.0, 100.0, None])
    got = fit(rows, winsorize=0.25).transform(rows)[:, 0]
    assert got.tolist()[:5] == [1.0, 1.0, 2.0, 3.0, 3.0]
    assert np.isnan(got[5])


@pytest.mark.parametrize(
    ("impute", "expected"),
    [("mean", 4.0), ("median", 1.0), ("mode", 1.0), ("constant", -9.0)],
)
def test_each_imputation_beside_raw_numbers(impute: str, expected: float) -> None:
    rows = table([1.0, 14.0, 1.0, 0.0, None], [4, 14, 4, 2, None])
    got = fit(rows, impute=impute, fill=-9.0).transform(rows)
    assert got[4, 0] == expected
    # A constant means nothing for a time, which gets its median.
    assert got[4, 1] == {"mean": 6.0}.get(impute, 4.0)
    assert not np.isnan(got).any()


def test_of_equally_frequent_values_the_smallest_is_the_mode() -> None:
    rows = table([7.0, 5.0, 7.0, 5.0, None])
    assert fit(rows, impute="mode").transform(rows)[4, 0] == 5.0


@pytest.mark.parametrize("numbers", ["standard", "robust", "minmax", "quantile", "power"])
def test_imputation_is_no_matter_of_the_scale(numbers: str) -> None:
    rows = table([1.0, 2.0, 2.0, 9.0, 30.0, None])
    for impute, stand_in in [("mean", 8.8), ("mode", 2.0), ("constant", 30.0)]:
        fitted = fit(rows, numbers=numbers, impute=impute, fill=30.0)
        filled = fitted.transform(rows.slice(5, 1))
        assert filled[0, 0] == fitted.transform(table([stand_in]))[0, 0]


def test_the_imputed_value_of_before_is_still_the_automatic_one() -> None:
    rows = table([1.0, 2.0, 2.0, 9.0, 30.0, None])
    for numbers, impute in [("standard", "mean"), ("robust", "median"), ("quantile", "median")]:
        auto, named = fit(rows, numbers=numbers), fit(rows, numbers=numbers, impute=impute)
        assert [op.to_dict() for op in auto.ops] == [op.to_dict() for op in named.ops]


@pytest.mark.parametrize("numbers", ["minmax", "power", "standard"])
def test_columns_without_spread_become_zero(numbers: str) -> None:
    for values in ([7.0, 7.0, 7.0], [None, None, None]):
        rows = table(values)
        assert fit(rows, numbers=numbers, winsorize=0.1).transform(rows)[:, 0].tolist() == [0.0] * 3


def test_power_makes_a_skewed_number_even_and_leaves_times_in_order() -> None:
    x = skewed()
    rows = table(x.tolist())
    got = fit(rows, numbers="power").transform(rows)
    z = (got[:, 0] - got[:, 0].mean()) / got[:, 0].std()
    assert abs(float((z**3).mean())) < 0.1
    assert (np.diff(got[:, 1]) > 0).all()
    assert got[:, 1].std() == pytest.approx(1.0, rel=1e-5)
