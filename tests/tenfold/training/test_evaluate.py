"""Nothing fitted has seen a row it is judged on; what went wrong is an outcome."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.evaluation import best_threshold, measure
from tenfold.features import Recipe
from tenfold.models import FAMILIES, Fit, Model
from tenfold.profile import Profile
from tenfold.project.measures import Task
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.training.evaluate import (
    Bar,
    Config,
    Fate,
    Workspace,
    evaluate,
    n_classes_of,
    stopping_rows,
)
from tenfold.training.folds import FoldUse
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows, encode_rows
from tenfold.training.search import Material
from tests.tenfold.training.faulty import registered

MakeMaterial = Callable[..., Material]

RAW = Recipe()
SCALED = Recipe(numbers="standard", categories="onehot", missing_indicator=True)
COUNTED = Recipe(numbers="quantile", categories="frequency")
TARGETED = Recipe(categories="target")


def fold_places(rows: TrainingRows, use: FoldUse) -> tuple[set[float], set[float]]:
    """The column z, different in every row, of the rows to fit on and to be judged."""
    inside = np.isin(rows.fold, use.train)
    return set(rows.codes[inside, 1]), set(rows.codes[rows.fold == use.valid, 1])


def test_where_no_row_stops_a_fit_there_are_no_rounds_to_keep(make_material: MakeMaterial) -> None:
    config = Config(1, "boosting", {"rounds": 5})
    few, many = (make_material(Task.BINARY, n_rows=n) for n in (60, 300))
    assert evaluate(few.workspace(), config).rounds == 0
    assert evaluate(many.workspace(), config).rounds > 0


@pytest.mark.parametrize("stops_early", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_fitting_and_stopping_rows_are_training_rows(
    make_material: MakeMaterial, ordered: bool, stops_early: bool
) -> None:
    material = make_material(ordered=ordered)
    work = material.workspace()
    for use in material.question.folds:
        data = work.fold(use, RAW, stops_early=stops_early)
        training, judged = fold_places(material.rows, use)
        fit = data.fit[:, 1].tolist()
        stop = [] if data.stop is None else data.stop[0][:, 1].tolist()
        assert sorted(fit + stop) == pytest.approx(sorted(training))
        assert sorted(data.judged[:, 1].tolist()) == pytest.approx(sorted(judged))
        tenth = len(training) // 10 if ordered else math.ceil(len(training) / 10)
        assert len(stop) == (tenth if stops_early else 0)
        assert len(data.fit_truth) == len(fit)
        assert material.rows.fold[data.judged_rows].tolist() == [use.valid] * len(judged)


def garbled(material: Material, here: np.ndarray, folds: set[int]) -> Workspace:
    """The same rows, but everything about some of them is another: features, truth, profile."""
    rows = material.rows.take(np.arange(material.rows.n_rows))
    rows.codes[here] = np.column_stack(
        [1e6 * np.arange(here.sum()), np.full(here.sum(), np.nan), np.zeros(here.sum())]
    )
    rows.truth[here] = 1 - rows.truth[here]
    void = pa.array([None], pa.float64())
    strange = pa.table({"x": [9e9], "z": void, "city": ["rome"], "y": ["yes"]})
    profile = Profile.from_table(strange, material.schema)
    profiles = {fold: profile if fold in folds else p for fold, p in material.profiles.items()}
    return Workspace(
        rows,
        profiles=profiles,
        schema=material.schema,
        question=material.question,
        threads=1,
    )


@pytest.mark.parametrize(
    "recipe", [RAW, SCALED, COUNTED, TARGETED], ids=["raw", "scaled", "counted", "targeted"]
)
@pytest.mark.parametrize("ordered", [False, True])
def test_no_judged_or_later_row_changes_a_bit_of_what_is_fitted(
    make_material: MakeMaterial, ordered: bool, recipe: Recipe
) -> None:
    """Garble the judged fold, the sealed rows and, where rows have an order, all later slices."""
    material = make_material(ordered=ordered)
    for use in material.question.folds:
        folds = {use.valid, -1} | {f for f in material.profiles if ordered and f > use.valid}
        honest = material.workspace().fold(use, recipe, stops_early=True)
        here = np.isin(material.rows.fold, sorted(folds))
        other = garbled(material, here, folds).fold(use, recipe, stops_early=True)
        assert honest.stop is not None
        assert other.stop is not None
        assert np.array_equal(honest.fit, other.fit, equal_nan=True)
        assert np.array_equal(honest.fit_truth, other.fit_truth)
        assert np.array_equal(honest.stop[0], other.stop[0], equal_nan=True)
        assert np.array_equal(honest.stop[1], other.stop[1])
        assert not np.array_equal(honest.judged, other.judged, equal_nan=True)


def test_garbled_training_rows_do_change_what_is_fitted(make_material: MakeMaterial) -> None:
    """The counterpart: the test above could not pass by looking at nothing."""
    material = make_material()
    use = material.question.folds[0]
    folds = {use.train[0]}
    other = garbled(material, np.isin(material.rows.fold, sorted(folds)), folds)
    honest = material.workspace().fold(use, SCALED, stops_early=False)
    assert not np.array_equal(honest.judged, other.fold(use, SCALED, stops_early=False).judged)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_training_row_is_not_encoded_by_its_own_folds_targets(
    make_material: MakeMaterial, ordered: bool
) -> None:
    """Another summary of one training fold, targets and all, leaves that fold's rows as they are
    (and where rows have an order, all earlier ones)."""
    material = make_material(ordered=ordered)
    use = material.question.folds[-1]
    void = pa.array([None] * 50, pa.float64())
    strange = pa.table({"x": void, "z": void, "city": ["oslo"] * 50, "y": ["no"] * 50})
    changed = material.profiles | {use.train[1]: Profile.from_table(strange, material.schema)}
    honest = material.workspace().fold(use, TARGETED, stops_early=False).fit
    other = replace(material, profiles=changed).workspace()
    same = (honest == other.fold(use, TARGETED, stops_early=False).fit)[:, 2]
    fold = material.rows.fold[np.isin(material.rows.fold, use.train)]
    kept = {use.train[1], use.train[0]} if ordered else {use.train[1]}
    assert {int(f) for f in np.unique(fold[same])} == kept
    assert same[np.isin(fold, sorted(kept))].all()


def noisy() -> Material:
    """A weak number, and a column of 700 categories that says nothing about the truth."""
    rng = np.random.default_rng(11)
    n_rows, n_folds = 2400, 4
    names = tuple(f"shop {k:03d}" for k in range(700))
    schema = Schema(
        (
            Column("x", Kind.NUMBER),
            Column("shop", Kind.CATEGORY, domain=names),
            Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")),
        )
    )
    truth = rng.integers(0, 2, n_rows)
    fold = rng.integers(0, n_folds, n_rows).astype(np.int8)
    table = pa.table(
        {
            "x": 0.7 * truth + rng.normal(size=n_rows),
            "shop": np.array(names)[rng.integers(0, len(names), n_rows)],
            "y": np.array(["no", "yes"])[truth],
            "__row": np.arange(n_rows),
            "__fold": fold,
            "__hash": pa.array([rng.bytes(16) for _ in range(n_rows)], pa.binary(16)),
        }
    )
    question = Question(Task.BINARY, ("no", "yes"), "roc_auc", False, n_folds, 0, ("linear",))
    profiles = {
        f: Profile.from_table(table.filter(pa.array(fold == f)), schema) for f in range(n_folds)
    }
    rows = encode_rows(question, schema, table).in_hash_order()
    return Material(rows, profiles, schema, question, 1)


def test_a_target_encoding_of_noise_costs_nothing_and_by_its_own_rows_it_does() -> None:
    material = noisy()
    work, rows, question = material.workspace(), material.rows, material.question
    scores = {name: np.zeros((rows.n_rows, 2)) for name in ("without", "honest", "naive")}
    recipe = Recipe(numbers="standard", categories="target")
    for use in question.folds:
        data = work.fold(use, recipe, stops_early=False)
        inside = np.isin(rows.fold, use.train)
        naive = work.crossfit(use.train, recipe).served.transform_codes(rows.codes[inside])
        for name, matrix, judged in (
            ("without", data.fit[:, :1], data.judged[:, :1]),
            ("honest", data.fit, data.judged),
            ("naive", naive, data.judged),
        ):
            fit = Fit(matrix, data.fit_truth, "binary", 2, {"c": 1.0}, seed=0, threads=1)
            scores[name][data.judged_rows] = FAMILIES["linear"].fit(fit).predict(judged)
    auc = {
        name: measure("roc_auc", question.judge(rows.truth, s, 0.5)) for name, s in scores.items()
    }
    assert auc["honest"] == pytest.approx(auc["without"], abs=0.01)
    assert auc["naive"] < auc["without"] - 0.03


@pytest.mark.parametrize(
    ("family", "params"),
    [("linear", {"c": 1.0}), ("boosting", {"eta": 0.3, "max_depth": 3, "rounds": 40})],
)
def test_words_that_tell_the_truth_are_learned(family: str, params: dict[str, float]) -> None:
    rng = np.random.default_rng(2)
    n_rows, n_folds = 900, 3
    truth, fold = rng.integers(0, 2, n_rows), rng.integers(0, n_folds, n_rows).astype(np.int8)
    filler = [f"word{k}" for k in range(300)]
    told = np.array([["awful", "poor", "late"], ["lovely", "fine", "kind"]])
    notes = [
        " ".join([*rng.choice(filler, 8), rng.choice(told[y])]) if rng.random() > 0.1 else None
        for y in truth
    ]
    answer = Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))
    schema = Schema((Column("note", Kind.TEXT), answer))
    table = pa.table(
        {
            "note": notes,
            "y": np.array(["no", "yes"])[truth],
            "__row": np.arange(n_rows),
            "__fold": fold,
            "__hash": pa.array([rng.bytes(16) for _ in range(n_rows)], pa.binary(16)),
        }
    )
    question = Question(Task.BINARY, ("no", "yes"), "roc_auc", False, n_folds, 0, (family,))
    profiles = {
        f: Profile.from_table(table.filter(pa.array(fold == f)), schema) for f in range(n_folds)
    }
    rows = encode_rows(question, schema, table).in_hash_order()
    material = Material(rows, profiles, schema, question, 1)
    outcome = evaluate(material.workspace(), Config(1, family, params))
    assert outcome.error is None
    assert outcome.score > 0.85


def leaking() -> Material:
    """A category that tells the truth, but in each fold by other names: whoever was fitted on a
    fold's own rows is perfect there, whoever was not cannot be better than chance."""
    rng = np.random.default_rng(3)
    n_rows, n_folds = 600, 3
    fold = rng.integers(0, n_folds, n_rows).astype(np.int8)
    truth = rng.integers(0, 2, n_rows)
    names = [f"fold {f} says {t}" for f, t in zip(fold, truth, strict=True)]
    domain = tuple(sorted(set(names)))
    schema = Schema(
        (
            Column("leak", Kind.CATEGORY, domain=domain),
            Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")),
        )
    )
    table = pa.table(
        {
            "leak": names,
            "y": np.array(["no", "yes"])[truth],
            "__row": np.arange(n_rows),
            "__fold": fold,
            "__hash": pa.array([rng.bytes(16) for _ in range(n_rows)], pa.binary(16)),
        }
    )
    question = Question(
        Task.BINARY, ("no", "yes"), "roc_auc", False, n_folds, 0, ("linear", "boosting")
    )
    profiles = {
        f: Profile.from_table(table.filter(pa.array(fold == f)), schema) for f in range(n_folds)
    }
    rows = encode_rows(question, schema, table).in_hash_order()
    return Material(rows, profiles, schema, question, 1)


