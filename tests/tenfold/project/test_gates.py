from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.project.gates import Gate


@given(st.floats(0, 1), st.sampled_from([">=", ">"]))
def test_text_round_trip(threshold: float, op: str) -> None:
    gate = Gate.parse(f"roc_auc {op} {threshold:.12g}")
    assert Gate.parse(str(gate)) == gate


@given(st.floats(allow_nan=False), st.floats(0, 1))
def test_a_rising_gate_holds_from_its_threshold_on(value: float, threshold: float) -> None:
    assert Gate("accuracy", ">=", threshold).holds(value) == (value >= threshold)
    assert Gate("accuracy", ">", threshold).holds(value) == (value > threshold)


def test_a_falling_gate_holds_up_to_its_threshold() -> None:
    gate = Gate.parse("latency_p99_ms<=20")
    assert [gate.holds(value) for value in (19.9, 20.0, 20.1)] == [True, True, False]
    assert not Gate.parse("rmse < 3").holds(3.0)


def test_nothing_measured_holds_no_gate() -> None:
    for text in ("roc_auc >= 0", "rmse <= 5", "rmse < 5", "r2 > 0"):
        assert not Gate.parse(text).holds(math.nan)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roc_auc", "must read 'metric >= number', for example 'roc_auc >= 0.92'"),
        ("roc_auc >= .", "must read 'metric >= number', for example 'roc_auc >= 0.92'"),
        ("rmse <= 1e999", "must read 'metric >= number', for example 'roc_auc >= 0.92'"),
        (5, "must read 'metric >= number', for example 'roc_auc >= 0.92'"),
        ("acuracy >= 0.9", "must name a known metric; 'acuracy' is none, did you mean 'accuracy'?"),
        (
            "roc_auc <= 0.9",
            "must point the way that is better: a larger roc_auc is better, write 'roc_auc >= 0.9'",
        ),
        (
            "rmse >= 5",
            "must point the way that is better: a smaller rmse is better, write 'rmse <= 5'",
        ),
        ("roc_auc >= 92", "must be reachable: roc_auc is from 0 to 1"),
        ("rmse <= -1", "must be reachable: rmse is 0 or more"),
        ("r2 >= 2", "must be reachable: r2 is 1 or less"),
    ],
)
def test_refusals(text: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Gate.parse(text)
    assert str(caught.value) == message


def test_an_unknown_metric_far_from_all_lists_them() -> None:
    with pytest.raises(ValueError, match=r"'zzz' is none, choose from roc_auc, average_precision"):
        Gate.parse("zzz >= 1")
