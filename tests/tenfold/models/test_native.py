"""Trees that split categories by sets: XGBoost's own, in every form that they take here."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from tenfold.errors import ArtifactError
from tenfold.models import FAMILIES, Fit, choose_engine, load_model
from tenfold.models.additive import additive_of
from tenfold.models.blend import BlendModel, Member
from tenfold.models.booster_check import MOST_SLOTS, check_booster
from tenfold.models.boosting import BoostedModel, booster_params
from tenfold.models.tree_graph import tree_attributes
from tests.tenfold.models.test_additive import shapley
from tests.tenfold.models.test_booster_check import changed, trees

N_ROWS = 1_500
N_FLIPS = 400
CLASSES = {"binary": 2, "multiclass": 3, "regression": 0}


def make_fit(task: str = "regression", *, n_slots: int = 12, **more: Any) -> Fit:
    """Two numbers and a category whose effect has no order; a twentieth of it is missing."""
    rng = np.random.default_rng(5)
    town = rng.integers(0, n_slots, N_ROWS)
    numbers = rng.normal(size=(N_ROWS, 2))
    signal = numbers[:, 0] * np.where(town % 2, 1.0, -1.0) + rng.normal(size=n_slots)[town]
    named = np.where(rng.random(N_ROWS) < 0.05, np.nan, town)
    x = np.column_stack([numbers[:, 0], named, numbers[:, 1]]).astype(np.float32)
    k = CLASSES[task]
    y: Any = signal
    if k:
        y = np.searchsorted(np.quantile(signal, np.linspace(0, 1, k + 1)[1:-1]), signal)
    params = {"rounds": 25, "max_depth": 5, "eta": 0.2, **more.pop("params", {})}
    return Fit(x, y, task, k, params, 0, 1, slots=(0, n_slots, 0), **more)  # type: ignore[arg-type]


def fitted(task: str = "regression", **more: Any) -> tuple[Fit, BoostedModel]:
    fit = make_fit(task, **more)
    model = FAMILIES["boosting"].fit(fit)
    assert isinstance(model, BoostedModel)
    return fit, model


def asked(fit: Fit) -> np.ndarray:
    """Rows of training, then each slot and a missing one beside the same numbers."""
    every = np.repeat(fit.matrix[:1], fit.slots[1] + 1, axis=0)
    every[:, 1] = [*range(fit.slots[1]), np.nan]
    return np.vstack([fit.matrix, every])


def test_the_trees_are_those_of_xgboost_on_categories_of_pandas() -> None:
    pd = pytest.importorskip("pandas")
    fit, model = fitted()
    codes = fit.matrix[:, 1]
    frame = pd.DataFrame({"a": fit.matrix[:, 0], "b": fit.matrix[:, 2]})
    texts = [None if np.isnan(code) else f"town {int(code):03d}" for code in codes]
    frame.insert(1, "town", pd.Categorical(texts))
    data = xgboost.QuantileDMatrix(frame, fit.target, enable_categorical=True, nthread=1)
    params = booster_params("regression", 0, fit.params, seed=0, threads=1)
    reference = xgboost.train(params, data, num_boost_round=25)
    expected = reference.predict(xgboost.DMatrix(frame, enable_categorical=True))
    assert np.array_equal(model.predict(fit.matrix)[:, 0], expected)


@pytest.mark.parametrize("task", list(CLASSES))
@pytest.mark.parametrize("n_slots", [2, 12, 150])
def test_one_graph_answers_as_xgboost_alone_and_in_a_batch(task: str, n_slots: int) -> None:
    fit, model = fitted(task, n_slots=n_slots)
    rows = asked(fit)
    choice = choose_engine(model, rows)
    assert choice.name == "onnx", choice.reason
    scores = choice.score(rows)
    last = range(len(rows) - 20, len(rows))
    assert all(np.array_equal(choice.score(rows[k : k + 1])[0], scores[k]) for k in last)
    again = load_model("boosting", model.files())
    assert np.array_equal(again.predict(rows), model.predict(rows))
    assert again.files() == model.files()


def test_it_blends_with_trees_of_numbers() -> None:
    fit, model = fitted("binary")
    plain = FAMILIES["boosting"].fit(replace(fit, slots=()))
    wide = np.hstack([fit.matrix, fit.matrix])
    both = [Member(model, 0.5, 0, 3), Member(plain, 0.5, 3, 6)]
    blend = BlendModel(both, n_features=6, n_outputs=2)
    choice = choose_engine(blend, wide)
    assert choice.name == "onnx", choice.reason
    again = load_model("blend", blend.files())
    assert np.array_equal(again.predict(wide), blend.predict(wide))


def tree_of(members: list[int], *, to_left: int) -> dict[str, Any]:
    """One split by a set: 1.0 on the left, 2.0 on the right."""
    return {
        "left_children": [1, -1, -1],
        "right_children": [2, -1, -1],
        "split_indices": [0, 0, 0],
        "split_type": [1, 0, 0],
        "split_conditions": [0.0, 1.0, 2.0],
        "default_left": [to_left, 0, 0],
        "categories": members,
        "categories_nodes": [0],
        "categories_segments": [0],
        "categories_sizes": [len(members)],
    }


def walk(attributes: dict[str, list[Any]], value: float) -> int:
    """The leaf that ONNX's definition leads to."""
    at = dict(zip(attributes["nodes_nodeids"], range(99), strict=False))
    node = 0
    while attributes["nodes_modes"][at[node]] == "BRANCH_EQ":
        here = at[node]
        missing = np.isnan(value) and attributes["nodes_missing_value_tracks_true"][here]
        holds = missing or value == attributes["nodes_values"][here]
        node = attributes["nodes_truenodeids" if holds else "nodes_falsenodeids"][here]
    return node


