"""``problem:`` what is asked, and when an answer is good enough."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from tenfold.project.fields import ColumnName, GateText, Real, Section, Text
from tenfold.project.measures import Objective, Task, default_metric

__all__ = ["Costs", "Problem"]

_NEUTRAL_COST = 1.0


def _class_text(value: Any) -> Any:
    """Let ``positive_class: 1`` mean the text "1", which is how classes are read."""
    if isinstance(value, bool | float):
        law = f"must be the class as text; YAML reads this as a {type(value).__name__}: quote it"
        raise PydanticCustomError("law", "{law}", {"law": law})
    return str(value) if isinstance(value, int) else value


class Costs(Section):
    """What a wrong answer costs, in one unit of your choice: only the ratio counts."""

    false_positive: Annotated[Real, Field(ge=0)] = _NEUTRAL_COST
    """Cost of calling a negative row positive, from 0; equal costs by default."""

    false_negative: Annotated[Real, Field(ge=0)] = _NEUTRAL_COST
    """Cost of missing a positive row, from 0; equal costs by default."""


class Problem(Section):
    """The question, the column that answers it, and the gates a model must pass."""

    task: Task
    """binary, multiclass, regression or clustering. There is no default: it is the question."""

    target: ColumnName | None = None
    """The column to predict, as in the header. Needed unless the task is clustering."""

    positive_class: Annotated[Text | None, BeforeValidator(_class_text)] = None
    """Binary only: the class that probabilities, precision and recall speak of. The rarer class
    when absent, because that is the one people look for."""

    objective: Objective = Objective.MEAN
    """Regression only: mean; quantile, the value that a share of rows lies below; or count, the
    mean of something counted (0 or more), whose noise grows with it."""

    quantile: Annotated[Real, Field(gt=0, lt=1)] | None = None
    """With ``objective: quantile`` only: the share of rows below the answer, between 0 and 1."""

    metric: Text = Field(
        default_factory=lambda fields: default_metric(fields["task"], fields["objective"])
    )
    """What the search optimizes: roc_auc, log_loss, rmse or silhouette by task, the measures that
    need no threshold; pinball for a quantile, poisson_deviance for a count."""

    gates: tuple[GateText, ...] = ()
    """What must hold on the sealed test rows before a model is promoted. None by default: the
    best model found is promoted."""

    costs: Costs | None = None
    """Binary only: the threshold is chosen to spend least. Absent, it is chosen for the metric
    where that needs one (accuracy, balanced accuracy), else for F1."""