@pytest.mark.parametrize(
    ("family", "params"),
    [("linear", {"c": 1.0}), ("boosting", {"eta": 0.3, "max_depth": 6, "rounds": 20})],
)
def test_a_column_that_leaks_a_folds_truth_is_worth_nothing(
    family: str, params: dict[str, float]
) -> None:
    material = leaking()
    outcome = evaluate(material.workspace(), Config(1, family, params))
    assert outcome.error is None
    assert outcome.score == pytest.approx(0.5, abs=0.05)
    # The same model on the very rows it was fitted on knows all of it.
    use = FoldUse(train=(0, 1, 2), valid=0)
    recipe = Recipe(**FAMILIES[family].recipe(params))
    data = material.workspace().fold(use, recipe, stops_early=False)
    model = FAMILIES[family].fit(
        Fit(data.fit, data.fit_truth, "binary", 2, params, seed=0, threads=1)
    )
    truth = material.rows.truth[data.judged_rows]
    judged = material.question.judge(truth, model.predict(data.judged), 0.5)
    assert measure("roc_auc", judged) == 1.0


def test_ordered_rows_are_judged_by_models_of_earlier_slices_only(
    make_material: MakeMaterial,
) -> None:
    material = make_material(ordered=True)
    config = Config(1, "linear", {"c": 1.0})
    honest = evaluate(material.workspace(), config).oof
    assert honest is not None
    fold = material.rows.fold
    assert np.isnan(honest[fold == 0]).all()
    assert not np.isnan(honest[fold > 0]).any()
    newest = int(fold.max())
    rows = material.rows.take(np.arange(material.rows.n_rows))
    rows.truth[fold == newest] = 1 - rows.truth[fold == newest]
    changed = evaluate(replace(material, rows=rows).workspace(), config).oof
    assert changed is not None
    assert np.array_equal(honest, changed, equal_nan=True)
    rows.truth[fold == 1] = 1 - rows.truth[fold == 1]
    third = evaluate(replace(material, rows=rows).workspace(), config).oof
    assert third is not None
    assert np.array_equal(honest[fold == 1], third[fold == 1])
    assert not np.array_equal(honest[fold == 2], third[fold == 2])


