from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats.contingency import association as scipy_association
from sklearn.metrics import r2_score, roc_auc_score

from tenfold.profile.association import NumberAssociation, Target
from tenfold.profile.strength import (
    bin_numbers,
    correlation_ratio,
    cramers_v,
    missing_tells,
    one_vs_rest_auc,
    predicts_alone,
    strength,
)
from tests.tenfold.profile.scanned import category_association

CLASSES = ("no", "yes")
tables = arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(2, 4)),
                elements=st.integers(0, 30))  # fmt: skip


def class_target(codes: np.ndarray) -> Target:
    return Target(CLASSES, codes.astype(np.intp))


def test_cramers_v_is_scipys_but_for_the_correction() -> None:
    rng = np.random.default_rng(0)
    table = rng.multinomial(2_000_000, [0.1, 0.3, 0.05, 0.15, 0.2, 0.2]).reshape(3, 2)
    assert cramers_v(table) == pytest.approx(scipy_association(table, method="cramer"), abs=1e-5)


@given(tables)
def test_measures_stay_in_their_range(table: np.ndarray) -> None:
    assert 0.0 <= cramers_v(table) <= 1.0
    assert 0.5 - 1e-12 <= one_vs_rest_auc(table) <= 1.0


def test_noise_of_many_categories_is_not_association() -> None:
    rng = np.random.default_rng(0)
    table = rng.multinomial(3000, np.full(200, 1 / 200)).reshape(100, 2)
    assert cramers_v(table) < 0.12 < scipy_association(table, method="cramer")


@given(arrays(np.int64, (4, 2), elements=st.integers(1, 20)))
def test_the_auc_of_two_classes_is_sklearns(table: np.ndarray) -> None:
    rate = table[:, 1] / table.sum(axis=1)
    scores = np.repeat(np.tile(rate, 2), table.T.ravel())
    truth = np.repeat([0, 0, 0, 0, 1, 1, 1, 1], table.T.ravel())
    assert one_vs_rest_auc(table) == pytest.approx(roc_auc_score(truth, scores))


def test_the_correlation_ratio_is_the_root_of_r2() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 3, 500)
    y = groups + rng.normal(size=500)
    n = np.bincount(groups)
    mean = np.bincount(groups, y) / n
    m2 = np.bincount(groups, (y - mean[groups]) ** 2)
    assert correlation_ratio(n, mean, m2) ** 2 == pytest.approx(r2_score(y, mean[groups]))
    assert correlation_ratio(np.array([3]), np.array([1.0]), np.array([0.0])) == 0.0


def test_bins_hold_about_equal_weights_and_keep_ties_together() -> None:
    values = np.concatenate([np.zeros(500), np.arange(1.0, 501.0)])
    found = NumberAssociation.from_values(values, class_target(values > 250))
    ranges, stats = bin_numbers(found, n_bins=10)
    assert ranges[0] == (0.0, 0.0)
    assert stats.n[0] == 500 and stats.n.sum() == 1000
    assert stats.n[1:].max() <= 101
    assert all(a[1] < b[0] for a, b in itertools.pairwise(ranges))


def test_a_copy_of_the_target_predicts_it_alone() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 300)
    number = NumberAssociation.from_values(codes + rng.normal(0, 0.01, 300), class_target(codes))
    assert predicts_alone(number).value == pytest.approx(1.0, abs=0.01)
    names = pa.array(np.where(codes, "b", "a"))
    category = category_association(names, class_target(codes))
    assert predicts_alone(category).value == 1.0
    assert strength(category) == ("cramers_v", pytest.approx(1.0))
    y = rng.normal(size=300)
    line = NumberAssociation.from_values(2 * y, Target((), y))
    assert predicts_alone(line).measure == "r2"
    assert predicts_alone(line).value > 0.97
    assert strength(line)[1] > 0.98


def test_noise_predicts_nothing() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 2, 5000)
    x = rng.normal(size=5000)
    assert predicts_alone(NumberAssociation.from_values(x, class_target(codes))).value < 0.55
    assert predicts_alone(NumberAssociation.from_values(x, Target((), x[::-1]))).value < 0.05
    ids = pa.array([f"id{i}" for i in range(5000)])
    assert predicts_alone(category_association(ids, class_target(codes))).value == 0.5
    assert strength(category_association(ids, class_target(codes)))[1] == 0.0


def test_a_rare_class_in_the_tail_is_seen_and_noise_beside_it_is_not() -> None:
    rng = np.random.default_rng(3)
    codes = (np.arange(4000) < 60).astype(int)
    tail = NumberAssociation.from_values(codes * 5.0 + rng.random(4000), class_target(codes))
    assert predicts_alone(tail).value == 1.0
    noise = [rng.standard_cauchy(4000) for _ in range(20)]
    found = [predicts_alone(NumberAssociation.from_values(x, class_target(codes))) for x in noise]
    assert np.mean([alone.value for alone in found]) < 0.59


def test_missing_that_is_the_target_is_told() -> None:
    codes = np.arange(200) % 2
    values = np.where(codes == 1, np.nan, 1.0)
    assert missing_tells(NumberAssociation.from_values(values, class_target(codes))) > 0.99
    other = np.where(np.arange(200) % 4 < 2, np.nan, 1.0)
    assert missing_tells(NumberAssociation.from_values(other, class_target(codes))) < 0.1
    cost = np.where(np.isnan(values), 100.0, 1.0)
    assert missing_tells(NumberAssociation.from_values(values, Target((), cost))) > 0.99


def test_empty_columns_are_no_trouble() -> None:
    none = np.full(5, np.nan)
    for target in (class_target(np.zeros(5)), Target((), np.arange(5.0))):
        association = NumberAssociation.from_values(none, target)
        assert bin_numbers(association)[0] == []
        assert strength(association)[1] == 0.0
        assert predicts_alone(association).value in (0.0, 0.5)
        assert missing_tells(association) == 0.0
