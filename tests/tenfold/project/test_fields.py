from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tenfold.project.fields import Duration, Flag, GateText, Real, Section, Text, Whole


class Sample(Section):
    text: Text = "a"
    whole: Whole = 1
    real: Real = 1.0
    flag: Flag = True
    wait: Duration = 1.0
    gate: GateText | None = None


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": 5},
        {"text": ""},
        {"whole": True},
        {"whole": "5"},
        {"whole": 5.0},
        {"real": True},
        {"real": "0.5"},
        {"real": float("inf")},
        {"flag": 1},
        {"flag": "yes"},
        {"wait": "later"},
        {"gate": "good"},
        {"unknown": 1},
    ],
)
def test_no_value_is_bent_into_another_type(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Sample.model_validate(wrong)


def test_none_means_the_default() -> None:
    assert Sample.model_validate({"whole": None, "text": None}) == Sample()


def test_gates_and_durations_travel_as_plain_values() -> None:
    sample = Sample.model_validate({"wait": "2m", "gate": "r2>=0.5"})
    assert sample.model_dump(mode="json")["wait"] == 120.0
    assert sample.model_dump(mode="json")["gate"] == "r2 >= 0.5"