def test_the_threshold_of_a_fold_comes_from_the_other_folds(make_material: MakeMaterial) -> None:
    made = make_material()
    material = replace(made, question=replace(made.question, metric="f1"))
    outcome = evaluate(material.workspace(), Config(1, "linear", {"c": 1.0}))
    assert outcome.oof is not None
    rows, scores = material.rows, outcome.oof.astype(np.float64)
    honest, own = [], []
    for use in material.question.folds:
        here = rows.fold == use.valid
        for found, where in ((honest, ~here), (own, here)):
            cut = best_threshold(scores[where, 1], rows.truth[where] == 1, metric="f1")
            judged = material.question.judge(rows.truth[here], scores[here], cut)
            found.append(measure("f1", judged))
    assert outcome.fold_scores == tuple(honest)
    assert all(a <= b for a, b in zip(honest, own, strict=True))
    assert honest != own
    assert outcome.score == pytest.approx(np.mean(honest))


@given(st.lists(st.integers(0, 10**9), max_size=300, unique=True), st.booleans())
def test_stopping_rows_are_a_tenth_and_of_ordered_rows_the_newest(
    places: list[int], ordered: bool
) -> None:
    position = np.array(places, dtype=np.int64)
    hold = stopping_rows(position, ordered=ordered)
    assert hold.shape == position.shape
    if len(places) < 50:
        assert not hold.any()
    elif ordered:
        assert hold.sum() == len(places) // 10
        assert position[hold].min() > position[~hold].max()
    else:
        assert np.flatnonzero(hold).tolist() == list(range(0, len(places), 10))


