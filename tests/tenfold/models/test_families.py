"""One conformance suite for every family and task: files, ONNX, determinism, batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tenfold.errors import ArtifactError
from tenfold.features import Recipe
from tenfold.models import FAMILIES, Fit, FitStopped, Model, Traits, load_model, n_outputs
from tenfold.models.base import MANY_CATEGORIES, PREPARING
from tenfold.models.boosting import booster_params

N_ROWS, N_FEATURES = 600, 5
QUICK = {"boosting": {"rounds": 60}, "network": {"epochs": 3}}


def make_fit(family: str, task: str, *, index: int = 0, seed: int = 0, **extra: object) -> Fit:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    signal = x[:, 0] * 2 + x[:, 1] ** 2
    if family == "boosting":
        x[rng.random(x.shape) < 0.1] = np.nan
    n_classes = {"binary": 2, "multiclass": 3}.get(task, 0)
    if task == "regression":
        target: np.ndarray = np.exp(signal / 4)
    elif task == "clustering":
        target = np.zeros(N_ROWS, dtype=np.int64)
    else:
        edges = np.quantile(signal, np.linspace(0, 1, n_classes + 1)[1:-1])
        target = np.searchsorted(edges, signal)
    defaults = FAMILIES[family].defaults(task)
    params = {**defaults[index % len(defaults)], **QUICK.get(family, {})}
    n_classes = int(params.get("k", n_classes))
    return Fit(x, target, task, n_classes, params, seed, 1, **extra)  # type: ignore[arg-type]


OURS = {
    name: family
    for name, family in FAMILIES.items()
    if family.fit.__module__.startswith("tenfold.")
}
"""Without those that other test modules of the same run brought along."""
CASES = [
    pytest.param(name, task, index, id=f"{name}-{task}-{index}")
    for task in ("binary", "multiclass", "regression", "clustering")
    for name, family in OURS.items()
    if task in family.tasks
    for index in range(len(family.defaults(task)))
]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("traits", [Traits(), Traits(70), Traits(9000, skewed=True)])
def test_every_preparation_is_a_recipe_and_no_parameter_of_the_fit(
    name: str, traits: Traits
) -> None:
    family = FAMILIES[name]
    choices = family.choices(traits)
    assert set(choices) <= {*PREPARING, "max_bin"}
    choices = {field: values for field, values in choices.items() if field in PREPARING}
    assert (choices == {}) or traits.n_categories
    for params in [p for task in family.tasks for p in family.defaults(task)]:
        plain = Recipe(**family.recipe(params))
        for field, values in choices.items():
            assert len(set(values)) == len(values) > 1
            for value in values:
                made = Recipe(**family.recipe({**params, field: value}))
                assert made == replace(plain, **{field: value})
        chosen = {field: values[-1] for field, values in choices.items()}
        own = booster_params("binary", 2, {**params, **chosen}, seed=0, threads=1)
        assert not set(PREPARING) & own.keys()


def test_finer_bins_are_tried_where_their_sums_are_small_and_reach_the_fit() -> None:
    choices = FAMILIES["boosting"].choices(Traits(n_columns=32))
    assert choices["max_bin"] == (256, 1024)
    assert booster_params("binary", 2, {"max_bin": 1024}, seed=0, threads=1)["max_bin"] == 1024
    assert "max_bin" not in FAMILIES["boosting"].choices(Traits(n_columns=33))


def test_where_one_hot_would_throw_most_categories_together_the_target_is_the_first_bet() -> None:
    bets = {n: FAMILIES["linear"].choices(Traits(n)).get("many", ("",))[0] for n in (64, 65, 260)}
    assert bets == {64: "", 65: "onehot", 260: "target"}
    assert Recipe().many_from == MANY_CATEGORIES == Recipe().max_onehot + 1


def fitted(name: str, task: str, index: int) -> tuple[Fit, Model]:
    fit = make_fit(name, task, index=index)
    return fit, FAMILIES[name].fit(fit)


@pytest.mark.parametrize(("name", "task", "index"), CASES)
def test_scores_have_the_promised_shape_and_sum(name: str, task: str, index: int) -> None:
    fit, model = fitted(name, task, index)
    scores = model.predict(fit.matrix)
    assert scores.shape == (N_ROWS, n_outputs(task, fit.n_classes))
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert np.array_equal(scores, scores.astype(np.float32))
    if task != "regression":
        assert np.allclose(scores.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(("name", "task", "index"), CASES)
def test_files_round_trip_to_the_same_scores_and_bytes(name: str, task: str, index: int) -> None:
    fit, model = fitted(name, task, index)
    files = model.files()
    again = load_model(name, files)
    assert np.array_equal(again.predict(fit.matrix), model.predict(fit.matrix))
    assert again.files() == files


@pytest.mark.parametrize(("name", "task", "index"), CASES)
def test_same_fit_gives_the_same_bytes(name: str, task: str, index: int) -> None:
    _, one = fitted(name, task, index)
    _, two = fitted(name, task, index)
    assert one.files() == two.files()
    assert one.to_onnx() == two.to_onnx()


@pytest.mark.parametrize(("name", "task", "index"), CASES)
def test_onnx_agrees_with_the_native_model(name: str, task: str, index: int) -> None:
    import onnxruntime

    fit, model = fitted(name, task, index)
    graph = model.to_onnx()
    assert graph is not None
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"x": fit.matrix})
    assert scores.dtype == np.float32
    assert np.allclose(scores, model.predict(fit.matrix), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "task", "index"), CASES)
def test_a_row_alone_scores_as_in_a_batch(name: str, task: str, index: int) -> None:
    fit, model = fitted(name, task, index)
    whole = model.predict(fit.matrix[:40])
    alone = np.vstack([model.predict(fit.matrix[i : i + 1]) for i in range(40)])
    assert np.array_equal(whole, alone)


@pytest.mark.parametrize(("name", "task", "index"), CASES)
def test_fit_leaves_its_input_alone(name: str, task: str, index: int) -> None:
    fit = make_fit(name, task, index=index)
    before = fit.matrix.copy(), fit.target.copy()
    FAMILIES[name].fit(fit)
    assert np.array_equal(fit.matrix, before[0], equal_nan=True)
    assert np.array_equal(fit.target, before[1])


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("name", ["linear", "boosting", "network"])
def test_every_family_beats_the_dummy(name: str, task: str) -> None:
    fit, model = fitted(name, task, 0)
    without = make_fit("dummy", task)
    dummy = FAMILIES["dummy"].fit(without)
    assert _loss(fit, model) < 0.9 * _loss(without, dummy)


def _loss(fit: Fit, model: Model) -> float:
    scores = model.predict(np.asarray(fit.matrix, dtype=np.float32))
    if fit.task == "regression":
        return float(((scores[:, 0] - fit.target) ** 2).mean())
    return float(-np.log(scores[np.arange(N_ROWS), fit.target] + 1e-12).mean())


def test_early_stopping_keeps_only_the_best_rounds() -> None:
    fit = make_fit("boosting", "binary")
    noise = np.random.default_rng(0).integers(0, 2, 100)
    stopped = Fit(
        fit.matrix, fit.target, "binary", 2, {"eta": 0.3, "max_depth": 8}, 0, 1,
        valid=(fit.matrix[:100], noise),
    )  # fmt: skip
    model = FAMILIES["boosting"].fit(stopped)
    assert model.rounds < 10
    assert load_model("boosting", model.files()).rounds == model.rounds


def test_the_quantised_matrix_is_kept_between_fits_of_the_same_rows() -> None:
    cache: dict[object, object] = {}
    first = FAMILIES["boosting"].fit(make_fit("boosting", "binary", cache=cache))
    kept = list(cache.values())
    again = FAMILIES["boosting"].fit(make_fit("boosting", "binary", cache=cache))
    assert list(cache.values()) == kept
    assert again.files() == first.files()


@pytest.mark.parametrize("name", ["linear", "boosting", "network"])
def test_a_fit_whose_time_is_up_refuses(name: str) -> None:
    with pytest.raises(FitStopped):
        FAMILIES[name].fit(make_fit(name, "binary", stop=lambda: True))


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(ArtifactError, match="not 'catboost'"):
        load_model("catboost", {})


@pytest.mark.parametrize("name", ["linear", "boosting"])
def test_broken_files_are_refused(name: str) -> None:
    files = FAMILIES[name].fit(make_fit(name, "binary")).files()
    with pytest.raises(ArtifactError, match="publish it again"):
        load_model(name, {key: value[: len(value) // 2] for key, value in files.items()})


def test_a_class_without_training_rows_gets_a_share_near_zero() -> None:
    fit = make_fit("linear", "multiclass")
    without = Fit(fit.matrix, np.minimum(fit.target, 1), "multiclass", 3, {"c": 1.0}, 0, 1)
    for name in ("dummy", "linear"):
        scores = FAMILIES[name].fit(without).predict(fit.matrix)
        assert scores[:, 2].max() < 1e-5