@pytest.mark.parametrize("to_left", [0, 1])
@pytest.mark.parametrize("members", [[2], [0, 3], [0, 1, 3], [1, 2, 3, 4], [0, 1, 2, 3, 4]])
def test_a_chain_asks_for_the_smaller_side(members: list[int], to_left: int) -> None:
    attributes = tree_attributes([tree_of(members, to_left=to_left)], [0], (5,))
    assert attributes["nodes_modes"].count("BRANCH_EQ") <= 2
    for slot in range(5):
        assert walk(attributes, slot) == (2 if slot in members else 1)
    assert walk(attributes, np.nan) == (1 if to_left else 2)


def test_rows_that_stop_a_fit_are_judged_by_what_they_are() -> None:
    """In the bins of the training rows a slot that only they have would pass for another one."""
    fit = make_fit()
    last = fit.matrix[:, 1] == 11
    heard: list[float] = []
    valid = (fit.matrix[last], fit.target[last])
    part = replace(
        fit,
        matrix=fit.matrix[~last],
        target=fit.target[~last],
        valid=valid,
        params={**fit.params, "rounds": 3},
        heard=lambda _round, loss: heard.append(loss),
    )
    model = FAMILIES["boosting"].fit(part)
    errors = model.predict(valid[0])[:, 0] - valid[1]
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(heard[model.rounds - 1], rel=1e-5)


def test_monotone_columns_hold_beside_them() -> None:
    fit, model = fitted(monotone=(1, 0, 0))
    grid = np.linspace(-4, 4, 60, dtype=np.float32)
    for row in asked(fit)[-13:]:
        rows = np.repeat(row[None], 60, axis=0)
        rows[:, 0] = grid
        assert np.diff(model.predict(rows)[:, 0]).min() >= 0.0
    _, free = fitted()
    rows = np.repeat(fit.matrix[:1], 60, axis=0)
    rows[:, 0], rows[:, 1] = grid, 2
    assert np.diff(free.predict(rows)[:, 0]).min() < 0.0


