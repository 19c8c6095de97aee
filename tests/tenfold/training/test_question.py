"""What a training is asked: classes in order, direction, threshold, and refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import DataError
from tenfold.evaluation import best_threshold
from tenfold.models import Traits
from tenfold.profile import Profile
from tenfold.project import Project
from tenfold.project.measures import Task
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.training.folds import fold_plan
from tenfold.training.question import Question, make_question, rarer_class, traits_of

QUESTION = Question(Task.BINARY, ("no", "yes"), "roc_auc", False, 3, 0, ("linear",))
SCORES = st.floats(-1e6, 1e6) | st.just(math.nan)


def project_of(
    task: str = "binary", *, train: dict[str, object] | None = None, **problem: object
) -> Project:
    target = {} if task == "clustering" else {"target": "y"}
    body: dict[str, object] = {
        "problem": {"task": task, **target, **problem},
        "data": {"sources": [{"path": "t.csv"}]},
    }
    return Project.from_dict(body | ({} if train is None else {"train": train}))


def schema_of(*classes: str, target: bool = True) -> Schema:
    role = Role.TARGET if target else Role.FEATURE
    y = Column("y", Kind.CATEGORY, role, domain=classes or None)
    return Schema((Column("x", Kind.NUMBER), y))


@pytest.mark.parametrize(
    ("n_folds", "ordered", "more"),
    [(2, False, 2.222), (5, False, 1.389), (20, False, 1.170), (2, True, 1.5), (20, True, 1.05)],
)
def test_a_last_fit_has_the_rows_that_a_fold_and_its_stopping_lack(
    n_folds: int, ordered: bool, more: float
) -> None:
    question = replace(QUESTION, n_folds=n_folds, ordered=ordered)
    assert question.more_rows == pytest.approx(more, abs=1e-3)


@given(SCORES, SCORES, SCORES, st.sampled_from(["roc_auc", "rmse"]))
def test_better_is_a_strict_order_with_nan_at_its_end(
    a: float, b: float, c: float, metric: str
) -> None:
    better = replace(QUESTION, metric=metric).better
    assert not better(a, a)
    assert not (better(a, b) and better(b, a))
    if better(a, b) and better(b, c):
        assert better(a, c)
    if math.isnan(a):
        assert not better(a, b)
    elif math.isnan(b):
        assert better(a, b)
    elif a != b:
        assert better(a, b) != better(b, a)


@pytest.mark.parametrize(("metric", "maximize"), [("roc_auc", True), ("log_loss", False)])
def test_the_direction_is_the_metrics(metric: str, maximize: bool) -> None:
    question = replace(QUESTION, metric=metric)
    assert question.maximize is maximize
    assert question.better(0.2, 0.1) is maximize


@pytest.mark.parametrize("ordered", [False, True])
def test_folds_are_those_of_the_one_plan(ordered: bool) -> None:
    assert replace(QUESTION, ordered=ordered).folds == fold_plan(3, ordered=ordered)


P = np.array([0.05, 0.2, 0.3, 0.4, 0.45, 0.6, 0.7, 0.9])
Y = np.array([0, 0, 1, 0, 0, 1, 0, 1])


@pytest.mark.parametrize(
    ("metric", "served_by"),
    [
        ("f1", "f1"),
        ("accuracy", "accuracy"),
        ("balanced_accuracy", "balanced_accuracy"),
        ("roc_auc", "f1"),
        ("log_loss", "f1"),
    ],
)
def test_the_threshold_serves_the_metric_or_f1(metric: str, served_by: str) -> None:
    found = replace(QUESTION, metric=metric).threshold(np.c_[1 - P, P], Y)
    assert found == best_threshold(P, Y == 1, metric=served_by)


def test_costs_decide_the_threshold() -> None:
    scores = np.c_[1 - P, P]
    dear_miss = replace(QUESTION, costs=(1.0, 100.0)).threshold(scores, Y)
    dear_alarm = replace(QUESTION, costs=(100.0, 1.0)).threshold(scores, Y)
    assert dear_miss is not None
    assert dear_alarm is not None
    assert (dear_miss <= P)[Y == 1].all()
    assert not (dear_alarm <= P)[Y == 0].any()


@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.REGRESSION, Task.CLUSTERING])
def test_only_a_binary_answer_has_a_threshold(task: Task) -> None:
    assert replace(QUESTION, task=task).threshold(np.c_[1 - P, P], Y) is None


def test_a_row_at_the_threshold_is_positive() -> None:
    scores = np.array([[0.7, 0.3], [0.6, 0.4], [0.5, 0.5]])
    assert QUESTION.decide(scores, 0.4).tolist() == [0, 1, 1]
    assert QUESTION.decide(scores, None).tolist() == [0, 0, 0]
    three = np.array([[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])
    assert QUESTION.decide(three, None).tolist() == [1, 2]


def test_judged_rows_are_decided_where_there_are_classes() -> None:
    scores = np.array([[0.7, 0.3], [0.6, 0.4]])
    judged = QUESTION.judge(np.array([0, 1]), scores, 0.4)
    assert judged.decided is not None
    assert judged.decided.tolist() == [0, 1]
    numbers = replace(QUESTION, task=Task.REGRESSION).judge(np.ones(2), scores[:, :1], None)
    assert numbers.decided is None


def test_a_question_repeats_the_project() -> None:
    costs = {"false_positive": 1, "false_negative": 5}
    train = {"folds": 4, "seed": 9, "families": ["dummy", "boosting"]}
    project = project_of(positive_class="a", metric="f1", costs=costs, train=train)
    assert make_question(project, schema_of("a", "b"), ordered=True) == Question(
        task=Task.BINARY,
        classes=("b", "a"),
        metric="f1",
        ordered=True,
        n_folds=4,
        seed=9,
        families=("boosting",),
        costs=(1.0, 5.0),
    )


def test_traits_are_read_from_domains_and_a_training_fold() -> None:
    rng = np.random.default_rng(0)
    even, tail = rng.normal(size=400), np.exp(2 * rng.normal(size=400))
    shops = tuple(f"shop {k}" for k in range(90))

    def traits(x: np.ndarray, kind: Kind = Kind.NUMBER, *, fold: int = 0) -> Traits:
        columns = (Column("x", kind), Column("shop", Kind.CATEGORY, domain=shops))
        schema = Schema((*columns, Column("y", Kind.NUMBER, Role.TARGET)))
        table = pa.table({"x": x, "shop": ["shop 1"] * len(x), "y": tail[: len(x)]})
        return traits_of(schema, {fold: Profile.from_table(table, schema)})

    known = Traits(90, n_rows=400, n_columns=2, category_share=0.5)
    assert traits(even) == known  # the target leans, which is no feature
    assert traits(tail) == replace(known, skewed=True)
    assert traits(np.round(tail / 50)).skewed is False  # counts
    assert traits(tail, fold=-1).skewed is False  # the sealed rows
    assert traits_of(Schema((Column("x", Kind.NUMBER),)), {}) == Traits(n_columns=1)


def test_a_named_positive_class_goes_before_the_rarer_one() -> None:
    schema = schema_of("a", "b")
    named = project_of(positive_class="b")
    assert make_question(named, schema, ordered=False, positive="a").classes == ("a", "b")
    assert make_question(project_of(), schema, ordered=False).classes == ("a", "b")


def test_more_classes_keep_the_schemas_order_and_numbers_have_none() -> None:
    schema = schema_of("c", "a", "b")
    found = make_question(project_of("multiclass"), schema, ordered=False, positive="c")
    assert found.classes == ("c", "a", "b")
    y = Column("y", Kind.NUMBER, Role.TARGET)
    regression = make_question(project_of("regression"), Schema((y,)), ordered=False)
    assert (regression.classes, regression.costs) == ((), None)
    nothing = schema_of(target=False)
    assert make_question(project_of("clustering"), nothing, ordered=False).classes == ()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_task_with_a_target_needs_one_in_the_snapshot(task: str) -> None:
    with pytest.raises(DataError) as caught:
        make_question(project_of(task), schema_of("a", "b", target=False), ordered=False)
    assert str(caught.value) == (
        f"task {task} needs a target and the snapshot has none; prepare it again"
    )


@pytest.mark.parametrize(
    ("task", "classes", "words"),
    [
        ("binary", ("a", "b", "c"), "exactly two classes, column 'y' has 3: ['a', 'b', 'c']"),
        ("binary", ("a",), "exactly two classes, column 'y' has 1: ['a']"),
        ("multiclass", ("a",), "at least two classes, column 'y' has 1: ['a']"),
        ("multiclass", (), "at least two classes, column 'y' has 0: []"),
    ],
)
def test_too_few_or_too_many_classes_are_shown(
    task: str, classes: tuple[str, ...], words: str
) -> None:
    with pytest.raises(DataError) as caught:
        make_question(project_of(task), schema_of(*classes), ordered=False)
    assert str(caught.value) == f"task {task} needs {words}; change the task or the target"


def test_a_long_list_of_classes_is_cut() -> None:
    with pytest.raises(DataError, match=r"has 40: \['k0', .*'k7'\]; change"):
        make_question(project_of(), schema_of(*(f"k{i}" for i in range(40))), ordered=False)


def profiles_of(schema: Schema, *folds: list[str]) -> dict[int, Profile]:
    return {
        number: Profile.from_table(pa.table({"x": [1.0] * len(y), "y": y}), schema)
        for number, y in enumerate(folds)
    }


def test_the_rarer_class_is_counted_over_all_folds() -> None:
    schema = schema_of("a", "b")
    assert rarer_class(schema, profiles_of(schema, ["a"], ["b", "b"])) == "a"
    assert rarer_class(schema, profiles_of(schema, ["a", "a"], ["b"], ["a"])) == "b"
    assert rarer_class(schema, profiles_of(schema, ["a", "a"], ["b", "b"])) == "b"
    assert rarer_class(schema, profiles_of(schema, ["a", "a"])) == "b"


def test_without_classes_none_is_rarer() -> None:
    assert rarer_class(schema_of(target=False), {}) is None
    assert rarer_class(schema_of(), {}) is None
