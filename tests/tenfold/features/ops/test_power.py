from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import PowerTransformer

from tenfold.errors import ArtifactError
from tenfold.features.ops import MAX_FLOAT32, Power, op_from_dict
from tenfold.features.ops.power import MAX_LAMBDA, yeo_johnson
from tenfold.features.power_fit import MAX_CELLS, fit_lambda

POWER = Power((0, 1), (1.0, -3.0), (0.5, -2.0), (2.0, 1e-3), lambdas=(-1.5, 0.0))
values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)
lambdas = st.one_of(st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0]), st.floats(-3.0, 4.0))


def samples() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {
        "lognormal": np.exp(rng.normal(2.0, 1.0, 3000)),
        "gamma": rng.gamma(2.0, 30.0, 3000),
        "normal": rng.normal(-5.0, 2.0, 3000),
        "left": -np.exp(rng.normal(0.0, 0.7, 3000)),
        "both sides": rng.standard_t(3, 3000) + 0.5,
        "counts": rng.poisson(3.0, 3000).astype(np.float64),
    }


@given(values, lambdas)
def test_the_transform_of_scipy(numbers: list[float], bend: float) -> None:
    x = np.array(numbers)
    with np.errstate(all="ignore"):
        expected = scipy.stats.yeojohnson(x, lmbda=bend)
    np.testing.assert_allclose(yeo_johnson(x, bend), expected, rtol=1e-9, atol=1e-12)


@given(
    st.lists(st.floats(-1e30, 1e30), min_size=2, max_size=30), st.floats(-MAX_LAMBDA, MAX_LAMBDA)
)
def test_it_keeps_order_and_sign_and_stays_finite(numbers: list[float], bend: float) -> None:
    x = np.sort(np.array(numbers))
    bent = yeo_johnson(x, bend)
    assert np.isfinite(bent).all()
    assert (np.diff(bent) >= -1e-9 * np.abs(bent[1:])).all()
    assert (np.sign(bent) * np.sign(x) >= 0).all()


@pytest.mark.parametrize("name", samples())
def test_lambda_of_scipy_within_a_thousandth(name: str) -> None:
    x = samples()[name]
    unique, counts = np.unique(x, return_counts=True)
    ours = fit_lambda(unique, counts)
    assert ours == pytest.approx(scipy.stats.yeojohnson_normmax(x), abs=1e-3)
    theirs = PowerTransformer(method="yeo-johnson").fit(x[:, None]).lambdas_[0]
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_many_values_are_thinned_without_moving_lambda() -> None:
    rng = np.random.default_rng(1)
    x = np.sort(np.exp(rng.normal(1.0, 1.5, 20 * MAX_CELLS)))
    ours = fit_lambda(x, np.ones(len(x), dtype=np.int64))
    assert ours == pytest.approx(scipy.stats.yeojohnson_normmax(x), abs=1e-3)


@pytest.mark.parametrize(
    "numbers",
    [[1.0], [0.0, 1.0], [3.0, 3.0 + 1e-15, 3.0 + 2e-15], [-MAX_FLOAT32, 0.0, MAX_FLOAT32]],
)
def test_what_no_exponent_makes_normal_gets_a_usable_one(numbers: list[float]) -> None:
    x = np.array(numbers)
    bend = fit_lambda(x, np.ones(len(x), dtype=np.int64))
    assert abs(bend) <= MAX_LAMBDA
    assert np.isfinite(yeo_johnson(x, bend)).all()


def test_few_values_stay_as_they_are() -> None:
    assert fit_lambda(np.array([0.0, 1.0]), np.array([900, 3])) == 1.0


def test_counts_are_rows() -> None:
    x, counts = np.array([0.0, 1.0, 5.0, 40.0]), np.array([5, 9, 3, 1])
    once = np.repeat(x, counts)
    assert fit_lambda(x, counts) == fit_lambda(once, np.ones(len(once), dtype=np.int64))


@pytest.mark.parametrize(
    "change",
    [
        {"lambdas": [1.0]},
        {"lambdas": [1.0, 5.5]},
        {"lambdas": [1.0, None]},
        {"lambdas": []},
        {"scale": [0.0, 1.0]},
        {"low": [0.0]},
    ],
)
def test_broken_powers_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="op 'power'"):
        op_from_dict(POWER.to_dict() | change, sizes=(0, 0))


def test_a_missing_field_is_refused() -> None:
    broken = {name: value for name, value in POWER.to_dict().items() if name != "lambdas"}
    with pytest.raises(ArtifactError, match="op 'power'"):
        op_from_dict(broken, sizes=(0, 0))


def test_missing_values_take_the_imputed_ones_way() -> None:
    out = np.empty((2, 2), np.float32)
    POWER.apply(np.array([[math.nan, math.nan], [1.0, -3.0]]), out)
    assert out[0].tolist() == out[1].tolist()
