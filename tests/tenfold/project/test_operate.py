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


def test_a_body_of_ten_mebibytes_is_the_default() -> None:
    assert Serve().max_body_bytes == 10 * 1024 * 1024
