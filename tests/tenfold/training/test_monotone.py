"""A column that the answer must go with: held in exact numbers by what answers in the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tenfold.errors import DataError
from tenfold.features import Recipe
from tenfold.models import FAMILIES, Fit
from tenfold.models.boosting import booster_params
from tenfold.project import Project
from tenfold.project.measures import Task
from tenfold.project.work import FAMILIES as OURS
from tenfold.project.work import MONOTONE
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.training.ensemble import PREFERENCES, choose_answer
from tenfold.training.evaluate import Config, Fate, directions_of, evaluate
from tenfold.training.finish import finish
from tenfold.training.fitter import Fitter
from tenfold.training.question import make_question
from tenfold.training.search import Limits, Material, search_inline
from tests.tenfold.training.conftest import MakeCase, MakeMaterial

STEPS = 200


def bound(material: Material, **directions: int) -> Material:
    monotone = tuple(directions.items())
    return replace(material, question=replace(material.question, monotone=monotone))


def answers(made: Any, codes: np.ndarray, place: int) -> np.ndarray:
    """Scores (n_rows, n_steps) of some rows as one of their columns grows."""
    grid = np.linspace(-5.0, 5.0, STEPS)
    rows = np.repeat(codes, STEPS, axis=0)
    rows[:, place] = np.tile(grid, len(codes))
    return made.engine.score(made.preprocessor.transform_codes(rows))[:, -1].reshape(-1, STEPS)


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test_what_answers_never_falls_and_never_rises(make_case: MakeCase, task: Task) -> None:
    """The answer of a whole search, blend and calibration included, through the served engine."""
    material, test = make_case(task, n_rows=500, families=("boosting",))
    free, held = material, bound(material, x=1, z=-1)
    steps = {}
    for name, some in (("free", free), ("held", held)):
        found = search_inline(some, Limits(trials=4, seconds=None))
        fitter = Fitter(some)
        chosen = choose_answer(
            some,
            found.best,
            found.tried,
            found.oof_of,
            fitter=fitter,
            prefer=PREFERENCES["accuracy"],
        )
        made = finish(some, test, chosen.answer, oof=chosen.oof, fitter=fitter, chosen=chosen)
        codes = test.codes[:20]
        steps[name] = [np.diff(answers(made, codes, place), axis=1) for place in (0, 1)]
    rising, falling = steps["held"]
    assert rising.min() >= 0.0
    assert rising.max() > 0.0
    assert falling.max() <= 0.0
    assert steps["free"][0].min() < 0.0, "noise alone should make a free model fall somewhere"
    assert steps["free"][1].max() > 0.0


def test_features_are_found_by_their_columns(make_material: MakeMaterial) -> None:
    material = bound(make_material(families=("boosting",)), z=-1)
    recipe = Recipe(**FAMILIES["boosting"].recipe({}))
    names = material.workspace().crossfit((0, 1), recipe).served.feature_names
    directions = directions_of(material.question, "boosting", names)
    assert dict(zip(names, directions, strict=True)) == {"x": 0, "z": -1, "city": 0}
    told = booster_params("binary", 2, {}, seed=0, threads=1, monotone=directions)
    assert told["monotone_constraints"] == "(0,-1,0)"
    for free in ((), (0, 0, 0)):
        said = booster_params("binary", 2, {}, seed=0, threads=1, monotone=free)
        assert "monotone_constraints" not in said, "models of before keep their parameters"


def test_a_family_that_cannot_hold_it_says_so(make_material: MakeMaterial) -> None:
    material = bound(make_material(), x=1)
    outcome = evaluate(material.workspace(), Config(1, "linear", {"c": 1.0}))
    assert outcome.fate is Fate.FAILED
    assert outcome.error == (
        "DataError: monotone columns (x) need a family that holds them, linear does not; "
        "train again"
    )
    assert evaluate(material.workspace(), Config(0, "dummy", {})).fate is Fate.SCORED


def test_families_that_say_they_hold_it_do() -> None:
    """One test for every family that says so, with columns that pull the other way."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 3)).astype(np.float32)
    y = np.sin(3 * x[:, 0]) - x[:, 1] + 0.5 * rng.normal(size=800)
    rows = np.repeat(x[:30], STEPS, axis=0)
    rows[:, 0] = np.tile(np.linspace(-4, 4, STEPS, dtype=np.float32), 30)
    holders = [name for name in OURS if FAMILIES[name].monotone]
    assert set(holders) == set(MONOTONE)
    for name in holders:
        for params in FAMILIES[name].defaults("regression"):
            params = dict(params) | {"target": "none", "rounds": 60}
            fit = Fit(x, y, "regression", 0, params, 0, 1, monotone=(1, 0, 0))
            scores = FAMILIES[name].fit(fit).predict(rows).reshape(30, STEPS)
            assert np.diff(scores, axis=1).min() >= 0.0


def project(task: str = "binary", **more: Any) -> Project:
    columns = more.pop("columns", {"age": {"monotone": "increasing"}})
    body = {
        "problem": {"task": task, "target": "y"},
        "data": {"sources": [{"path": "a.csv"}], "columns": columns},
        **more,
    }
    return Project.from_dict(body).at(Path())


def test_families_that_cannot_are_left_out_by_default() -> None:
    assert project().train.families == ("boosting",)
    assert project(columns={}).train.families == ("linear", "boosting", "network")


@pytest.mark.parametrize(
    ("task", "more", "law"),
    [
        ("multiclass", {}, "must be absent: the answers of multiclass do not go up or down"),
        (
            "binary",
            {"columns": {"age": {"monotone": "increasing", "kind": "category"}}},
            "must be of a number or integer, and the column's kind is category",
        ),
        (
            "binary",
            {"columns": {"age": {"monotone": "increasing", "role": "ignored"}}},
            "must be of a feature",
        ),
        ("regression", {"columns": {"y": {"monotone": "increasing"}}}, "must be of a feature"),
        (
            "binary",
            {"train": {"families": ["boosting", "network"]}},
            r"train.families.1: must be a family that holds monotone columns \(dummy, boosting\): "
            "the weights of network may have any sign; remove it",
        ),
        (
            "binary",
            {"train": {"construct_columns": "auto"}},
            r"train.construct_columns: must be off where columns are monotone \(age\)",
        ),
    ],
)
def test_laws(task: str, more: dict[str, Any], law: str) -> None:
    with pytest.raises(ValidationError, match=law):
        project(task, **more)


def test_a_table_without_such_a_number_is_refused() -> None:
    target = Column("y", Kind.CATEGORY, Role.TARGET, domain=("a", "b"))
    for column, what in (
        (Column("age", Kind.CATEGORY, domain=("old", "young")), "is category"),
        (Column("height", Kind.NUMBER), "is no feature of the snapshot"),
    ):
        with pytest.raises(DataError) as caught:
            make_question(project(), Schema((column, target)), ordered=False)
        assert str(caught.value) == (
            f"data.columns.age.monotone: must be of a number or integer, and the column {what}; "
            "remove it, or declare the column's kind and prepare again"
        )
    whole = Schema((Column("age", Kind.INTEGER), target))
    assert make_question(project(), whole, ordered=False).monotone == (("age", 1),)
