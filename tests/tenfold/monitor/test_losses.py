from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.monitor import LossRule

finite = st.floats(-1e9, 1e9)


def test_classes_are_right_or_wrong() -> None:
    rule = LossRule.fit("multiclass", ["a"], ["b"])
    assert rule.losses(["a", "b", "c"], ["a", "x", "c"]).tolist() == [0.0, 1.0, 0.0]


def test_numbers_are_scaled_and_clipped() -> None:
    rule = LossRule.fit("regression", [0.0] * 20, [2.0] * 20)
    assert rule.scale == 6.0
    assert rule.losses([0.0, 0.0, 0.0], [3.0, -60.0, 0.0]).tolist() == [0.5, 1.0, 0.0]


def test_a_perfect_reference_still_has_a_scale() -> None:
    assert LossRule.fit("regression", [1.0], [1.0]).scale == 1.0
    assert LossRule.fit("regression", [], []).scale == 1.0


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=20), st.floats(1e-6, 1e6))
def test_losses_are_shares(pairs: list[tuple[float, float]], scale: float) -> None:
    losses = LossRule("absolute", scale).losses([a for a, _ in pairs], [b for _, b in pairs])
    assert ((losses >= 0.0) & (losses <= 1.0)).all()


@pytest.mark.parametrize("rule", [LossRule("zero_one"), LossRule("absolute", 3.5)])
def test_json_gives_the_rule_back(rule: LossRule) -> None:
    assert LossRule.from_dict(rule.to_dict()) == rule
