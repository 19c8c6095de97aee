"""What a training is asked: the project's problem made concrete by a schema. A small frozen value
that travels to every session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tenfold.errors import DataError
from tenfold.evaluation import Judged, best_threshold
from tenfold.models.base import Traits
from tenfold.project.measures import Objective, Task, metric_direction
from tenfold.schema import Kind
from tenfold.training.folds import STOP_EVERY, TEST_FOLD, FoldUse, fold_plan

if TYPE_CHECKING:
    from tenfold.data.snapshot import Snapshot
    from tenfold.profile import Profile
    from tenfold.project import Project
    from tenfold.schema import Schema

__all__ = ["Question", "make_question", "question_of", "rarer_class", "traits_of"]

SKEWED = 1.0
"""Above 1 a distribution is called highly skewed (M. Bulmer, "Principles of Statistics", 1979)."""
SKEWED_DISTINCT = 100
"""Fewer different values (counts, pixels, grades) have no tail to bend."""
THRESHOLD_METRICS = ("accuracy", "balanced_accuracy", "f1")


@dataclass(frozen=True, slots=True)
class Question:
    """Task, classes, metric and folds.

    Attributes:
        task: what is predicted.
        classes: class names; for a binary task (negative, positive), so that column 1 of a score
            matrix is always the positive class. Empty for regression and clustering.
        metric: what the search optimizes.
        ordered: rows have an order in time.
        n_folds: judged folds of the cross-validation.
        seed: what all randomness starts from.
        families: model families to try, cheapest first.
        costs: (false positive, false negative) or None.
        traits: of the table, for a search; the default has none that matter.
        monotone: (column, direction) of numbers that the answer must go with: 1 for the positive
            class or the value never falling as the column grows, -1 for never rising.
        objective: of a regression.
        quantile: with that objective, the share of rows below the answer.
    """

    task: Task
    classes: tuple[str, ...]
    metric: str
    ordered: bool
    n_folds: int
    seed: int
    families: tuple[str, ...]
    costs: tuple[float, float] | None = None
    traits: Traits = field(default_factory=Traits)
    monotone: tuple[tuple[str, int], ...] = ()
    objective: Objective = Objective.MEAN
    quantile: float = 0.5

    @property
    def maximize(self) -> bool:
        """Whether a larger score is better."""
        return metric_direction(self.metric) == "maximize"

    @property
    def folds(self) -> tuple[FoldUse, ...]:
        """The splits of the cross-validation."""
        return fold_plan(self.n_folds, ordered=self.ordered)

    @property
    def more_rows(self) -> float:
        """Rows of a fit on all folds for each row that a fold's model is fitted on, those that stop
        it not counted; of ordered rows only what the newest split lacks: that as many rounds again
        pay where the world moves was not measured.

        >>> one = Question(Task.REGRESSION, (), "rmse", False, 5, 0, ())
        >>> round(one.more_rows, 2), round(replace(one, ordered=True).more_rows, 2)
        (1.39, 1.2)
        """
        if self.ordered:
            return 1.0 + 1.0 / self.n_folds
        return self.n_folds / (self.n_folds - 1) / (1 - 1 / STOP_EVERY)

    def better(self, one: float, other: float) -> bool:
        """Whether one score beats another; NaN never does and is always beaten."""
        if np.isnan(one) or np.isnan(other):
            return np.isnan(other) and not np.isnan(one)
        return one > other if self.maximize else one < other

    def threshold(self, scores: NDArray[np.float64], truth: NDArray[np.int64]) -> float | None:
        """The threshold of a binary answer on out-of-fold rows; None for other tasks."""
        if self.task is not Task.BINARY:
            return None
        metric = self.metric if self.metric in THRESHOLD_METRICS else "f1"
        return best_threshold(scores[:, 1], truth == 1, metric=metric, costs=self.costs)

    def decide(self, scores: NDArray[np.float64], threshold: float | None) -> NDArray[np.int64]:
        """Class or segment numbers int64 (n_rows,) of scores (n_rows, k)."""
        if threshold is not None:
            return (scores[:, 1] >= threshold).astype(np.int64)
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)

    def judge(
        self, truth: NDArray[np.float64], scores: NDArray[np.float64], threshold: float | None
    ) -> Judged:
        """Truth and scores of the same rows, decided by a threshold where there is one."""
        decided = None if self.task is Task.REGRESSION else self.decide(scores, threshold)
        return Judged(self.task, truth, scores, decided, self.objective, self.quantile)


def make_question(
    project: Project, schema: Schema, *, ordered: bool, positive: str | None = None
) -> Question:
    """The question of a project about a table.

    Args:
        project: its problem.
        schema: of the table.
        ordered: rows have an order in time.
        positive: positive class of a binary task whose project names none, see `rarer_class`.

    Raises:
        DataError: the schema has no target for a task that needs one, or not two classes or more.
    """
    problem = project.problem
    costs = None
    if problem.costs is not None:
        costs = (problem.costs.false_positive, problem.costs.false_negative)
    return Question(
        task=problem.task,
        classes=_classes(project, schema, positive),
        metric=problem.metric,
        ordered=ordered,
        n_folds=project.train.folds,
        seed=project.train.seed,
        families=tuple(name for name in project.train.families if name != "dummy"),
        costs=costs,
        monotone=_monotone(project, schema),
        objective=problem.objective,
        quantile=0.5 if problem.quantile is None else problem.quantile,
    )


def question_of(project: Project, snapshot: Snapshot, *, positive: str | None = None) -> Question:
    """The question of a project about a snapshot, with the folds that the snapshot has.

    Raises:
        DataError: as `make_question`.
    """
    question = make_question(project, snapshot.schema, ordered=snapshot.ordered, positive=positive)
    return replace(question, n_folds=snapshot.n_folds)


def traits_of(schema: Schema, profiles: Mapping[int, Profile]) -> Traits:
    """What a search should know of a table's features: from the domains, and one training fold.

    Args:
        schema: of the table.
        profiles: by fold; the sealed rows' is left alone.
    """
    one = next((profiles[fold] for fold in sorted(profiles) if fold != TEST_FOLD), None)
    skewed = one is not None and any(
        column.name in one.numbers
        and column.kind in (Kind.NUMBER, Kind.INTEGER)
        and one.numbers[column.name].n_distinct >= SKEWED_DISTINCT
        and abs(one.numbers[column.name].skewness) >= SKEWED
        for column in schema.features
    )
    features = schema.features
    return Traits(
        n_categories=max((len(c.domain or ()) for c in features), default=0),
        skewed=skewed,
        n_rows=sum(profile.n_rows for fold, profile in profiles.items() if fold != TEST_FOLD),
        n_columns=len(features),
        category_share=sum(c.kind is Kind.CATEGORY for c in features) / max(1, len(features)),
    )


def rarer_class(schema: Schema, profiles: Mapping[int, Profile]) -> str | None:
    """The class that fewer rows have, which is the one people look for; of equals the later one."""
    target = schema.target
    if target is None or not target.domain:
        return None
    name = target.name
    counts = {
        value: sum(p.categories[name].counts.get(value, 0) for p in profiles.values())
        for value in target.domain
    }
    return min(reversed(target.domain), key=lambda value: counts[value])


def _monotone(project: Project, schema: Schema) -> tuple[tuple[str, int], ...]:
    """What the project declares, checked against what the table has.

    Raises:
        DataError: a column is not there, is none of the features, or is no number.
    """
    kinds = {column.name: column.kind for column in schema.features}
    found = []
    for name, rule in project.data.columns.items():
        if rule.monotone is None:
            continue
        if kinds.get(name) not in (Kind.NUMBER, Kind.INTEGER):
            what = f"is {kinds[name]}" if name in kinds else "is no feature of the snapshot"
            raise DataError(
                f"data.columns.{name}.monotone: must be of a number or integer, and the column "
                f"{what}; remove it, or declare the column's kind and prepare again"
            )
        found.append((name, 1 if rule.monotone == "increasing" else -1))
    return tuple(found)


def _classes(project: Project, schema: Schema, positive: str | None) -> tuple[str, ...]:
    problem = project.problem
    if not problem.task.supervised:
        return ()
    if schema.target is None:
        raise DataError(
            f"task {problem.task} needs a target and the snapshot has none; prepare it again"
        )
    if not problem.task.classifies:
        return ()
    domain = schema.target.domain or ()
    need = 2
    if len(domain) < need or (problem.task is Task.BINARY and len(domain) != need):
        raise DataError(
            f"task {problem.task} needs {'exactly' if problem.task is Task.BINARY else 'at least'} "
            f"two classes, column {schema.target.name!r} has {len(domain)}: {list(domain[:8])}; "
            "change the task or the target"
        )
    if problem.task is Task.BINARY and (problem.positive_class or positive) == domain[0]:
        return (domain[1], domain[0])
    return tuple(domain)
