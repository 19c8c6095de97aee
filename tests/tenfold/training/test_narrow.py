"""Fewer columns: those that go best with the target, by the folds that are fitted on alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tenfold.features.second import Stage
from tenfold.models import COLUMNS
from tenfold.project.measures import Task
from tenfold.training.answer import Answer
from tenfold.training.evaluate import Config, Fate, evaluate
from tenfold.training.finish import finish
from tenfold.training.narrow import narrowed
from tenfold.training.rows import TrainingRows
from tenfold.training.search import Material

MakeCase = Callable[..., tuple[Material, TrainingRows]]


@pytest.mark.parametrize(("share", "names"), [(1.0, "x z city"), (0.6, "x city"), (0.01, "x")])
def test_the_strongest_stay_in_their_order(make_case: MakeCase, share: float, names: str) -> None:
    material, _ = make_case(Task.BINARY)
    stage = Stage(material.schema, {fold: material.profiles[fold] for fold in (0, 1)})
    found = narrowed(stage, share)
    assert [column.name for column in found.seen.features] == names.split()


def test_a_configuration_with_fewer_columns_is_judged_and_finished(make_case: MakeCase) -> None:
    material, test = make_case(Task.BINARY)
    config = Config(1, "boosting", {"eta": 0.3, "max_depth": 3, COLUMNS: 0.6})
    outcome = evaluate(material.workspace(), config)
    assert outcome.fate is Fate.SCORED
    noise = evaluate(material.workspace(), Config(1, "boosting", {"eta": 0.3, "max_depth": 3}))
    assert abs(outcome.score - noise.score) < 0.05
    finished = finish(
        material, test, Answer.single("boosting", config.params, rounds=outcome.rounds),
        oof=outcome.oof, block_rows=20,
    )  # fmt: skip
    assert [column.name for column in finished.preprocessor.schema.features] == ["x", "city"]
    assert finished.stage.dropped == ("z",)
    assert finished.params[COLUMNS] == 0.6
    assert np.isfinite(finished.metrics["roc_auc"].value)
