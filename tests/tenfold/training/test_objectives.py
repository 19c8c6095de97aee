"""Quantiles and counts: what is fitted, judged, converted and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from sklearn.metrics import d2_pinball_score, mean_pinball_loss, mean_poisson_deviance

from tenfold.errors import DataError
from tenfold.evaluation import Judged, evaluate_gates, measure, measure_all
from tenfold.models import FAMILIES, Fit, load_model
from tenfold.models.engine import choose_engine
from tenfold.monitor import LossRule
from tenfold.project import Project
from tenfold.project.gates import Gate
from tenfold.project.measures import Objective, Task
from tenfold.project.work import ALL_OBJECTIVES
from tenfold.project.work import FAMILIES as OURS
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.training.answer import Answer
from tenfold.training.evaluate import Config, Fate, evaluate
from tenfold.training.finish import finish
from tenfold.training.portfolio import portfolio
from tenfold.training.question import Question
from tenfold.training.rows import truth_of
from tenfold.training.search import Limits, Material, search_inline
from tests.tenfold.training.conftest import MakeCase

N_ROWS = 3_000


def rows_of(objective: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers whose spread grows with the first column, or counts whose mean does."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(N_ROWS, 3)).astype(np.float32)
    if objective == "count":
        return x, rng.poisson(np.exp(0.7 * x[:, 0] + 0.3)).astype(np.float64)
    return x, x[:, 1] + np.exp(0.5 * x[:, 0]) * rng.normal(size=N_ROWS)


def fit_of(objective: Any, **more: Any) -> Fit:
    x, y = rows_of(objective)
    params = dict(FAMILIES["boosting"].defaults("regression")[0]) | {"rounds": 60, "max_depth": 4}
    given = {"params": params, "objective": objective, **more}
    return Fit(
        matrix=x[:2_000],
        target=y[:2_000],
        task="regression",
        n_classes=0,
        seed=1,
        threads=1,
        **given,
    )


def test_the_measures_are_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    truth, answers = rng.poisson(2.0, 400).astype(float), rng.gamma(2.0, size=400)
    weights = rng.random(400)
    for level in (0.1, 0.5, 0.9):
        judged = Judged(
            Task.REGRESSION, truth, answers[:, None], objective=Objective.QUANTILE, quantile=level
        )
        expected = mean_pinball_loss(truth, answers, sample_weight=weights, alpha=level)
        assert measure("pinball", judged, weights=weights) == pytest.approx(expected)
        assert set(measure_all(judged)) == {"pinball", "coverage_error"}
        covered = float(np.mean(truth <= answers))
        assert measure("coverage_error", judged) == pytest.approx(abs(covered - level))
    counted = Judged(Task.REGRESSION, truth, answers[:, None], objective=Objective.COUNT)
    deviance = mean_poisson_deviance(truth, answers, sample_weight=weights)
    assert measure("poisson_deviance", counted, weights=weights) == pytest.approx(deviance)
    assert set(measure_all(counted)) == {"rmse", "mae", "r2", "poisson_deviance"}
    mean = Judged(Task.REGRESSION, truth, answers[:, None])
    assert set(measure_all(mean)) == {"rmse", "mae", "r2"}


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["none", "log1p"])
def test_a_quantile_covers_its_share_of_new_rows(level: float, kind: str) -> None:
    fit = fit_of("quantile", quantile=level)
    x, y = rows_of("quantile")
    low = min(0.0, float(y.min()))
    fit = replace(fit, target=fit.target - low, params=dict(fit.params) | {"target": kind})
    answers = FAMILIES["boosting"].fit(fit).predict(x[2_000:])[:, 0]
    assert np.mean(y[2_000:] - low <= answers) == pytest.approx(level, abs=0.08)
    assert d2_pinball_score(y[2_000:] - low, answers, alpha=level) > 0.1


def test_a_count_is_fitted_better_by_its_own_likelihood() -> None:
    x, y = rows_of("count")
    made = {
        name: FAMILIES["boosting"]
        .fit(replace(fit_of("count"), objective=name))
        .predict(x[2_000:])[:, 0]
        for name in ("count", "mean")
    }
    assert made["count"].min() > 0.0, "the mean of a count is above 0, whatever the row"
    judged = {
        name: Judged(Task.REGRESSION, y[2_000:], p[:, None], objective=Objective.COUNT)
        for name, p in made.items()
    }
    deviance = {name: measure("poisson_deviance", one) for name, one in judged.items()}
    assert deviance["count"] < deviance["mean"]


@pytest.mark.parametrize(("objective", "level"), [("quantile", 0.9), ("count", 0.5)])
def test_the_graph_and_the_files_answer_as_the_booster(objective: str, level: float) -> None:
    """The link is stated, not guessed: an exponential for a count, none for a quantile."""
    x, _y = rows_of(objective)
    model = FAMILIES["boosting"].fit(fit_of(objective, quantile=level))
    assert choose_engine(model, x).name == "onnx"
    again = load_model("boosting", model.files())
    assert np.array_equal(again.predict(x), model.predict(x))
    assert again.to_onnx() == model.to_onnx()
    assert (b'"objective"' in model.files()["arch.json"]) is True
    mean = FAMILIES["boosting"].fit(fit_of("mean"))
    assert b'"objective"' not in mean.files()["arch.json"], "files of means keep their bytes"


@pytest.mark.parametrize("level", [0.25, 0.9])
def test_the_baseline_of_a_quantile_is_the_quantile(level: float) -> None:
    fit = fit_of("quantile", quantile=level, weights=np.r_[np.ones(1_000), np.full(1_000, 3.0)])
    answer = FAMILIES["dummy"].fit(fit).predict(fit.matrix[:1])[0, 0]
    assert fit.weights is not None
    below = fit.weights[fit.target <= answer + 1e-6].sum() / fit.weights.sum()
    assert below == pytest.approx(level, abs=0.01)


def asked(material: Material, objective: Objective, metric: str, level: float) -> Material:
    question = replace(material.question, objective=objective, metric=metric, quantile=level)
    return replace(material, question=question)


@pytest.mark.parametrize(
    ("objective", "metric", "gate"),
    [
        (Objective.QUANTILE, "pinball", "pinball <= 1.2"),
        (Objective.COUNT, "poisson_deviance", "poisson_deviance <= 2.5"),
    ],
)
def test_a_search_a_model_and_its_gate(
    make_case: MakeCase, objective: Objective, metric: str, gate: str
) -> None:
    material, test = make_case(Task.REGRESSION, n_rows=900, families=("boosting",))
    material = asked(material, objective, metric, 0.8)
    found = search_inline(material, Limits(trials=2, seconds=None))
    assert found.best.config.family == "boosting"
    scores = {tried.config.family: tried.outcome.score for tried in found.tried}
    assert scores["boosting"] < scores["dummy"]
    best = found.best
    answer = Answer.single("boosting", best.config.params, rounds=best.outcome.rounds)
    made = finish(material, test, answer, oof=found.oof)
    assert made.engine.name == "onnx"
    assert made.metrics[metric].value < made.baseline[metric]
    values = {name: estimate.value for name, estimate in made.metrics.items()}
    (result,) = evaluate_gates([Gate.parse(gate)], values)
    assert result.holds, values


def test_a_family_that_fits_the_mean_alone_says_so(make_case: MakeCase) -> None:
    material, _test = make_case(Task.REGRESSION, n_rows=300)
    material = asked(material, Objective.COUNT, "poisson_deviance", 0.5)
    outcome = evaluate(material.workspace(), Config(1, "linear", {"alpha": 1.0}))
    assert outcome.fate is Fate.FAILED
    assert outcome.error == (
        "DataError: a count needs a family that fits it, linear does not; train again"
    )
    assert {name for name in OURS if "count" in FAMILIES[name].objectives} == set(ALL_OBJECTIVES)


def test_a_logarithm_is_not_tried_twice(make_case: MakeCase) -> None:
    question = make_case(Task.REGRESSION, n_rows=60, families=("boosting",))[0].question
    counted = replace(question, objective=Objective.COUNT)
    kinds = {entry.params.get("target") for entry in portfolio(counted)}
    assert "log1p" not in kinds
    assert "log1p" in {entry.params.get("target") for entry in portfolio(question)}


def test_a_count_below_zero_is_refused() -> None:
    schema = Schema((Column("x", Kind.NUMBER), Column("y", Kind.NUMBER, Role.TARGET)))
    table = pa.table({"x": [1.0, 2.0], "y": [3.0, -1.5]})
    question = Question(
        Task.REGRESSION, (), "poisson_deviance", False, 3, 0, ("boosting",),
        objective=Objective.COUNT,
    )  # fmt: skip
    with pytest.raises(DataError) as caught:
        truth_of(question, schema, table)
    assert str(caught.value) == (
        "a count must be 0 or more, column 'y' has -1.5; declare its minimum, or ask for the mean"
    )


def test_harm_to_a_quantile_is_weighed_by_its_side() -> None:
    rule = LossRule.fit("regression", [0.0] * 4, [1.0, -1.0, 1.0, -1.0], quantile=0.9)
    above, below = rule.losses([0.0, 0.0], [1.0, -1.0])
    assert above == pytest.approx(9 * below)
    assert LossRule.from_dict(rule.to_dict()) == rule
    mean = LossRule.fit("regression", [0.0, 0.0], [1.0, -2.0])
    assert mean.to_dict() == {"kind": "absolute", "scale": 6.0}
    assert LossRule.from_dict(mean.to_dict()) == mean


def project(objective: str = "quantile", task: str = "regression", **more: Any) -> Project:
    problem = {"task": task, "target": "y", "objective": objective, **more.pop("problem", {})}
    body = {"problem": problem, "data": {"sources": [{"path": "a.csv"}], **more.pop("data", {})}}
    return Project.from_dict({**body, **more}).at(Path())


def test_defaults_follow_the_objective() -> None:
    made = project(problem={"quantile": 0.9})
    assert (made.problem.metric, made.train.families) == ("pinball", ("boosting",))
    made = project("count")
    assert (made.problem.metric, made.train.families) == ("poisson_deviance", ("boosting",))
    assert project("mean").problem.metric == "rmse"
    assert project("mean").train.families == ("linear", "boosting", "network")


@pytest.mark.parametrize(
    ("made", "law"),
    [
        ({}, "problem.quantile: must be there when, and only when, the objective is quantile"),
        (
            {"objective": "count", "problem": {"quantile": 0.5}},
            "problem.quantile: must be there when, and only when, the objective is quantile; re",
        ),
        ({"problem": {"quantile": 1.0}}, "less than 1"),
        (
            {"objective": "count", "task": "binary"},
            "must be absent: it has a meaning for regression only, and the task is binary",
        ),
        (
            {"problem": {"quantile": 0.9, "metric": "rmse"}},
            "must be a metric that fits the quantile of a regression: pinball; write 'pinball'",
        ),
        (
            {"objective": "mean", "problem": {"gates": ["pinball <= 3"]}},
            "must use a metric that fits regression: rmse, mae, r2, latency_p50_ms",
        ),
        (
            {"objective": "count", "train": {"families": ["linear"]}},
            r"must be a family that fits a count \(dummy, boosting\): linear fits the mean alone",
        ),
        (
            {"problem": {"quantile": 0.9}, "data": {"columns": {"x": {"monotone": "increasing"}}}},
            "must be absent for a quantile: its leaves are set anew after the splits",
        ),
    ],
)
def test_laws(made: dict[str, Any], law: str) -> None:
    with pytest.raises(ValidationError, match=law):
        project(**made)
