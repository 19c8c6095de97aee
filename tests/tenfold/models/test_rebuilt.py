"""A graph that its native files do not give is refused, whatever golden rows say of it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from tenfold.errors import ArtifactError
from tenfold.features import Preprocessor
from tenfold.inference.engines import OnnxEngine
from tenfold.models import FAMILIES, Fit, Model
from tenfold.models.arrays import ArrayModel
from tenfold.models.blend import BlendModel, Member
from tenfold.models.calibration import Calibration
from tenfold.models.rebuilt import check_graph
from tenfold.testing.artifacts import fit_small
from tenfold.testing.mixed import mixed_table
from tests.tenfold.models.test_blend import CURVE, make_blend, member_model, rows

N_FLIPS = 400


def sealed(model: Model) -> dict[str, bytes]:
    graph = model.to_onnx()
    assert graph is not None
    return model.files() | {"model.onnx": graph}


def changed(files: dict[str, bytes], change: Callable[[Any], None]) -> dict[str, bytes]:
    graph = onnx.load_model_from_string(files["model.onnx"])
    change(graph)
    return files | {"model.onnx": graph.SerializeToString()}


@pytest.mark.parametrize("family", ["boosting", "linear", "network"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_graph_of_native_files_is_the_one_beside_them(family: str, task: Any) -> None:
    assert check_graph(family, sealed(member_model(family, task, rows(4))))


@pytest.mark.parametrize("family", ["dummy", "kmeans"])
def test_families_without_parameters_to_search_too(family: str) -> None:
    assert check_graph(family, sealed(fit_small(family)[1]))


@pytest.mark.parametrize("calibration", [Calibration(1.7), CURVE])
def test_the_graph_of_a_blend_too(calibration: Calibration) -> None:
    files = sealed(make_blend("binary", calibration)[0])
    assert check_graph("blend", files)
    other = sealed(make_blend("binary", Calibration(1.8))[0])
    with pytest.raises(ArtifactError, match="native files"):
        check_graph("blend", files | {"model.onnx": other["model.onnx"]})


@pytest.mark.parametrize("categories", ["ordinal", "native"])
def test_a_flip_is_refused_or_changes_no_answer(categories: str) -> None:
    preprocessor, model = fit_small("boosting", preparing={"categories": categories})
    files = sealed(model)
    matrix = matrix_of(preprocessor)
    expected = OnnxEngine(files["model.onnx"]).predict(matrix)
    chosen = random.Random(7)
    n_passed = 0
    for _ in range(N_FLIPS):
        graph = bytearray(files["model.onnx"])
        graph[chosen.randrange(len(graph))] ^= 1 << chosen.randrange(8)
        try:
            check_graph("boosting", files | {"model.onnx": bytes(graph)})
        except ArtifactError:
            continue
        n_passed += 1
        np.testing.assert_allclose(
            OnnxEngine(bytes(graph)).predict(matrix), expected, rtol=1e-5, atol=1e-6
        )
    assert n_passed < N_FLIPS / 20  # in what says who built it, or beyond a float32's digits


def matrix_of(preprocessor: Preprocessor) -> Any:
    return preprocessor.transform(mixed_table(2000, seed=7))


def test_a_leaf_that_no_row_meets_gives_itself_away() -> None:
    def poison(graph: Any) -> None:
        (trees,) = (node for node in graph.graph.node if node.op_type == "TreeEnsembleRegressor")
        (weights,) = (a for a in trees.attribute if a.name == "target_weights")
        weights.floats[-1] += 1e-3

    files = sealed(member_model("boosting", "binary", rows(4)))
    with pytest.raises(ArtifactError, match="not the graph that the native files"):
        check_graph("boosting", changed(files, poison))


def test_sums_of_another_processor_are_the_same_graph() -> None:
    def nudge(graph: Any) -> None:
        for array in graph.graph.initializer:
            if array.data_type == onnx.TensorProto.DOUBLE:
                values = np.frombuffer(array.raw_data)
                array.raw_data = (values * (1.0 + 2.0**-52)).tobytes()

    files = sealed(fit_small("kmeans")[1])
    assert check_graph("kmeans", changed(files, nudge))


def test_another_builder_s_graph_is_left_to_the_golden_rows() -> None:
    def rename(graph: Any) -> None:
        graph.metadata_props[0].value = "0"
        graph.graph.node[0].name = "other"

    files = sealed(member_model("linear", "binary", rows(4)))
    assert not check_graph("linear", changed(files, rename))


def test_what_is_no_graph_is_refused() -> None:
    files = sealed(member_model("linear", "binary", rows(4)))
    for data in (b"\xff" * 100, files["model.onnx"][:-7]):
        with pytest.raises(ArtifactError):
            check_graph("linear", files | {"model.onnx": data})


def test_a_changed_graph_has_a_changed_builder() -> None:
    """The digest of `BUILDER`'s graphs: if it changes, raise `BUILDER`, then this digest."""
    found = hashlib.sha256(b"".join(known_graphs())).hexdigest()
    assert found == "9e632e2a9f250510992cb0e24863ba446b22d891d8616a754349e3899720305c"


def known_graphs() -> list[bytes]:
    """One of each form, from numbers that no library computed."""
    w, b = np.array([[1.0, -2.0], [0.5, 4.0]]), np.array([0.25, -1.0])
    waves = {"numbers": np.array([1]), "frequency": np.ones((1, 2)), "phase": np.zeros((1, 2))}
    layers = {"w0": np.vstack([w, w]), "b0": b, "w1": w[:, :1], "b1": b[:1]}
    models: list[Model] = [
        ArrayModel("linear", {"w0": w, "b0": b}, "softmax", 2, 2),
        ArrayModel("linear", {"w0": w[:, :1], "b0": b[:1]}, "sigmoid", 2, 2),
        ArrayModel("kmeans", {"w0": w, "b0": b[:1]}, "nearest", 2, 2),
        ArrayModel("network", layers | waves, "value", 2, 1),
        stump("binary"),
        stump("regression"),
    ]
    members = [Member(models[1], 0.25, 0, 2), Member(models[4], 0.75, 1, 3)]
    models += [
        BlendModel(members, n_features=3, n_outputs=2, calibration=calibration)
        for calibration in (Calibration(1.5), CURVE)
    ]
    return [sealed(model)["model.onnx"] for model in models]


def stump(task: Any) -> Model:
    x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]], dtype=np.float32)
    y = np.array([0, 0, 1, 1], dtype=np.int64 if task == "binary" else np.float64)
    params = dict(FAMILIES["boosting"].defaults(task)[0]) | {
        "rounds": 1, "depth": 1, "target": "none", "subsample": 1.0, "colsample": 1.0,
    }  # fmt: skip
    return FAMILIES["boosting"].fit(Fit(x, y, task, 2 * (task == "binary"), params, 0, 1))
