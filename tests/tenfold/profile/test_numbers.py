from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tenfold.profile.numbers import MAX_EXACT, SUMMARY_CELLS, Moments, NumberProfile

plain = st.floats(-1e6, 1e6, allow_subnormal=False) | st.just(math.nan)
columns = arrays(np.float64, st.integers(0, 40), elements=plain)
probabilities = np.linspace(0.0, 1.0, 41)


@given(columns)
def test_statistics_equal_numpys(values: np.ndarray) -> None:
    profile = NumberProfile.from_values(values)
    known = values[np.isfinite(values)]
    assert (profile.count, profile.nulls) == (len(known), len(values) - len(known))
    if not len(known):
        assert math.isnan(profile.mean) and math.isnan(profile.quantile(0.5))
        return
    scale = max(1.0, np.abs(known).max())
    assert profile.mean == pytest.approx(known.mean(), abs=1e-9 * scale)
    assert profile.variance == pytest.approx(known.var(), abs=1e-9 * scale**2)
    assert (profile.minimum, profile.maximum) == (known.min(), known.max())
    assert profile.n_distinct == len(np.unique(known + 0.0))
    assert np.array_equal(profile.quantiles(probabilities), np.quantile(known, probabilities))


@given(arrays(np.float64, st.integers(0, 40), elements=st.sampled_from([0.0, 1, 2, 3, 999])))
def test_the_most_frequent_values_are_those_that_are_counted(values: np.ndarray) -> None:
    profile = NumberProfile.from_values(values)
    ranked = sorted(Counter(values.tolist()).items(), key=lambda item: (-item[1], item[0]))
    for n in (1, 2, 3, 9):
        assert profile.top(n) == ranked[:n]
    shares = [n / len(values) for _, n in ranked]
    assert profile.frequencies([*(value for value, _ in ranked), -1.0, 1e9]) == [*shares, 0.0, 0.0]


def test_cells_are_no_values() -> None:
    exact = NumberProfile.from_values(np.array([1.0, 1.0, 2.0]))
    cells = replace(exact, level=40, moments=Moments.of(np.array([1.0, 1.0, 2.0])))
    assert cells.top(3) is None and cells.frequencies([1.0]) is None


@given(st.lists(columns, min_size=1, max_size=5), st.randoms())
def test_while_exact_the_order_of_merging_is_invisible(parts: list, random: object) -> None:
    whole = NumberProfile.from_values(np.concatenate(parts))
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    merged = NumberProfile.from_values(shuffled[0])
    for part in shuffled[1:]:
        merged = merged.merge(NumberProfile.from_values(part))
    assert np.array_equal(merged.values, whole.values)
    assert np.array_equal(merged.counts, whole.counts)
    assert (merged.count, merged.nulls) == (whole.count, whole.nulls)
    for name in ("mean", "variance", "minimum", "maximum"):
        assert np.array_equal(getattr(merged, name), getattr(whole, name), equal_nan=True)


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(allow_nan=True)))
def test_extreme_values_raise_nothing(values: np.ndarray) -> None:
    profile = NumberProfile.from_values(values)
    assert profile.nulls == int((~np.isfinite(values)).sum())
    assert isinstance(profile.skewness, float)
    assert not profile.count or profile.minimum <= profile.quantile(0.5) <= profile.maximum


def test_skewness_equals_scipys() -> None:
    values = np.random.default_rng(0).lognormal(size=500)
    found = NumberProfile.from_values(values).skewness
    assert found == pytest.approx(scipy.stats.skew(values), rel=1e-9)
    assert NumberProfile.from_values(np.full(9, 7.0)).skewness == 0.0


@given(columns)
def test_a_histogram_equals_numpys(values: np.ndarray) -> None:
    edges = np.linspace(-1e6, 1e6, 7)
    expected, _ = np.histogram(values[np.isfinite(values)], edges)
    assert np.array_equal(NumberProfile.from_values(values).histogram(edges), expected)


@given(st.tuples(*[arrays(np.float64, st.integers(0, 20), elements=st.floats(-1e3, 1e3))] * 2))
def test_moments_merge_to_those_of_the_whole(parts: tuple[np.ndarray, np.ndarray]) -> None:
    def moments(values: np.ndarray) -> Moments:
        if not len(values):
            return Moments(0, 0.0, 0.0)
        return Moments(len(values), values.mean(), float(((values - values.mean()) ** 2).sum()))

    merged = moments(parts[0]).merge(moments(parts[1]))
    whole = moments(np.concatenate(parts))
    assert merged.n == whole.n
    assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9)
    assert merged.m2 == pytest.approx(whole.m2, rel=1e-9, abs=1e-6)


@pytest.fixture(scope="module")
def large() -> list[np.ndarray]:
    """Four parts with over `MAX_EXACT` distinct values together: two signs, far tails, ties."""
    rng = np.random.default_rng(7)
    return [
        rng.normal(0.0, 1.0, 500_000),
        rng.lognormal(3.0, 2.0, 400_000),
        np.concatenate([np.zeros(50_000), rng.normal(1e6, 10.0, 300_000), [math.nan] * 9]),
        rng.standard_cauchy(200_000),
    ]


@pytest.fixture(scope="module")
def large_parts(large: list[np.ndarray]) -> list[NumberProfile]:
    return [NumberProfile.from_values(part) for part in large]


def test_beyond_the_cap_quantiles_keep_the_stated_error(
    large: list[np.ndarray], large_parts: list[NumberProfile]
) -> None:
    profile = NumberProfile.merge_all(large_parts)
    values = np.concatenate(large)
    values = values[np.isfinite(values)]
    assert len(np.unique(values)) > MAX_EXACT
    assert not profile.is_exact and len(profile.values) <= SUMMARY_CELLS
    assert 0.0 < profile.quantile_error < 2e-3
    true = np.quantile(values, probabilities)
    assert np.all(
        np.abs(profile.quantiles(probabilities) - true)
        <= profile.quantile_error * np.abs(true) * (1 + 1e-9)
    )
    assert profile.mean == pytest.approx(values.mean(), rel=1e-9)
    assert profile.variance == pytest.approx(values.var(), rel=1e-9)
    assert profile.count == len(values) and profile.nulls == 9
    assert (profile.minimum, profile.maximum) == (values.min(), values.max())
    assert abs(profile.n_distinct / len(np.unique(values)) - 1) < 0.08


@settings(max_examples=3, deadline=None)
@given(order=st.permutations(range(4)), tree=st.booleans())
def test_beyond_the_cap_every_order_gives_the_same_cells(
    large_parts: list[NumberProfile], order: list[int], tree: bool
) -> None:
    whole = NumberProfile.merge_all(large_parts)
    a, b, c, d = (large_parts[i] for i in order)
    merged = a.merge(b).merge(c.merge(d)) if tree else a.merge(b).merge(c).merge(d)
    assert merged.level == whole.level
    assert np.array_equal(merged.values, whole.values)
    assert np.array_equal(merged.counts, whole.counts)
    assert merged.n_distinct == whole.n_distinct
    assert merged.mean == pytest.approx(whole.mean, rel=1e-9)
    assert merged.variance == pytest.approx(whole.variance, rel=1e-9)
