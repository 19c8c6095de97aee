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
    joint_distance,
    kolmogorov_smirnov,
    shift_findings,
    total_variation,
)
from tenfold.profile.finding import Finding
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
    assert "speak for their group only" in found[0].message
    assert "which is drift" in shift_findings(profile(0), profile(1, shift=0.5), ordered=True)[
        0
    ].message  # fmt: skip
    assert "differs between training and test rows" in found[0].message


def test_the_largest_distance_comes_first() -> None:
    values = [d.value for d in distances(profile(0), profile(1, shift=0.5))]
    assert values == sorted(values, reverse=True)


WIDE = Schema((*(Column(f"x{i}", Kind.NUMBER) for i in range(6)), Column("c", Kind.CATEGORY)))


def wide(rng: np.random.Generator, n_rows: int, *, shift: float = 0.0) -> pa.Table:
    common = rng.normal(size=n_rows)
    numbers = {f"x{i}": common + 0.1 * rng.normal(size=n_rows) for i in range(6)}
    numbers["x0"] = numbers["x0"] + shift  # less than x0 itself varies, more than it may apart
    return pa.table(numbers | {"c": rng.choice(list("abcdefgh"), n_rows)})


def compared(rng: np.random.Generator, *, shift: float = 0.0) -> tuple[Profile, Profile]:
    return (
        Profile.from_table(wide(rng, 400), WIDE),
        Profile.from_table(wide(rng, 100, shift=shift), WIDE),
    )


def test_splits_of_one_population_are_told_apart_as_seldom_as_promised() -> None:
    rng = np.random.default_rng(11)
    pairs = [compared(rng) for _ in range(300)]
    said: list[Finding] = [f for pair in pairs for f in shift_findings(*pair)]
    assert len(said) <= 2  # 0.3 are promised at most
    joint = np.array([found.p for pair in pairs if (found := joint_distance(*pair))])
    assert scipy.stats.kstest(joint, "uniform").pvalue > 0.001
    single = [d.p for pair in pairs for d in distances(*pair)]
    assert float(np.mean(np.array(single) < 0.01)) <= 0.012  # never more often than said


def test_the_joint_check_sees_what_no_single_column_shows() -> None:
    left, right = compared(np.random.default_rng(3), shift=0.2)
    assert all(d.p > 0.01 for d in distances(left, right))
    (found,) = shift_findings(left, right)
    assert found.column is None
    assert "a linear rule over 6 columns tells test rows from training rows" in found.message
    joint = joint_distance(left, right)
    assert joint is not None
    # the true distance is 0.2 over the spread of x0 given the others
    spread = 0.1 * np.sqrt(1 + 1 / 5)
    expected = scipy.stats.norm.cdf(0.2 / spread / np.sqrt(2))
    assert joint.auc == pytest.approx(expected, abs=0.05)


def test_sums_of_others_and_few_rows_do_not_break_the_joint_check() -> None:
    rng = np.random.default_rng(4)
    schema = Schema(tuple(Column(name, Kind.NUMBER) for name in ("a", "b", "a+b", "one")))
    parts = []
    for n_rows in (300, 80):
        a, b = rng.normal(size=(2, n_rows))
        table = pa.table({"a": a, "b": b, "a+b": a + b, "one": np.ones(n_rows)})
        parts.append(Profile.from_table(table, schema))
    joint = joint_distance(*parts)
    assert joint is not None and joint.n_columns == 2 and joint.p > 0.001
    tiny = Profile.from_table(pa.table({n: [1.0, 2.0] for n in schema.names}), schema)
    assert joint_distance(parts[0], tiny) is None
