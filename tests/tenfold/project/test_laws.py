from __future__ import annotations

from typing import Any

import pytest

from tenfold.project.inputs import Data, Prepare
from tenfold.project.laws import violations
from tenfold.project.operate import Serve
from tenfold.project.problem import Problem
from tenfold.project.work import Train

SOURCES = [{"path": "a.csv"}]
BINARY = {"task": "binary", "target": "y"}


def broken(
    problem: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    train: dict[str, Any] | None = None,
) -> list[tuple[str, str]]:
    found = violations(
        problem=Problem.model_validate(problem or BINARY),
        data=Data.model_validate({"sources": SOURCES, **(data or {})}),
        train=Train.model_validate({"families": ["linear"], **(train or {})}),
    )
    return [(".".join(map(str, law.path)), law.law) for law in found]


def test_a_lawful_project() -> None:
    assert broken() == []


@pytest.mark.parametrize(
    ("problem", "path", "law"),
    [
        (
            {"task": "regression"},
            "problem.target",
            "must name the column to predict, because the task is regression",
        ),
        (
            {"task": "regression", "target": "y", "positive_class": "a"},
            "problem.positive_class",
            "must be absent: it has a meaning for binary only, and the task is regression",
        ),
        (
            {"task": "multiclass", "target": "y", "costs": {}},
            "problem.costs",
            "must be absent: it has a meaning for binary only, and the task is multiclass",
        ),
        (
            {"task": "regression", "target": "y", "metric": "roc_auc"},
            "problem.metric",
            "must be a metric that fits regression: rmse, mae, r2",
        ),
        (
            {**BINARY, "metric": "latency_p99_ms"},
            "problem.metric",
            "must be a metric that fits binary: roc_auc, average_precision, log_loss, brier, "
            "accuracy, balanced_accuracy, f1, precision, recall",
        ),
        (
            {**BINARY, "gates": ["recall >= 0.8", "recall >= 0.9"]},
            "problem.gates.1",
            "must bound a metric once; gate 1 bounds recall already",
        ),
    ],
)
def test_laws_of_the_problem(problem: dict[str, Any], path: str, law: str) -> None:
    assert broken(problem) == [(path, law)]


def test_near_duplicates_are_not_grouped_across_time() -> None:
    found = violations(
        problem=Problem.model_validate(BINARY),
        data=Data.model_validate({"sources": SOURCES, "time": "t"}),
        train=Train.model_validate({"families": ["linear"]}),
        prepare=Prepare(near_duplicates="group"),
    )
    assert [law.law for law in found] == [
        "must not be group where data.time orders the rows: a group may reach over all times"
    ]


def test_clustering_has_no_target() -> None:
    law = "must be absent for clustering, which has nothing to predict"
    problem = {"task": "clustering", "target": "y"}
    assert broken(problem, train={"families": ["kmeans"]}) == [("problem.target", law)]


@pytest.mark.parametrize(
    ("data", "path", "law"),
    [
        (
            {"time": {"column": "t", "order": "rows"}},
            "data.time",
            "must be either a column or the order of rows",
        ),
        ({"time": {}}, "data.time", "must be either a column or the order of rows"),
        (
            {"group": "y"},
            "data.group",
            "must not be the target; 'y' is what is to be predicted",
        ),
        ({"time": "y"}, "data.time", "must not be the target; 'y' is what is to be predicted"),
        ({"key": ["i", "y"]}, "data.key", "must not be the target; 'y' is what is to be predicted"),
        ({"key": ["i", "i"]}, "data.key", "must name each column once"),
        (
            {"columns": {"a": {"kind": "number", "dates": "excel"}}},
            "data.columns.a.dates",
            "must be a datetime to say how dates are written, and its kind is number",
        ),
        (
            {"columns": {"a": {"kind": "category", "text": "chars"}}},
            "data.columns.a.text",
            "must be a text to say what it is counted by, and its kind is category",
        ),
        (
            {"columns": {"a": {"kind": "text", "decimal": "comma"}}},
            "data.columns.a.decimal",
            "must be a number or integer to have a decimal mark, and its kind is text",
        ),
        (
            {"columns": {"a": {"minimum": 5, "maximum": 1}}},
            "data.columns.a.minimum",
            "must not be above the maximum (1)",
        ),
        (
            {"columns": {"a": {"kind": "category", "minimum": 5}}},
            "data.columns.a",
            "must be a number or integer to have a range, and its kind is category",
        ),
        (
            {"columns": {"y": {"role": "ignored"}}},
            "data.columns.y.role",
            "must not have another role: it is the target",
        ),
        (
            {"sources": [{"path": "x/a.csv"}, {"path": "y/a.csv"}]},
            "data.sources.1",
            "must be named once; 'a' is the name of an earlier source",
        ),
    ],
)
def test_laws_of_the_data(data: dict[str, Any], path: str, law: str) -> None:
    assert broken(data=data) == [(path, law)]


