"""Laws between the fields: what must hold although each field is right by itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from tenfold.project.inputs import ColumnRule, Data, Prepare
from tenfold.project.measures import Objective, Task, measures_for
from tenfold.project.operate import Serve
from tenfold.project.problem import Problem
from tenfold.project.work import (
    ALL_OBJECTIVES,
    FAMILIES,
    MONOTONE,
    SERVED_ON_CUDA,
    Train,
    family_holds_monotone,
    family_objectives,
    family_tasks,
)
from tenfold.schema import Kind, Role

__all__ = ["Violation", "violations"]

Path = tuple[str | int, ...]
_RANGED = (Kind.NUMBER, Kind.INTEGER)


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken law.

    Attributes:
        path: where, as keys and indices from the top of the file.
        law: what must hold, starting with "must".
        remedy: what to write instead.
    """

    path: Path
    law: str
    remedy: str


def violations(
    *,
    problem: Problem,
    data: Data,
    train: Train,
    prepare: Prepare | None = None,
    serve: Serve | None = None,
) -> list[Violation]:
    """Every broken law between the fields, in the order of the file."""
    return [
        *_target(problem),
        *_objective(problem, train),
        *_measures(problem),
        *_data(problem, data),
        *_prepare(data, prepare or Prepare()),
        *_train(problem, train),
        *_monotone(problem, data, train),
        *_serve(problem, train, serve or Serve()),
    ]


def _target(problem: Problem) -> Iterator[Violation]:
    task = problem.task
    if task.supervised and problem.target is None:
        law = f"must name the column to predict, because the task is {task}"
        yield Violation(("problem", "target"), law, "add 'target: COLUMN'")
    if not task.supervised and problem.target is not None:
        law = "must be absent for clustering, which has nothing to predict"
        yield Violation(("problem", "target"), law, "remove it or choose another task")
    for name in ("positive_class", "costs"):
        if task is not Task.BINARY and getattr(problem, name) is not None:
            law = f"must be absent: it has a meaning for binary only, and the task is {task}"
            yield Violation(("problem", name), law, "remove it")


def _asked(problem: Problem) -> str:
    """The task, and its objective where that is not the mean."""
    if problem.objective is Objective.MEAN:
        return problem.task.value
    return f"the {problem.objective} of a {problem.task}"


def _objective(problem: Problem, train: Train) -> Iterator[Violation]:
    objective, wants_quantile = problem.objective, problem.objective is Objective.QUANTILE
    if problem.task is not Task.REGRESSION and objective is not Objective.MEAN:
        law = "must be absent: it has a meaning for regression only, and the task is "
        law += problem.task
        yield Violation(("problem", "objective"), law, "remove it")
        return
    if wants_quantile != (problem.quantile is not None):
        law = "must be there when, and only when, the objective is quantile"
        remedy = "add 'quantile: 0.9'" if wants_quantile else "remove it"
        yield Violation(("problem", "quantile"), law, remedy)
    if objective is Objective.MEAN:
        return
    known = family_tasks(train.families)
    for index, family in enumerate(train.families):
        if family in known and objective not in family_objectives(family):
            law = f"must be a family that fits a {objective} ({', '.join(ALL_OBJECTIVES)}): "
            law += f"{family} fits the mean alone"
            yield Violation(("train", "families", index), law, "remove it")


def _measures(problem: Problem) -> Iterator[Violation]:
    objective = problem.objective
    fitting = measures_for(problem.task, searchable=True, objective=objective)
    if problem.metric not in fitting:
        law = f"must be a metric that fits {_asked(problem)}: {', '.join(fitting)}"
        near = difflib.get_close_matches(problem.metric, fitting, n=1)
        remedy = f"write '{near[0] if near else fitting[0]}'"
        yield Violation(("problem", "metric"), law, remedy)
    seen: dict[tuple[str, str], int] = {}
    for index, gate in enumerate(problem.gates):
        path = ("problem", "gates", index)
        measures = measures_for(problem.task, objective=objective)
        if gate.metric not in measures:
            law = f"must use a metric that fits {_asked(problem)}: {', '.join(measures)}"
            yield Violation(path, law, "choose one of these")
        first = seen.setdefault((gate.metric, gate.op[0]), index)
        if first != index:
            law = f"must bound a metric once; gate {first + 1} bounds {gate.metric} already"
            yield Violation(path, law, "keep the stricter one")


def _data(problem: Problem, data: Data) -> Iterator[Violation]:
    if data.time and (data.time.column is None) == (data.time.order is None):
        law = "must be either a column or the order of rows"
        yield Violation(("data", "time"), law, "write 'time: COLUMN' or 'time: {order: rows}'")
    names = [source.name for source in data.sources]
    for index, name in enumerate(names):
        if name in names[:index]:
            law = f"must be named once; '{name}' is the name of an earlier source"
            yield Violation(("data", "sources", index), law, "give it a 'name' of its own")
    yield from _joins(data, names)
    uses = [("group", data.group), ("time", data.time_column), *(("key", k) for k in data.key)]
    for name, column in uses:
        if column is not None and column == problem.target:
            law = f"must not be the target; '{column}' is what is to be predicted"
            yield Violation(("data", name), law, "name another column")
    if len(set(data.key)) < len(data.key):
        yield Violation(("data", "key"), "must name each column once", "remove the repetition")
    for name, rule in data.columns.items():
        yield from _column(problem, name, rule)


