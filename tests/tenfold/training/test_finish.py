"""The last fit sees training rows only; the sealed rows say how good it is and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tenfold.evaluation import Judged, measure, measure_all
from tenfold.models import Model
from tenfold.monitor import Reference
from tenfold.profile import merge_profiles
from tenfold.project.measures import Task, measures_for
from tenfold.training.answer import Answer
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.finish import Finished, class_names, finish, judge_rows
from tenfold.training.fitter import Fitter, Plan, fit_in_process
from tenfold.training.rows import TrainingRows
from tenfold.training.search import Material

MakeCase = Callable[..., tuple[Material, TrainingRows]]
PARAMS = {
    "linear": {"c": 1.0},
    "ridge": {"alpha": 1.0, "target": "none"},
    "boosting": {"eta": 0.3, "max_depth": 3},
    "kmeans": {"k": 3},
}


def finished(material: Material, test: TrainingRows, family: str = "linear") -> Finished:
    supervised = material.question.task is not Task.CLUSTERING
    regression = material.question.task is Task.REGRESSION
    params = PARAMS["ridge" if regression and family == "linear" else family]
    outcome = evaluate(material.workspace(), Config(1, family, params))
    return finish(
        material,
        test,
        Answer.single(family, params, rounds=outcome.rounds),
        oof=outcome.oof if supervised else None,
        block_rows=20,
    )


@pytest.mark.parametrize("family", ["linear", "boosting"])
def test_sealed_rows_change_no_bit_of_the_model(make_case: MakeCase, family: str) -> None:
    material, test = make_case()
    honest = finished(material, test, family)
    other = test.take(np.arange(test.n_rows))
    other.truth[:] = 1 - other.truth
    other.codes[:, 0] = 1e9
    profiles = {fold: p for fold, p in material.profiles.items() if fold != -1}
    changed = finished(replace(material, profiles=profiles), other, family)
    assert changed.engine.files == honest.engine.files
    assert changed.preprocessor.digest() == honest.preprocessor.digest()
    assert changed.profile.to_bytes() == honest.profile.to_bytes()
    for name in ("params", "threshold", "cross_validation", "n_training", "classes"):
        assert getattr(changed, name) == getattr(honest, name), name
    assert changed.metrics != honest.metrics


def test_training_rows_do_change_the_model(make_case: MakeCase) -> None:
    """The counterpart: the test above could not pass by looking at nothing."""
    material, test = make_case()
    honest = finished(material, test)
    rows = material.rows.take(np.arange(material.rows.n_rows))
    rows.truth[rows.fold == 0] = 1 - rows.truth[rows.fold == 0]
    changed = finished(replace(material, rows=rows), test)
    assert changed.engine.files != honest.engine.files


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.REGRESSION])
def test_the_engine_that_will_answer_is_judged_on_the_sealed_rows(
    make_case: MakeCase, task: Task
) -> None:
    material, test = make_case(task)
    made = finished(material, test)
    scores = made.engine.score(made.preprocessor.transform_codes(test.codes))
    judged = material.question.judge(test.truth, scores, made.threshold)
    names = [name for name in measures_for(task) if not name.startswith("latency")]
    assert list(made.metrics) == names
    for name, estimate in made.metrics.items():
        assert estimate.value == measure(name, judged)
        assert estimate.lower <= estimate.value <= estimate.upper
    assert made.n_test == test.n_rows
    assert made.n_training == material.rows.n_rows
    assert made.classes == material.question.classes
    metric = material.question.metric
    assert material.question.better(made.metrics[metric].value, made.baseline[metric])


def test_the_baseline_knows_the_shares_and_no_feature(make_case: MakeCase) -> None:
    material, test = make_case()
    made = finished(material, test)
    share = material.rows.truth.mean()
    p = np.full(test.n_rows, share)
    rows = Judged(Task.BINARY, test.truth, np.c_[1 - p, p], np.full(test.n_rows, int(share >= 0.5)))
    assert made.baseline == pytest.approx(measure_all(rows), abs=1e-6)
    assert made.baseline["roc_auc"] == 0.5


def test_the_threshold_and_the_pooled_measures_are_those_of_out_of_fold_rows(
    make_case: MakeCase,
) -> None:
    material, test = make_case(ordered=True)
    oof = evaluate(material.workspace(), Config(1, "linear", PARAMS["linear"])).oof
    assert oof is not None
    made = finished(material, test)
    known = material.rows.fold > 0
    scores, truth = oof[known].astype(np.float64), material.rows.truth[known]
    assert made.threshold == material.question.threshold(scores, truth)
    judged = material.question.judge(truth, scores, made.threshold)
    assert made.cross_validation == measure_all(judged)


@pytest.mark.parametrize(
    ("task", "threshold"), [(Task.BINARY, 0.5), (Task.MULTICLASS, None), (Task.REGRESSION, None)]
)
def test_without_out_of_fold_rows_a_half_is_the_threshold(
    make_case: MakeCase, task: Task, threshold: float | None
) -> None:
    material, test = make_case(task, n_rows=200)
    params = PARAMS["ridge" if task is Task.REGRESSION else "linear"]
    made = finish(material, test, Answer.single("linear", params), oof=None)
    assert made.threshold == threshold
    assert made.cross_validation == {}


@pytest.mark.parametrize(
    ("family", "rounds", "kept"), [("boosting", 10, 18), ("boosting", 0, 4), ("linear", 10, None)]
)
def test_the_last_fit_keeps_more_rounds_than_the_folds_as_it_has_more_rows(
    make_case: MakeCase, family: str, rounds: int, kept: int | None
) -> None:
    material, test = make_case(n_rows=200)
    params = PARAMS[family] | ({"rounds": 4} if kept == 4 else {})
    answer = Answer.single(family, params, rounds=rounds, more_rows=material.question.more_rows)
    made = finish(material, test, answer, oof=None)
    assert made.params == params | ({} if kept is None else {"rounds": kept})


def test_another_last_fit_gets_the_plan_and_no_sealed_row(make_case: MakeCase) -> None:
    material, test = make_case(n_rows=200)
    seen: list[tuple[Plan, TrainingRows]] = []

    def elsewhere(plan: Plan, rows: TrainingRows) -> Model:
        seen.append((plan, rows))
        return fit_in_process(plan, rows)

    made = finish(
        material,
        test,
        Answer.single("linear", {"c": 0.5}),
        oof=None,
        fitter=Fitter(material, last_fit=elsewhere),
    )
    ((plan, rows),) = seen
    assert (plan.family, plan.params, plan.threads) == ("linear", {"c": 0.5}, 1)
    assert plan.prepared.served is made.preprocessor
    assert -1 not in rows.fold
    assert rows.n_rows == material.rows.n_rows


def test_weights_move_the_last_fit(make_case: MakeCase) -> None:
    material, test = make_case(n_rows=300)
    light = finish(material, test, Answer.single("linear", {"c": 1.0}), oof=None)
    rows = replace(material.rows, weights=np.where(material.rows.truth == 1, 20.0, 1.0))
    heavy = finish(
        replace(material, rows=rows), test, Answer.single("linear", {"c": 1.0}), oof=None
    )
    assert heavy.metrics["recall"].value > light.metrics["recall"].value


def test_segments_have_names_by_size_and_no_labels(make_case: MakeCase) -> None:
    material, test = make_case(Task.CLUSTERING)
    made = finished(material, test, "kmeans")
    assert made.classes == ("segment-1", "segment-2", "segment-3")
    matrix = made.preprocessor.transform_codes(material.rows.codes)
    sizes = np.bincount(made.engine.score(matrix).argmax(axis=1), minlength=3)
    assert sizes.tolist() == sorted(sizes, reverse=True)
    assert list(made.metrics) == ["silhouette", "davies_bouldin", "stability"]
    assert -1 <= made.metrics["silhouette"].value <= 1
    assert math.isnan(made.metrics["silhouette"].lower)
    assert (made.threshold, made.baseline, made.calibration) == (None, {}, ())
    assert Reference.from_bytes(made.reference).loss is None


def test_names_of_score_columns(make_case: MakeCase) -> None:
    binary, _ = make_case()
    assert class_names(binary.question, Answer.single("linear", {"k": 7})) == ("no", "yes")
    regression, _ = make_case(Task.REGRESSION, n_rows=100)
    assert class_names(regression.question, Answer.single("linear", {})) == ()


def test_judging_segments_needs_the_matrix_and_judging_classes_does_not() -> None:
    points = np.array([[0.0], [0.1], [5.0], [5.1]], dtype=np.float32)
    own = np.eye(2)[[0, 0, 1, 1]]
    found = judge_rows(Judged(Task.CLUSTERING, np.zeros(4), own, np.zeros(4, dtype=int)), points)
    assert found["silhouette"].value == pytest.approx(0.98, abs=0.005)
    assert found["davies_bouldin"].value == pytest.approx(0.02)
    p = np.array([0.1, 0.2, 0.8, 0.9])
    rows = Judged(Task.BINARY, np.array([0, 0, 1, 1]), np.c_[1 - p, p], np.array([0, 0, 1, 1]))
    assert judge_rows(rows, np.zeros((0, 0), dtype=np.float32))["roc_auc"].value == 1.0


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_calibration_is_of_every_sealed_row(make_case: MakeCase, task: Task) -> None:
    material, test = make_case(task)
    made = finished(material, test)
    assert sum(row.n_rows for row in made.calibration) == test.n_rows
    observed = sum(row.observed * row.n_rows for row in made.calibration)
    if task is Task.BINARY:
        assert observed == pytest.approx(test.truth.sum())
    else:
        scores = made.engine.score(made.preprocessor.transform_codes(test.codes))
        assert observed == pytest.approx((scores.argmax(axis=1) == test.truth).sum())


def test_the_reference_is_in_the_order_of_the_source(make_case: MakeCase) -> None:
    material, test = make_case()
    made = finished(material, test)
    reference = Reference.from_bytes(made.reference)
    assert (reference.block_rows, reference.n_rows) == (20, material.rows.n_rows)
    assert reference.loss is not None
    assert reference.loss.n == test.n_rows
    assert reference.loss.mean == pytest.approx(1 - made.metrics["accuracy"].value)
    shuffle = np.random.default_rng(0).permutation
    rows = material.rows.take(shuffle(material.rows.n_rows))
    again = finished(replace(material, rows=rows), test.take(shuffle(test.n_rows)))
    assert Reference.from_bytes(again.reference).bag.tolist() == reference.bag.tolist()
    folds = sorted(set(material.profiles) - {-1})
    whole = merge_profiles([material.profiles[fold] for fold in folds])
    assert made.profile.to_bytes() == whole.to_bytes()
