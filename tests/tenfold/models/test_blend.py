from __future__ import annotations

import numpy as np
import pytest

from tenfold.errors import ArtifactError
from tenfold.models import FAMILIES, Fit, Model, choose_engine, load_model
from tenfold.models.base import Task
from tenfold.models.blend import BlendModel, Member, blended
from tenfold.models.calibration import NO_CALIBRATION, Calibration

N_ROWS = 300
CLASSES = {"binary": 2, "multiclass": 3, "regression": 0}


def rows(n_features: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(N_ROWS, n_features)).astype(np.float32)


def member_model(family: str, task: Task, x: np.ndarray, seed: int = 0) -> Model:
    signal = x[:, 0] * x[:, 1] + x[:, 2]
    y = signal if task == "regression" else np.digitize(signal, [0.0, 0.8][: CLASSES[task] - 1])
    params = dict(FAMILIES[family].defaults(task)[0]) | {"target": "none"}
    params |= {"rounds": 8} if family == "boosting" else {}
    params |= {"epochs": 2} if family == "network" else {}
    kind = np.float64 if task == "regression" else np.int64
    return FAMILIES[family].fit(Fit(x, y.astype(kind), task, CLASSES[task], params, seed, 1))


CURVE = Calibration(knots=((0.0, 0.01), (0.2, 0.1), (0.7, 0.8), (1.0, 0.99)))


def make_blend(
    task: Task, calibration: Calibration = NO_CALIBRATION
) -> tuple[BlendModel, np.ndarray]:
    wide, narrow = rows(5), rows(3, seed=1)
    models = [
        member_model("boosting", task, wide),
        member_model("boosting", task, wide, seed=1),
        member_model("linear", task, narrow),
        member_model("network", task, narrow),
    ]
    places = [(0, 5), (0, 5), (5, 8), (5, 8)]
    weights = [0.4, 0.3, 0.2, 0.1]
    members = [Member(m, w, *p) for m, w, p in zip(models, weights, places, strict=True)]
    made = BlendModel(
        members, n_features=8, n_outputs=max(1, CLASSES[task]), calibration=calibration
    )
    return made, np.hstack([wide, narrow])


@pytest.mark.parametrize(
    ("task", "calibration"),
    [
        ("binary", NO_CALIBRATION),
        ("binary", Calibration(1.7)),
        ("binary", CURVE),
        ("multiclass", Calibration(0.6)),
        ("regression", NO_CALIBRATION),
    ],
)
def test_one_graph_answers_as_the_members_do(task: Task, calibration: Calibration) -> None:
    blend, matrix = make_blend(task, calibration)
    engine = choose_engine(blend, matrix)
    assert (engine.name, engine.difference is not None) == ("onnx", True)
    parts = [m.weight * m.model.predict(matrix[:, m.first : m.last]) for m in blend.members]
    expected = calibration.apply(np.sum(parts, axis=0))
    np.testing.assert_allclose(engine.score(matrix), expected, rtol=1e-5, atol=1e-6)
    alone = np.vstack([engine.score(matrix[i : i + 1]) for i in range(20)])
    assert alone.tobytes() == engine.score(matrix[:20]).tobytes()  # a row alone, the same bits


def test_its_files_are_data_and_give_it_back() -> None:
    blend, matrix = make_blend("binary", CURVE)
    files = blend.files()
    assert sorted(files) == ["arch.json", "members.safetensors"]
    again = load_model("blend", files)
    assert again.predict(matrix).tobytes() == blend.predict(matrix).tobytes()
    assert again.files() == files
    for name in files:
        with pytest.raises(ArtifactError):
            load_model("blend", {**files, name: files[name][:-20]})


def test_one_member_without_a_calibration_is_itself() -> None:
    x = rows(5)
    model = member_model("linear", "binary", x)
    assert blended([Member(model, 1.0, 0, 5)], n_features=5, n_outputs=2) is model
    warm = blended(
        [Member(model, 1.0, 0, 5)], n_features=5, n_outputs=2, calibration=Calibration(2.0)
    )
    assert isinstance(warm, BlendModel)


@pytest.mark.parametrize("weights", [(), (0.5, 0.4), (1.5, -0.5)])
def test_weights_that_are_no_mean_are_refused(weights: tuple[float, ...]) -> None:
    model = member_model("linear", "binary", rows(5))
    with pytest.raises(ArtifactError, match="weights above 0 that sum to 1"):
        BlendModel([Member(model, w, 0, 5) for w in weights], n_features=5, n_outputs=2)


def test_a_curve_belongs_to_two_classes() -> None:
    model = member_model("linear", "multiclass", rows(5))
    with pytest.raises(ArtifactError, match=r"a calibration of its 3 scores \(isotonic, 4 knots\)"):
        BlendModel([Member(model, 1.0, 0, 5)], n_features=5, n_outputs=3, calibration=CURVE)
