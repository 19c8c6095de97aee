from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tenfold.project.measures import Task
from tenfold.project.work import FAMILIES, Retrain, Train, default_families


@pytest.mark.parametrize("task", list(Task))
def test_the_default_families_fit_their_task(task: Task) -> None:
    assert all(task in FAMILIES[name] for name in default_families(task))
    assert "dummy" not in default_families(task)


def test_seconds() -> None:
    assert Train.model_validate({"budget": "2m"}).budget_s == 120.0
    retrain = Retrain.model_validate({"cooldown": "1h"})
    assert retrain.cooldown_s == 3600.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": "500ms"},
        {"trials": 0},
        {"folds": 21},
        {"seed": -1},
        {"seed": 2**32},
        {"workers": 0},
        {"device": "tpu"},
    ],
)
def test_bounds_of_training(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Train.model_validate(wrong)
