"""Gates are answered one by one, in the order in which they were written."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.evaluation import GateResult, evaluate_gates
from tenfold.project.gates import Gate


def gates(*texts: str) -> list[Gate]:
    return [Gate.parse(text) for text in texts]


def test_each_gate_gets_its_own_value_in_the_order_of_the_project() -> None:
    asked = gates("latency_p99_ms <= 20", "roc_auc >= 0.9", "roc_auc >= 0.99")
    values = {"roc_auc": 0.95, "latency_p99_ms": 3.0, "f1": 0.1}
    assert evaluate_gates(asked, values) == (
        GateResult("latency_p99_ms <= 20", 3.0, True),
        GateResult("roc_auc >= 0.9", 0.95, True),
        GateResult("roc_auc >= 0.99", 0.95, False),
    )


@pytest.mark.parametrize("text", ["roc_auc >= 0", "rmse <= 1e300", "rmse < 1e300", "roc_auc > 0"])
@pytest.mark.parametrize("values", [{}, {"roc_auc": math.nan, "rmse": math.nan}])
def test_what_was_not_measured_never_holds(text: str, values: dict[str, float]) -> None:
    (result,) = evaluate_gates(gates(text), values)
    assert math.isnan(result.value)
    assert not result.holds


@pytest.mark.parametrize(
    ("text", "holds"),
    [("f1 >= 0.5", True), ("f1 > 0.5", False), ("rmse <= 0.5", True), ("rmse < 0.5", False)],
)
def test_the_bound_itself(text: str, holds: bool) -> None:
    (result,) = evaluate_gates(gates(text), {"f1": 0.5, "rmse": 0.5})
    assert result.holds is holds


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_gate_never_holds_where_a_milder_one_does_not(
    one: float, other: float, value: float
) -> None:
    mild, strict = sorted((one, other))
    first, second = evaluate_gates(
        [Gate("roc_auc", ">=", mild), Gate("roc_auc", ">=", strict)], {"roc_auc": value}
    )
    assert first.holds or not second.holds
    assert first.holds == (value >= mild)


def test_a_result_is_what_the_command_prints() -> None:
    (result,) = evaluate_gates(gates("f1 >= 0.25"), {"f1": 1})
    assert json.dumps(result.to_dict()) == '{"gate": "f1 >= 0.25", "value": 1.0, "holds": true}'


def test_no_gates_give_no_results() -> None:
    assert evaluate_gates([], {"f1": 1.0}) == ()