@pytest.mark.parametrize(
    ("families", "path", "law"),
    [
        (
            ["linear", "bosting"],
            "train.families.1",
            "must be a family for binary: dummy, linear, boosting, network",
        ),
        (
            ["kmeans"],
            "train.families.0",
            "must be a family that fits for binary: dummy, linear, boosting, network",
        ),
        (["linear", "linear"], "train.families.1", "must be named once"),
    ],
)
def test_laws_of_training(families: list[str], path: str, law: str) -> None:
    assert broken(train={"families": families}) == [(path, law)]


def test_the_families_a_project_may_name_are_those_that_exist() -> None:
    from tenfold.models import FAMILIES as BUILT
    from tenfold.project import FAMILIES

    # Other tests add families of their own to the table.
    own = {n: f for n, f in BUILT.items() if f.fit.__module__.startswith("tenfold.models.")}
    assert {name: {str(task) for task in tasks} for name, tasks in FAMILIES.items()} == {
        name: {str(task) for task in family.tasks} for name, family in own.items()
    }


def on_gpu(problem: dict[str, Any], families: list[str], device: str = "gpu") -> list[Any]:
    return violations(
        problem=Problem.model_validate(problem),
        data=Data.model_validate({"sources": SOURCES}),
        train=Train.model_validate({"families": families}),
        serve=Serve.model_validate({"device": device}),
    )


def test_a_gpu_is_not_asked_for_where_only_trees_can_answer() -> None:
    (law,) = on_gpu(BINARY, ["boosting", "dummy"])
    assert law.path == ("serve", "device")
    assert law.law == (
        "must not be gpu where only families answer that ONNX Runtime runs on CPU alone (boosting, "
        "dummy): trees have no CUDA kernel"
    )
    assert law.remedy == "write 'auto', or name linear or network in train.families"


@pytest.mark.parametrize(
    ("problem", "families", "device"),
    [
        (BINARY, ["boosting"], "auto"),
        (BINARY, ["boosting"], "cpu"),
        (BINARY, ["boosting", "network"], "gpu"),
        ({"task": "clustering"}, ["kmeans"], "gpu"),
    ],
)
def test_a_gpu_may_be_asked_for_where_one_family_can_use_it(
    problem: dict[str, Any], families: list[str], device: str
) -> None:
    assert not [law for law in on_gpu(problem, families, device) if law.path[0] == "serve"]


def test_the_families_that_a_gpu_can_serve_are_those_whose_graphs_hold_products() -> None:
    from tenfold.inference.served import served_by
    from tenfold.project.work import SERVED_ON_CUDA
    from tenfold.testing.artifacts import fit_small

    for family in ("boosting", "linear", "network", "kmeans"):
        graph = fit_small(family)[1].to_onnx()
        assert graph is not None
        served = served_by("onnx", family=family, files={"model.onnx": graph})
        assert served.runs_on_cuda == (family in SERVED_ON_CUDA)