def path_worth(tree: dict[str, Any], row: Any, members: frozenset[int], node: int = 0) -> float:
    """A tree's answer when only some features are known: others go both ways, by cover."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left < 0:
        return float(tree["split_conditions"][node])
    feature = tree["split_indices"][node]
    if feature in members:
        value, goes_left = row[feature], bool(tree["default_left"][node])
        if not np.isnan(value) and tree["split_type"][node]:
            at = tree["categories_nodes"].index(node)
            start, size = tree["categories_segments"][at], tree["categories_sizes"][at]
            goes_left = int(value) not in tree["categories"][start : start + size]
        elif not np.isnan(value):
            goes_left = value < np.float32(tree["split_conditions"][node])
        return path_worth(tree, row, members, left if goes_left else right)
    cover = tree["sum_hessian"]
    return float(
        sum(cover[k] * path_worth(tree, row, members, k) for k in (left, right)) / cover[node]
    )


@pytest.mark.parametrize("task", list(CLASSES))
def test_they_get_the_shapley_values_of_their_paths(task: str) -> None:
    fit, model = fitted(task, params={"rounds": 4, "max_depth": 4})
    learner = json.loads(model._booster.save_raw(raw_format="json"))["learner"]
    book = learner["gradient_booster"]["model"]
    assert any(any(tree["split_type"]) for tree in book["trees"])
    rows = asked(fit)[-6:]
    additive = additive_of(model, rows)
    assert additive is not None
    parts = additive.parts(rows)
    for margin in range(parts.shape[1]):
        own = [t for t, g in zip(book["trees"], book["tree_info"], strict=True) if g == margin]
        for place, row in enumerate(rows):
            expected = shapley(
                lambda some, row=row, own=own: sum(path_worth(t, row, some) for t in own), 3
            )
            assert parts[place, margin, :-1] == pytest.approx(expected, abs=2e-5)
    scores = additive.link(parts.sum(axis=2))
    assert np.allclose(scores, model.predict(rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("params", [{}, {"gamma": 2.0}, {"max_leaves": 7, "max_depth": 0}])
def test_what_xgboost_writes_is_sound(params: dict[str, Any]) -> None:
    fit, model = fitted(params=params)
    check_booster(bytes(model._booster.save_raw("ubj")), slots=fit.slots)
    check_booster(changed(model._booster, lambda learner: None), slots=fit.slots)


def first_split(tree: dict[str, Any]) -> int:
    return int(tree["split_type"].index(1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t["categories"].__setitem__(0, -1), "a category is one of its column's slots"),
        (lambda t: t["categories"].__setitem__(0, 12), "a category is one of its column's slots"),
        (lambda t: t["categories"].__setitem__(0, 2**40), "a category is one of its column's"),
        (lambda t: t["categories"].pop(), "sets of categories lie one behind the other"),
        (lambda t: t["categories_sizes"].__setitem__(0, 0), "none is empty"),
        (lambda t: t["categories_sizes"].__setitem__(0, -3), "none is empty"),
        (lambda t: t["categories_segments"].__setitem__(0, 5), "lie one behind the other"),
        (lambda t: t["categories_segments"].pop(), "have a start and a size"),
        (lambda t: t["categories_nodes"].__setitem__(0, 10**6), "a split of categories has its"),
        (lambda t: t["categories_nodes"].reverse(), "a split of categories has its set"),
        (lambda t: t["split_type"].__setitem__(first_split(t), 0), "a split of categories has"),
        (lambda t: t["split_type"].__setitem__(first_split(t), 7), "by a number or by a set"),
        (lambda t: t["split_indices"].__setitem__(first_split(t), 0), "columns with slots are"),
        (lambda t: t["categories"].reverse(), "a set names its categories once, in order"),
        (lambda t: t.__setitem__("categories", ["1"] * len(t["categories"])), "are whole numbers"),
    ],
)
def test_an_unsound_set_is_refused_with_its_law(change: Callable[[Any], Any], said: str) -> None:
    fit, model = fitted()

    def apply(learner: Any) -> None:
        tree = next(t for t in trees(learner) if len(t["categories_nodes"]) > 1)
        change(tree)

    check_booster(changed(model._booster, lambda learner: None), slots=fit.slots)
    with pytest.raises(ArtifactError, match=f"model.ubj(: tree .*: | ).*{said}"):
        check_booster(changed(model._booster, apply), slots=fit.slots)


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        ((), "columns of categories are those that have slots"),
        ((12, 0, 0), "columns of categories are those that have slots"),
        ((0, 12), "slots are told of none or of 3 columns"),
        ((0, 11, 0), "a category is one of its column's slots"),
        ((0, MOST_SLOTS + 1, 0), f"a column has 0..{MOST_SLOTS} slots"),
        ((0, 12, -1), f"a column has 0..{MOST_SLOTS} slots"),
    ],
)
def test_slots_that_are_not_the_trees_are_refused(slots: tuple[int, ...], said: str) -> None:
    _, model = fitted()
    with pytest.raises(ArtifactError, match=said):
        check_booster(bytes(model._booster.save_raw("ubj")), slots=slots)
    files = model.files()
    arch = json.loads(files["arch.json"]) | {"slots": list(slots)}
    with pytest.raises(ArtifactError, match=said):
        load_model("boosting", files | {"arch.json": json.dumps(arch).encode()})


CHILD = """
import sys
from pathlib import Path
import numpy as np, xgboost
from tenfold.errors import ArtifactError
from tenfold.models.booster_check import check_booster

rng = np.random.default_rng(1)
matrix = rng.normal(scale=3.0, size=(500, 3)).astype(np.float32)
matrix[:, 1] = rng.integers(0, 12, 500)
matrix[rng.random(matrix.shape) < 0.2] = np.nan
passed = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    try:
        check_booster(data, slots=(0, 12, 0))
        booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(data))
        booster.inplace_predict(matrix)
        types = ["q", "c", "q"]
        booster.predict(xgboost.DMatrix(matrix, feature_types=types), pred_contribs=True)
    except (ArtifactError, xgboost.core.XGBoostError):
        continue
    passed += 1
print(passed)
"""


def test_what_passes_kills_nobody(tmp_path: Path) -> None:
    """One flip each, half of them where the sets are named and written."""
    _, model = fitted("binary", params={"rounds": 3, "max_depth": 4})
    good = bytes(model._booster.save_raw("ubj"))
    sets = [k for k in range(len(good)) if good.startswith(b"categories", k)]
    rng = random.Random(6)
    for number in range(N_FLIPS):
        bad = bytearray(good)
        start = rng.choice(sets) if number % 2 else rng.randrange(len(bad) - 90)
        bad[start + rng.randrange(90)] ^= 1 << rng.randrange(8)
        (tmp_path / f"{number:03d}").write_bytes(bad)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert 0 < int(done.stdout) < N_FLIPS
