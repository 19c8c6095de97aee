"""Measures of cuts beside scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from tenfold.evaluation import adjusted_rand, davies_bouldin, mean_agreement


@pytest.mark.parametrize("seed", range(30))
def test_agreement_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 60))
    one, other = (rng.integers(0, rng.integers(1, 8), n) for _ in range(2))
    assert adjusted_rand(one, other) == pytest.approx(metrics.adjusted_rand_score(one, other))
    assert adjusted_rand(one, other) == pytest.approx(adjusted_rand(other, one))


def test_names_of_segments_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    cut = rng.integers(0, 5, 100)
    assert adjusted_rand(cut, rng.permutation(9)[cut]) == 1.0


def test_cuts_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape, not \(3,\), \(4,\)"):
        adjusted_rand(np.zeros(3), np.zeros(4))


@pytest.mark.parametrize("n", [0, 1])
def test_a_row_alone_agrees_with_itself(n: int) -> None:
    assert adjusted_rand(np.zeros(n), np.zeros(n)) == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_overlap_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 80))
    x, labels = rng.normal(size=(n, 3)).astype(np.float32), np.r_[0, 1, rng.integers(0, 5, n - 2)]
    ours = davies_bouldin(x, labels * 3)
    assert ours == pytest.approx(metrics.davies_bouldin_score(x, labels), rel=1e-5)


def test_overlap_needs_two_segments_with_centers_apart() -> None:
    x = np.array([[0.0], [1.0], [0.0], [1.0]])
    assert math.isnan(davies_bouldin(x, np.zeros(4)))
    assert math.isnan(davies_bouldin(x, np.array([0, 0, 1, 1])))


def test_the_mean_agreement_is_of_each_two() -> None:
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert mean_agreement([a, a, b]) == pytest.approx((1 - 0.5 - 0.5) / 3)
    assert math.isnan(mean_agreement([a]))
