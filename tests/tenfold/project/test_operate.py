from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tenfold.project.operate import Monitor, Serve


def test_the_stated_bound_of_false_alarms() -> None:
    monitor = Monitor()
    assert (monitor.false_alarm, monitor.block_rows) == (0.01, 500)


@pytest.mark.parametrize("wrong", [{"block_rows": 49}, {"false_alarm": 0}, {"harm_tolerance": 2}])
def test_bounds_of_monitoring(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Monitor.model_validate(wrong)


@pytest.mark.parametrize("wrong", [{"replicas": 0}, {"max_rows": 0}, {"max_body_bytes": 10}])
def test_bounds_of_serving(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Serve.model_validate(wrong)


def test_replicas_are_a_number_or_a_range_and_are_written_as_they_came() -> None:
    assert Serve().model_dump(mode="json")["replicas"] == 1
    fixed = Serve.model_validate({"replicas": 3})
    assert (fixed.replicas.min, fixed.replicas.max, str(fixed.replicas)) == (3, 3, "3")
    assert fixed.model_dump(mode="json")["replicas"] == 3
    between = Serve.model_validate({"replicas": {"max": 4, "idle": "1m"}})
    written = between.model_dump(mode="json")["replicas"]
    assert written == {"min": 1, "max": 4, "idle": 60.0}
    assert Serve.model_validate({"replicas": written}) == between
    assert str(between.replicas) == "1 to 4"


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        (0, "must be a whole number from 1 to 1024, or {min: 1, max: 4}"),
        ("auto", "must be a whole number from 1 to 1024, or {min: 1, max: 4}"),
        (True, "must be a whole number from 1 to 1024, or {min: 1, max: 4}"),
        ({"min": 3, "max": 2}, "min must be at most max, and 3 is more than 2"),
        ({"min": 0, "max": 2}, "Input should be greater than or equal to 1"),
        ({"min": 1}, "Field required"),
        ({"min": 1, "max": 2, "idle": "0s"}, "Input should be greater than or equal to 1"),
        ({"min": 1, "max": 2, "up": 3}, "Extra inputs are not permitted"),
    ],
)
def test_replicas_that_break_a_law(wrong: Any, law: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Serve.model_validate({"replicas": wrong})
    assert [error["msg"] for error in caught.value.errors()] == [law]


def test_a_body_of_ten_mebibytes_is_the_default() -> None:
    assert Serve().max_body_bytes == 10 * 1024 * 1024