def _joins(data: Data, names: list[str]) -> Iterator[Violation]:
    joined = [join.source for join in data.joins]
    for index, name in enumerate(joined):
        path = ("data", "joins", index, "source")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            law = f"must be the name of a source: {', '.join(names)}"
            yield Violation(path, law, f"write '{near[0] if near else names[-1]}'")
        elif name in joined[:index]:
            yield Violation(path, "must be joined once", "remove this join or list it again")
    if names and not set(names) - set(joined):
        law = "must leave a source that the others are joined to"
        yield Violation(("data", "joins"), law, "remove one join")


def _column(problem: Problem, name: str, rule: ColumnRule) -> Iterator[Violation]:
    path = ("data", "columns", name)
    low, high = rule.minimum, rule.maximum
    if low is not None and high is not None and low > high:
        law = f"must not be above the maximum ({high:g})"
        yield Violation((*path, "minimum"), law, "swap the two")
    if (low is not None or high is not None) and rule.kind not in (None, *_RANGED):
        law = f"must be a number or integer to have a range, and its kind is {rule.kind}"
        yield Violation(path, law, "remove minimum and maximum, or change the kind")
    if rule.dates is not None and rule.kind not in (None, Kind.DATETIME):
        law = f"must be a datetime to say how dates are written, and its kind is {rule.kind}"
        yield Violation((*path, "dates"), law, "remove dates, or change the kind")
    if rule.decimal is not None and rule.kind not in (None, *_RANGED):
        law = f"must be a number or integer to have a decimal mark, and its kind is {rule.kind}"
        yield Violation((*path, "decimal"), law, "remove decimal, or change the kind")
    if rule.text is not None and rule.kind not in (None, Kind.TEXT):
        law = f"must be a text to say what it is counted by, and its kind is {rule.kind}"
        yield Violation((*path, "text"), law, "remove text, or change the kind")
    if name == problem.target and rule.text is not None:
        law = "must not be counted by words or characters: it is the target"
        yield Violation((*path, "text"), law, "remove text")
    if name == problem.target and rule.role is not None:
        law = "must not have another role: it is the target"
        yield Violation((*path, "role"), law, "remove the role")


def _prepare(data: Data, prepare: Prepare) -> Iterator[Violation]:
    if data.ordered and prepare.near_duplicates == "group":
        law = "must not be group where data.time orders the rows: a group may reach over all times"
        yield Violation(("prepare", "near_duplicates"), law, "write 'report' or remove data.time")


def _train(problem: Problem, train: Train) -> Iterator[Violation]:
    if train.nodes is not None and not problem.task.supervised:
        law = "must be absent for clustering, whose segments are chosen where the command runs"
        yield Violation(("train", "nodes"), law, "remove it, and run the command on such a node")
    families = family_tasks(train.families)
    fitting = [name for name, tasks in families.items() if problem.task in tasks]
    for index, name in enumerate(train.families):
        path = ("train", "families", index)
        if name not in fitting:
            known = "must be a family" if name not in families else "must be a family that fits"
            law = f"{known} for {problem.task}: {', '.join(fitting)}"
            near = difflib.get_close_matches(name, fitting, n=1)
            yield Violation(path, law, f"write '{near[0]}'" if near else "choose one of these")
        elif name in train.families[:index]:
            yield Violation(path, "must be named once", "remove the repetition")


def _monotone(problem: Problem, data: Data, train: Train) -> Iterator[Violation]:
    """A column that the answer must go with: only one number goes up or down, and only families
    that hold it may answer."""
    named = [name for name, rule in data.columns.items() if rule.monotone is not None]
    for name in named:
        path, rule = ("data", "columns", name, "monotone"), data.columns[name]
        if problem.task not in (Task.BINARY, Task.REGRESSION):
            law = f"must be absent: the answers of {problem.task} do not go up or down"
            yield Violation(path, law, "remove it")
        if rule.kind not in (None, *_RANGED):
            law = f"must be of a number or integer, and the column's kind is {rule.kind}"
            yield Violation(path, law, "remove it, or change the kind")
        if problem.objective is Objective.QUANTILE:
            law = "must be absent for a quantile: its leaves are set anew after the splits, and "
            law += "may then fall"
            yield Violation(path, law, "remove it, or ask for the mean")
        if name == problem.target or rule.role not in (None, Role.FEATURE):
            yield Violation(path, "must be of a feature", "remove it, or the column's role")
    if not named:
        return
    if train.construct_columns != "off":
        law = f"must be off where columns are monotone ({', '.join(named)}): what is made of them "
        law += "goes its own ways"
        yield Violation(("train", "construct_columns"), law, "write 'off'")
    known = family_tasks(train.families)
    for index, family in enumerate(train.families):
        if family in known and not family_holds_monotone(family):
            law = f"must be a family that holds monotone columns ({', '.join(MONOTONE)}): the "
            law += f"weights of {family} may have any sign"
            yield Violation(("train", "families", index), law, "remove it")


def _serve(problem: Problem, train: Train, serve: Serve) -> Iterator[Violation]:
    """GPUs are asked for, and every family of the project is one that answers on CPU alone. Of
    families of other packages nothing is known before there is a model."""
    alone = [name for name in train.families if name in FAMILIES and name not in SERVED_ON_CUDA]
    if serve.device != "gpu" or not alone or len(alone) < len(train.families):
        return
    law = "must not be gpu where only families answer that ONNX Runtime runs on CPU alone "
    law += f"({', '.join(alone)}): trees have no CUDA kernel"
    fitting = [name for name in SERVED_ON_CUDA if problem.task in FAMILIES[name]]
    yield Violation(
        ("serve", "device"),
        law,
        f"write 'auto', or name {' or '.join(fitting)} in train.families",
    )
