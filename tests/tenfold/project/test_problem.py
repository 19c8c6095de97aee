from __future__ import annotations

import pytest
from pydantic import ValidationError

from tenfold.project.problem import Costs, Problem


def test_costs_are_equal_unless_said() -> None:
    costs = Costs.model_validate({"false_negative": 5})
    assert (costs.false_positive, costs.false_negative) == (1.0, 5.0)
    with pytest.raises(ValidationError):
        Costs.model_validate({"false_positive": -1})


def test_a_class_that_reads_as_a_whole_number_is_text() -> None:
    problem = Problem.model_validate({"task": "binary", "target": "y", "positive_class": 1})
    assert problem.positive_class == "1"
    with pytest.raises(ValidationError, match="reads this as a float: quote it"):
        Problem.model_validate({"task": "binary", "target": "y", "positive_class": 1.0})


def test_the_task_has_no_default() -> None:
    with pytest.raises(ValidationError, match="task"):
        Problem.model_validate({"target": "y"})
