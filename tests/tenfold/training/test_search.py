"""A search finds the signal, judges honestly, and gives the same result on Ray as alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tenfold.errors import OurError
from tenfold.evaluation import measure
from tenfold.features import Recipe
from tenfold.models import FAMILIES, Fit, FitStopped, Model
from tenfold.project.measures import Task
from tenfold.training.answer import grown
from tenfold.training.evaluate import Config, Fate, Workspace, evaluate
from tenfold.training.search import Limits, Material, SearchResult, search, search_inline
from tests.tenfold.training.faulty import registered

MakeMaterial = Callable[..., Material]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_every_task_beats_its_baseline(
    make_material: MakeMaterial, task: Task, ordered: bool
) -> None:
    material = make_material(task, ordered=ordered)
    result = search_inline(material, Limits(trials=2, seconds=None))
    baseline = result.tried[0]
    assert baseline.config.family == "dummy"
    assert material.question.better(result.best.outcome.score, baseline.outcome.score)
    judged = ~np.isnan(result.oof[:, 0])
    expected = material.rows.fold > 0 if ordered else np.ones(material.rows.n_rows, dtype=bool)
    assert np.array_equal(judged, expected)


def test_clusters_are_searched_by_silhouette(make_material: MakeMaterial) -> None:
    result = search_inline(make_material(Task.CLUSTERING), Limits(trials=3, seconds=None))
    assert result.best.config.family == "kmeans"
    assert 0.0 < result.best.outcome.score <= 1.0


def test_fold_scores_are_those_of_the_out_of_fold_rows(make_material: MakeMaterial) -> None:
    material = make_material()
    outcome = evaluate(material.workspace(), Config(1, "linear", {"c": 1.0}))
    assert outcome.oof is not None
    rows = material.rows
    for use, score in zip(material.question.folds, outcome.fold_scores, strict=True):
        here = rows.fold == use.valid
        judged = material.question.judge(rows.truth[here], outcome.oof[here].astype(float), 0.5)
        assert measure("roc_auc", judged) == pytest.approx(score)


def test_judged_rows_cannot_change_their_own_scores(make_material: MakeMaterial) -> None:
    """The law of the design: spoil the truth of one fold, its own scores stay the same."""
    material = make_material()
    config = Config(1, "boosting", {"eta": 0.3, "max_depth": 3})
    honest = evaluate(material.workspace(), config)
    rows = material.rows
    here = rows.fold == 1
    spoiled = rows.take(np.arange(rows.n_rows))
    spoiled.truth[here] = 1 - spoiled.truth[here]
    other = Workspace(
        spoiled,
        profiles=material.profiles,
        schema=material.schema,
        question=material.question,
        threads=1,
    )
    changed = evaluate(other, config)
    assert honest.oof is not None
    assert changed.oof is not None
    assert np.array_equal(honest.oof[here], changed.oof[here])
    assert not np.array_equal(honest.oof[~here], changed.oof[~here])


def test_the_preprocessor_of_a_fold_sees_its_training_folds_only(
    make_material: MakeMaterial,
) -> None:
    material = make_material()
    recipe = Recipe(**FAMILIES["linear"].recipe({"c": 1.0}))
    work = material.workspace()
    before = work.crossfit((0, 2), recipe).served.digest()
    del work.profiles[1]  # type: ignore[attr-defined]
    assert work.crossfit((0, 2), recipe).served.digest() == before


def test_a_configuration_that_cannot_be_fitted_is_an_outcome(make_material: MakeMaterial) -> None:
    bad = Config(3, "linear", {"alpha": 1.0, "target": "sqrt"})
    outcome = evaluate(make_material(Task.REGRESSION).workspace(), bad)
    assert np.isnan(outcome.score)
    assert outcome.error is not None
    assert "sqrt" in outcome.error


def test_a_last_fit_takes_its_share_and_more_rounds(make_material: MakeMaterial) -> None:
    material = make_material(Task.BINARY)
    plain = material.last_fit_share()
    assert plain == pytest.approx(1 / (material.question.n_folds - 1), rel=0.05)
    assert material.last_fit_share("linear") == plain
    grows = material.last_fit_share("linear", "boosting") / plain
    assert grows == pytest.approx(grown("boosting", material.more_rows))
    assert grows > 1.2


def test_a_sample_that_was_searched_has_fewer_rows_than_the_profiles_know(
    make_material: MakeMaterial,
) -> None:
    material = make_material(Task.BINARY)
    half = material.rows.take(np.arange(material.rows.n_rows // 2))
    assert replace(material, rows=half).more_rows == pytest.approx(2 * material.more_rows, rel=0.01)


def test_time_up_ends_with_the_first_model(make_material: MakeMaterial) -> None:
    result = search_inline(make_material(), Limits(trials=None, seconds=0.0))
    assert [tried.config.family for tried in result.tried] == ["dummy", "linear"]


def test_a_budget_too_small_for_one_model_gives_the_baseline(
    make_material: MakeMaterial, tmp_path: Path
) -> None:
    """A search this short runs in this process; the first model gets some seconds more."""

    def fit(fit: Fit) -> Model:
        assert fit.stop is not None
        while not fit.stop():
            threading.Event().wait(0.05)
        raise FitStopped

    material = make_material(families=("endless",))
    with registered(replace(FAMILIES["linear"], name="endless", fit=fit)):
        began = time.monotonic()
        found = search(material, Limits(trials=None, seconds=0.5), storage=tmp_path)
    assert time.monotonic() - began < 30.0
    assert [(t.config.family, t.outcome.fate) for t in found.tried] == [
        ("dummy", Fate.SCORED),
        ("endless", Fate.STOPPED),
    ]
    assert found.best.config.family == "dummy"
    assert found.oof_of(0) is not None
    assert found.oof_of(1) is None


def test_a_short_search_ends_in_time(make_material: MakeMaterial, tmp_path: Path) -> None:
    began = time.monotonic()
    found = search(make_material(), Limits(trials=None, seconds=3.0), storage=tmp_path)
    assert time.monotonic() - began < 10.0
    assert len(found.tried) > 2
    assert found.best.config.family != "dummy"
    for tried in found.tried:
        kept = found.oof_of(tried.config.number)
        assert (kept is not None) == (tried.outcome.fate is Fate.SCORED)


def test_a_search_without_any_model_says_why(make_material: MakeMaterial) -> None:
    material = make_material(Task.REGRESSION)
    material.rows.truth[:] = np.nan
    with pytest.raises(OurError, match="a search must end with one model"):
        search_inline(material, Limits(trials=1, seconds=None))


def same(one: SearchResult, other: SearchResult) -> None:
    assert [t.config for t in one.tried] == [t.config for t in other.tried]
    assert [t.outcome.score for t in one.tried] == [t.outcome.score for t in other.tried]
    assert np.array_equal(one.oof, other.oof, equal_nan=True)


@pytest.mark.usefixtures("ray_session")
@pytest.mark.timeout(120)
def test_on_ray_with_two_sessions_as_alone(make_material: MakeMaterial, tmp_path: Path) -> None:
    material = make_material(Task.REGRESSION, families=("linear", "boosting"))
    heard: list[int] = []
    limits = Limits(trials=5, seconds=None, sessions=2, cpus=1.0)
    found = search(
        material, limits, storage=tmp_path, on_tried=lambda t: heard.append(t.config.number)
    )
    same(found, search_inline(material, limits))
    assert sorted(heard) == [0, 1, 2, 3, 4, 5]
