from __future__ import annotations

import warnings

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tenfold.profile import CategoryProfile, NumberProfile, Profile
from tenfold.profile.compare import (
    distances,
    kolmogorov_smirnov,
    shift_findings,
    total_variation,
)
from tenfold.schema import Column, Kind, Schema

samples = arrays(np.float64, st.integers(1, 30), elements=st.sampled_from([0.0, 1.0, 2.5, -3.0]))
SCHEMA = Schema((Column("x", Kind.NUMBER), Column("c", Kind.CATEGORY)))


@given(samples, samples)
def test_ks_equals_scipys(left: np.ndarray, right: np.ndarray) -> None:
    found = kolmogorov_smirnov(NumberProfile.from_values(left), NumberProfile.from_values(right))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its p-value, which is not asked for
        expected = scipy.stats.ks_2samp(left, right).statistic
    assert found == pytest.approx(expected)


def test_missing_rows_count_as_a_difference() -> None:
    full = NumberProfile.from_values(np.ones(4))
    half = NumberProfile.from_values(np.array([1.0, np.nan, 1.0, np.nan]))
    none = NumberProfile.from_values(np.full(4, np.nan))
    empty = NumberProfile.from_values(np.zeros(0))
    assert kolmogorov_smirnov(full, half) == 0.5
    assert kolmogorov_smirnov(full, none) == 1.0
    assert kolmogorov_smirnov(full, empty) == 0.0


def test_total_variation_is_the_share_that_would_have_to_change() -> None:
    left = CategoryProfile(4, 0, {"a": 2, "b": 2})
    assert total_variation(left, CategoryProfile(4, 0, {"a": 4})) == 0.5
    assert total_variation(left, CategoryProfile(2, 2, {"a": 1, "b": 1})) == 0.5
    assert total_variation(left, left) == 0.0
    assert total_variation(left, CategoryProfile(0, 0, {})) == 0.0


def profile(seed: int, *, shift: float = 0.0) -> Profile:
    rng = np.random.default_rng(seed)
    names = np.where(rng.random(2000) < 0.5 + shift / 2, "a", "b")
    table = pa.table({"x": rng.normal(shift, 1.0, 2000), "c": names})
    return Profile.from_table(table, SCHEMA)


def test_equal_populations_give_no_finding_and_shifted_ones_do() -> None:
    assert shift_findings(profile(0), profile(1)) == []
    found = shift_findings(profile(0), profile(1, shift=0.5))
    assert {f.column for f in found} == {"x", "c"}
    assert "differs between training and test rows" in found[0].message


def test_the_largest_distance_comes_first() -> None:
    values = [d.value for d in distances(profile(0), profile(1, shift=0.5))]
    assert values == sorted(values, reverse=True)
