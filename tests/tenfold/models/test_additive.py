"""Contributions of models that are sums, against Shapley's formula over all coalitions."""

from __future__ import annotations

import json
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest

from tenfold.models import FAMILIES, Fit, Model, fitting
from tenfold.models.additive import additive_of
from tenfold.models.blend import BlendModel, Member
from tenfold.models.calibration import Calibration
from tests.tenfold.models.test_families import make_fit

N_FEATURES = 5


def fitted(family: str, task: str, *, index: int = 0, **more: Any) -> tuple[Model, Any]:
    fit = make_fit(family, task, index=index, **more)
    return FAMILIES[family].fit(fit), fit.matrix


def path_worth(tree: dict[str, Any], row: Any, members: frozenset[int], node: int = 0) -> float:
    """A tree's answer when only some features are known: others go both ways, by cover."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left < 0:
        return float(tree["split_conditions"][node])
    feature = tree["split_indices"][node]
    if feature in members:
        value = row[feature]
        if np.isnan(value):
            goes = left if tree["default_left"][node] else right
        else:
            goes = left if value < np.float32(tree["split_conditions"][node]) else right
        return path_worth(tree, row, members, goes)
    cover = tree["sum_hessian"]
    return float(
        sum(cover[k] * path_worth(tree, row, members, k) for k in (left, right)) / cover[node]
    )


def shapley(worth: Any, n: int) -> list[float]:
    known = {
        frozenset(some): worth(frozenset(some))
        for size in range(n + 1)
        for some in combinations(range(n), size)
    }
    out = []
    for k in range(n):
        total = 0.0
        for some, value in known.items():
            if k not in some:
                weight = factorial(len(some)) * factorial(n - len(some) - 1) / factorial(n)
                total += weight * (known[some | {k}] - value)
        out.append(total)
    return out


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_trees_get_the_shapley_values_of_their_paths(task: str) -> None:
    fit = make_fit("boosting", task)
    params = {**fitting(fit.params), "max_depth": 3, "rounds": 4}
    model: Any = FAMILIES["boosting"].fit(
        Fit(fit.matrix, fit.target, fit.task, fit.n_classes, params, 0, 1)
    )
    learner = json.loads(model._booster.save_raw(raw_format="json"))["learner"]
    book = learner["gradient_booster"]["model"]
    rows = fit.matrix[:6]
    parts = model.contributions(rows)
    for margin in range(parts.shape[1]):
        trees = [
            tree
            for tree, group in zip(book["trees"], book["tree_info"], strict=True)
            if group == margin
        ]
        for place, row in enumerate(rows):
            expected = shapley(
                lambda some, row=row, trees=trees: sum(path_worth(t, row, some) for t in trees),
                N_FEATURES,
            )
            assert parts[place, margin, :-1] == pytest.approx(expected, abs=2e-5)


def test_a_line_gets_the_shapley_values_over_its_background() -> None:
    model, matrix = fitted("linear", "binary")
    background = matrix[:16]
    additive = additive_of(model, background)
    assert additive is not None
    row = matrix[100].astype(np.float64)
    weights = model.arrays["w0"][:, 0]  # type: ignore[attr-defined]
    bias = model.arrays["b0"][0]  # type: ignore[attr-defined]

    def worth(some: frozenset[int]) -> float:
        mixed = background.astype(np.float64).copy()
        mixed[:, list(some)] = row[list(some)]
        return float((mixed @ weights + bias).mean())

    got = additive.parts(matrix[100:101])[0, 0]
    assert got[:-1] == pytest.approx(shapley(worth, N_FEATURES))
    assert got[-1] == pytest.approx(worth(frozenset()))


CASES = [
    (family, task, index)
    for family in ("boosting", "linear", "dummy")
    for task in ("binary", "multiclass", "regression")
    for index in range(len(FAMILIES[family].defaults(task)))
    if task in FAMILIES[family].tasks
]


@pytest.mark.parametrize(("family", "task", "index"), CASES)
def test_contributions_add_up_to_the_scores(family: str, task: str, index: int) -> None:
    model, matrix = fitted(family, task, index=index)
    additive = additive_of(model, matrix[:32])
    assert additive is not None
    parts = additive.parts(matrix)
    n_margins = model.predict(matrix[:1]).shape[1] if task == "multiclass" else 1
    assert parts.shape == (len(matrix), n_margins, N_FEATURES + 1)
    scores = additive.link(parts.sum(axis=2))
    assert np.allclose(scores, model.predict(matrix), rtol=1e-4, atol=1e-5)


def test_a_count_adds_up_in_its_logarithm() -> None:
    fit = make_fit("boosting", "regression", objective="count")
    model = FAMILIES["boosting"].fit(fit)
    additive = additive_of(model, fit.matrix[:5])
    assert additive is not None
    assert additive.unit == "log of the value"
    scores = additive.link(additive.parts(fit.matrix).sum(axis=2))
    assert np.allclose(scores, model.predict(fit.matrix), rtol=1e-4)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_temperature_leaves_a_sum_a_sum(task: str) -> None:
    model, matrix = fitted("boosting", task)
    wide = np.hstack([matrix[:, :1], matrix])
    n_outputs = model.predict(matrix[:1]).shape[1]
    blend = BlendModel(
        [Member(model, 1.0, 1, 1 + N_FEATURES)],
        n_features=1 + N_FEATURES,
        n_outputs=n_outputs,
        calibration=Calibration(temperature=1.7),
    )
    additive = additive_of(blend, wide[:5])
    assert additive is not None
    parts = additive.parts(wide)
    assert (parts[:, :, 0] == 0.0).all()
    scores = additive.link(parts.sum(axis=2))
    assert np.allclose(scores, blend.predict(wide), rtol=1e-4, atol=1e-5)


def test_what_is_no_sum_says_so() -> None:
    model, matrix = fitted("boosting", "binary")
    halves = [Member(model, 0.5, 0, N_FEATURES)] * 2
    two = BlendModel(halves, n_features=N_FEATURES, n_outputs=2)
    curve = Calibration(knots=((0.0, 0.0), (0.5, 0.3), (1.0, 1.0)))
    bent = BlendModel(
        [Member(model, 1.0, 0, N_FEATURES)],
        n_features=N_FEATURES,
        n_outputs=2,
        calibration=curve,
    )
    network, _matrix = fitted("network", "binary")
    segments, _matrix = fitted("kmeans", "clustering")
    for one in (two, bent, network, segments):
        assert additive_of(one, matrix[:5]) is None
