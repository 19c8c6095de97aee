"""Limits of intervals and sets come from out-of-fold rows; the sealed rows only judge them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tenfold.evaluation import Intervals, Sets
from tenfold.project.measures import Task
from tenfold.training.answer import Answer
from tenfold.training.conform import Conformed
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.finish import finish
from tenfold.training.rows import TrainingRows
from tenfold.training.search import Material

MakeCase = Callable[..., tuple[Material, TrainingRows]]


def made(material: Material, test: TrainingRows) -> Conformed | None:
    regression = material.question.task is Task.REGRESSION
    params = {"alpha": 1.0, "target": "none"} if regression else {"c": 1.0}
    oof = evaluate(material.workspace(), Config(1, "linear", params)).oof
    answer = Answer.single("linear", params)
    return finish(material, test, answer, oof=oof, block_rows=20).conformed


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_limits_are_those_of_the_out_of_fold_rows(make_case: MakeCase, task: Task) -> None:
    material, test = make_case(task)
    found = made(material, test)
    assert found is not None
    regression = task is Task.REGRESSION
    params = {"alpha": 1.0, "target": "none"} if regression else {"c": 1.0}
    oof = evaluate(material.workspace(), Config(1, "linear", params)).oof
    assert oof is not None
    known = ~np.isnan(oof[:, 0])
    kind = Intervals if regression else Sets
    expected = kind.fit(oof[known].astype(np.float64), material.rows.truth[known])
    assert found.table.to_dict() == expected.to_dict()
    assert [told.level for told in found.folds] == [told.level for told in found.sealed]
    for told in (*found.folds, *found.sealed):
        assert told.share >= told.level - 0.12  # some hundred rows
    words = dict(found.facts())
    assert words["90%, folds"].startswith("covers ")
    assert "out-of-fold rows" in words["made of"]


def test_the_sealed_rows_do_not_move_a_limit(make_case: MakeCase) -> None:
    material, test = make_case()
    other = replace(test, truth=1 - test.truth)
    honest, changed = made(material, test), made(material, other)
    assert honest is not None
    assert changed is not None
    assert honest.table.to_dict() == changed.table.to_dict()
    assert honest.folds == changed.folds
    assert honest.sealed != changed.sealed


def test_nothing_is_said_without_truth_or_out_of_fold_rows(make_case: MakeCase) -> None:
    material, test = make_case()
    assert finish(material, test, Answer.single("linear", {"c": 1.0}), oof=None).conformed is None
    material, test = make_case(Task.CLUSTERING)
    answer = Answer.single("kmeans", {"k": 3})
    assert finish(material, test, answer, oof=None).conformed is None
