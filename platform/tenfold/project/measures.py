"""What can be measured of a model, by name: one visible table for gates, searches and reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = [
    "MEASURES",
    "Measure",
    "Objective",
    "Task",
    "default_metric",
    "measures_for",
    "metric_direction",
]

Direction = Literal["maximize", "minimize"]


class Task(StrEnum):
    """The question that is asked of the table."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    CLUSTERING = "clustering"

    @property
    def supervised(self) -> bool:
        """Whether there is a target to learn from."""
        return self is not Task.CLUSTERING

    @property
    def classifies(self) -> bool:
        """Whether the answer is one of a few classes."""
        return self in (Task.BINARY, Task.MULTICLASS)


class Objective(StrEnum):
    """What of a number's distribution the answer of a regression is."""

    MEAN = "mean"
    QUANTILE = "quantile"
    COUNT = "count"
    """The mean of something counted, 0 or more, whose noise grows with it."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measurable quality.

    Attributes:
        name: as written in the project file.
        direction: which way is better.
        tasks: the tasks it has a meaning for.
        lowest: smallest possible value, None if unbounded.
        highest: largest possible value, None if unbounded.
        meaning: one line for people.
        searchable: whether a search can optimize it (what it cannot is only gated).
        objectives: of a regression, those that it judges.
    """

    name: str
    direction: Direction
    tasks: frozenset[Task]
    lowest: float | None
    highest: float | None
    meaning: str
    searchable: bool = True
    objectives: frozenset[Objective] = frozenset(Objective)


_BINARY = frozenset({Task.BINARY})
_CLASSES = frozenset({Task.BINARY, Task.MULTICLASS})
_NUMBERS = frozenset({Task.REGRESSION})
_CENTERED = frozenset({Objective.MEAN, Objective.COUNT})
_COUNTED = frozenset({Objective.COUNT})
_QUANTILES = frozenset({Objective.QUANTILE})
_SEGMENTS = frozenset({Task.CLUSTERING})
_ALL = frozenset(Task)
_UP: Direction = "maximize"
_DOWN: Direction = "minimize"

_ROWS = (
    Measure("roc_auc", _UP, _CLASSES, 0.0, 1.0, "chance that a positive row outranks a negative"),
    Measure("average_precision", _UP, _BINARY, 0.0, 1.0, "area under precision over recall"),
    Measure("log_loss", _DOWN, _CLASSES, 0.0, None, "surprise at the truth, in nats a row"),
    Measure("brier", _DOWN, _CLASSES, 0.0, 2.0, "mean squared error of the probabilities"),
    Measure("accuracy", _UP, _CLASSES, 0.0, 1.0, "share of right answers"),
    Measure("balanced_accuracy", _UP, _CLASSES, 0.0, 1.0, "mean recall over the classes"),
    Measure("f1", _UP, _CLASSES, 0.0, 1.0, "harmonic mean of precision and recall (macro)"),
    Measure("precision", _UP, _BINARY, 0.0, 1.0, "share of positive answers that are right"),
    Measure("recall", _UP, _BINARY, 0.0, 1.0, "share of positive rows that are found"),
    Measure("rmse", _DOWN, _NUMBERS, 0.0, None, "root of the mean squared error, target's unit",
            objectives=_CENTERED),
    Measure("mae", _DOWN, _NUMBERS, 0.0, None, "mean absolute error, target's unit",
            objectives=_CENTERED),
    Measure("r2", _UP, _NUMBERS, None, 1.0, "share of variance explained", objectives=_CENTERED),
    Measure("pinball", _DOWN, _NUMBERS, 0.0, None, "error weighed by its side, target's unit",
            objectives=_QUANTILES),
    Measure("coverage_error", _DOWN, _NUMBERS, 0.0, 1.0, "distance of covered share from quantile",
            searchable=False, objectives=_QUANTILES),
    Measure("poisson_deviance", _DOWN, _NUMBERS, 0.0, None, "mean deviance of counts, a row",
            objectives=_COUNTED),
    Measure("silhouette", _UP, _SEGMENTS, -1.0, 1.0, "how much nearer to the own segment"),
    Measure("davies_bouldin", _DOWN, _SEGMENTS, 0.0, None, "overlap of segments", searchable=False),
    Measure("stability", _UP, _SEGMENTS, -0.5, 1.0, "agreement over resamples", searchable=False),
    Measure("latency_p50_ms", _DOWN, _ALL, 0.0, None, "median time of one row", searchable=False),
    Measure("latency_p99_ms", _DOWN, _ALL, 0.0, None, "99 % answer within", searchable=False),
)  # fmt: skip

MEASURES: dict[str, Measure] = {row.name: row for row in _ROWS}
"""Every measure by name."""

_DEFAULTS = {
    Task.BINARY: "roc_auc",
    Task.MULTICLASS: "log_loss",
    Task.REGRESSION: "rmse",
    Task.CLUSTERING: "silhouette",
}


_OF_OBJECTIVES = {Objective.QUANTILE: "pinball", Objective.COUNT: "poisson_deviance"}


def default_metric(task: Task, objective: Objective = Objective.MEAN) -> str:
    """The metric of a project that names none.

    >>> default_metric(Task.REGRESSION), default_metric(Task.REGRESSION, Objective.QUANTILE)
    ('rmse', 'pinball')
    """
    own = _OF_OBJECTIVES.get(objective) if task is Task.REGRESSION else None
    return own or _DEFAULTS[task]


def measures_for(
    task: Task, *, searchable: bool = False, objective: Objective = Objective.MEAN
) -> tuple[str, ...]:
    """Names of the measures that have a meaning for a task, in the table's order.

    >>> measures_for(Task.REGRESSION, searchable=True)
    ('rmse', 'mae', 'r2')
    >>> measures_for(Task.REGRESSION, searchable=True, objective=Objective.COUNT)
    ('rmse', 'mae', 'r2', 'poisson_deviance')
    """
    return tuple(
        row.name
        for row in _ROWS
        if task in row.tasks and objective in row.objectives and (row.searchable or not searchable)
    )


def metric_direction(name: str) -> Direction:
    """Which way is better.

    Raises:
        KeyError: no measure has that name.

    >>> metric_direction("roc_auc"), metric_direction("latency_p99_ms")
    ('maximize', 'minimize')
    """
    return MEASURES[name].direction