def test_equal_rows_stop_together_or_are_fitted_together() -> None:
    cases = np.sort(np.random.default_rng(5).integers(0, 300, 2000))
    place = np.arange(2000)
    for look in range(3):
        hold = stopping_rows(place, ordered=False, look=look, cases=cases)
        assert not set(cases[hold]) & set(cases[~hold])
        assert len(set(cases[hold])) == pytest.approx(len(set(cases)) / 10, abs=1)
    assert not stopping_rows(place, ordered=False, cases=cases // 10).any()  # 30 cases


def test_a_case_is_all_rows_of_one_hash(make_material: MakeMaterial) -> None:
    rows = make_material(Task.BINARY, n_rows=60).rows.in_hash_order()
    assert (np.diff(rows.cases) == (rows.hashes[1:] != rows.hashes[:-1])).all()
    doubled = rows.take(np.repeat(np.arange(rows.n_rows), 2))
    assert doubled.cases.tolist() == np.repeat(rows.cases, 2).tolist()


def test_matrices_are_prepared_once_for_each_recipe(make_material: MakeMaterial) -> None:
    material = make_material()
    work = material.workspace()
    first, second = material.question.folds[:2]
    one = work.fold(first, RAW, stops_early=True)
    assert work.fold(first, Recipe(), stops_early=True) is one
    others = [
        work.fold(first, RAW, stops_early=False),
        work.fold(first, SCALED, stops_early=True),
        work.fold(second, RAW, stops_early=True),
    ]
    assert all(other is not one for other in others)
    assert work.fold(first, RAW, stops_early=True) is one
    assert one.stop is not None
    assert one.size_bytes == one.fit.nbytes + one.judged.nbytes + one.stop[0].nbytes
    assert others[0].size_bytes == others[0].fit.nbytes + others[0].judged.nbytes


def test_weights_reach_the_fit(make_material: MakeMaterial) -> None:
    made = make_material()
    weights = np.where(made.rows.truth == 1, 3.0, 1.0)
    material = replace(made, rows=replace(made.rows, weights=weights))
    outcome = evaluate(material.workspace(), Config(0, "dummy", {}))
    assert outcome.oof is not None
    for use in material.question.folds:
        inside = np.isin(material.rows.fold, use.train)
        share = weights[inside & (material.rows.truth == 1)].sum() / weights[inside].sum()
        found = outcome.oof[material.rows.fold == use.valid, 1]
        assert found == pytest.approx(share, abs=1e-6)


def test_the_time_ends_a_configuration(make_material: MakeMaterial) -> None:
    work = make_material().workspace()
    stopped = evaluate(work, Config(4, "linear", {"c": 1.0}), stop=lambda: True)
    assert (stopped.number, stopped.error, stopped.oof) == (4, "the time was up", None)
    assert stopped.fate is Fate.STOPPED
    assert math.isnan(stopped.score)
    assert evaluate(work, Config(4, "linear", {"c": 1.0}), stop=lambda: False).error is None


def test_a_bar_ends_a_configuration_that_is_behind(make_material: MakeMaterial) -> None:
    work = make_material().workspace()
    config = Config(4, "linear", {"c": 1.0})
    whole = evaluate(work, config)
    just = Bar(1, whole.early[0])
    assert evaluate(work, replace(config, bars=(just,))).fate is Fate.SCORED
    pruned = evaluate(work, replace(config, bars=(Bar(1, 0.0), Bar(2, 1.0))))
    assert pruned.fate is Fate.PRUNED
    assert pruned.error == "behind after 2 of 3 folds"
    assert pruned.early == whole.early[:2]
    assert pruned.oof is None
    assert math.isnan(pruned.score)


def test_a_curve_is_that_of_the_first_fit(make_material: MakeMaterial) -> None:
    config = Config(1, "boosting", {"eta": 0.3, "max_depth": 2, "rounds": 70})
    outcome = evaluate(make_material().workspace(), config)
    rounds = [n for n, _ in outcome.curve]
    assert rounds[0] == 1
    assert rounds == sorted(rounds)
    assert len(rounds) <= 50
    assert outcome.curve[-1][1] < outcome.curve[0][1]
    assert evaluate(make_material().workspace(), Config(1, "linear", {"c": 1.0})).curve == ()


@pytest.mark.parametrize("fault", [RuntimeError("no"), MemoryError(), KeyError("x")])
def test_whatever_a_family_raises_is_an_outcome(
    make_material: MakeMaterial, fault: Exception
) -> None:
    def fit(_fit: Fit) -> Model:
        raise fault

    broken = replace(FAMILIES["linear"], name="broken", fit=fit)
    with registered(broken):
        outcome = evaluate(make_material().workspace(), Config(3, "broken", {"c": 1.0}))
    assert outcome.fate is Fate.FAILED
    assert outcome.error is not None
    assert outcome.error.startswith(
        "out of memory" if isinstance(fault, MemoryError) else type(fault).__name__
    )


def test_scores_that_are_not_finite_are_a_fate_of_their_own(make_material: MakeMaterial) -> None:
    def fit(fit: Fit) -> Model:
        model = FAMILIES["linear"].fit(fit)
        return replace(model, arrays={k: v * np.nan for k, v in model.arrays.items()})  # type: ignore[type-var, attr-defined]

    with registered(replace(FAMILIES["linear"], name="broken", fit=fit)):
        outcome = evaluate(make_material().workspace(), Config(3, "broken", {"c": 1.0}))
    assert (outcome.fate, outcome.oof) == (Fate.DIVERGED, None)
    assert outcome.error == "the scores of fold 0 are not finite"


def test_what_a_family_refuses_is_an_outcome_in_its_own_words(make_material: MakeMaterial) -> None:
    work = make_material(Task.REGRESSION).workspace()
    outcome = evaluate(work, Config(7, "linear", {"alpha": 1.0, "target": "sqrt"}))
    assert outcome.number == 7
    assert outcome.error == "ValueError: a target map is 'none' or 'log1p', not 'sqrt'"
    assert outcome.fold_scores == ()


def test_a_family_that_does_not_exist_is_no_outcome(make_material: MakeMaterial) -> None:
    with pytest.raises(KeyError, match="forest"):
        evaluate(make_material().workspace(), Config(1, "forest", {}))


def test_equal_configurations_have_equal_outcomes(make_material: MakeMaterial) -> None:
    material = make_material(Task.MULTICLASS, n_rows=300)
    config = Config(2, "boosting", {"eta": 0.3, "max_depth": 3})
    work = material.workspace()
    found = [evaluate(work, config), evaluate(work, config),
             evaluate(material.workspace(), config)]  # fmt: skip
    for other in found[1:]:
        assert other.fold_scores == found[0].fold_scores
        assert other.rounds == found[0].rounds > 0
        assert np.array_equal(other.oof, found[0].oof)
    assert found[0].oof.shape == (material.rows.n_rows, 3)


def test_segments_are_judged_fold_by_fold(make_material: MakeMaterial) -> None:
    material = make_material(Task.CLUSTERING, n_rows=300)
    params = {"k": 4}
    assert n_classes_of(material.question, params) == 4
    outcome = evaluate(material.workspace(), Config(0, "kmeans", params))
    assert outcome.oof is not None
    assert outcome.oof.shape == (material.rows.n_rows, 4)
    assert len(outcome.fold_scores) == material.question.n_folds
    assert outcome.score == pytest.approx(np.mean(outcome.fold_scores))
    assert outcome.rounds == 0


def test_classes_of_a_supervised_fit_are_the_targets(make_material: MakeMaterial) -> None:
    assert n_classes_of(make_material(Task.MULTICLASS).question, {"k": 9}) == 3
    assert n_classes_of(make_material(Task.REGRESSION).question, {}) == 0
