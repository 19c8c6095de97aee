from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.evaluation.paired import paired_difference

losses = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(losses, st.randoms(use_true_random=False))
def test_swapping_the_models_mirrors_the_interval(old: list[float], random: object) -> None:
    new = [random.random() for _ in old]  # type: ignore[attr-defined]
    one, two = paired_difference(old, new), paired_difference(new, old)
    assert one.lower == pytest.approx(-two.upper, abs=0.005)
    assert one.upper == pytest.approx(-two.lower, abs=0.005)
    assert -1.0 <= one.lower <= one.old - one.new + 0.005
    assert one.upper <= 1.0


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_the_interval_covers_the_truth(rate: float) -> None:
    """400 pairs of models whose true difference is .1: at most 5 % may miss, ever."""
    random = np.random.default_rng(7)
    missed = 0
    for _ in range(400):
        old = (random.random(150) < rate + 0.1).astype(float)
        new = (random.random(150) < rate).astype(float)
        found = paired_difference(old, new)
        missed += not found.lower <= 0.1 <= found.upper
    assert missed <= 0.05 * 400


def test_a_clear_case_is_settled_by_few_labels() -> None:
    random = np.random.default_rng(1)
    old = (random.random(90) < 0.6).astype(float)
    new = (random.random(90) < 0.08).astype(float)
    assert paired_difference(old, new).lower > 0.25


def test_equal_models_are_never_told_apart() -> None:
    random = np.random.default_rng(2)
    same = (random.random(500) < 0.2).astype(float)
    found = paired_difference(same, same)
    assert found.lower < 0.0 < found.upper
    assert found.upper - found.lower < 0.1


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="on the same rows"):
        paired_difference([0.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="clip them"):
        paired_difference([2.0], [0.0])
    empty = paired_difference([], [])
    assert math.isnan(empty.old)
    assert empty.to_dict() == {"n_rows": 0, "old": None, "new": None, "lower": -1.0, "upper": 1.0}


def test_rows_in_order_of_time_with_a_change_among_them_are_still_a_sample() -> None:
    """The first half likes the old model, the second the new one: no candidate mean survives bets
    in that order, which must not be taken for certainty."""
    old = np.concatenate([np.zeros(300), np.ones(300)])
    new = np.concatenate([np.ones(270), np.zeros(330)])
    found = paired_difference(old, new)
    assert found.lower < 0.05 < found.upper
    assert 0.02 < found.upper - found.lower < 0.4
