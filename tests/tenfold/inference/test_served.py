"""What is read of a model for its replicas' plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tenfold.artifact import read_artifact
from tenfold.cluster.served import Served, device_of
from tenfold.errors import ArtifactError
from tenfold.inference.served import served_by, served_in, served_of
from tenfold.models.arrays import ArrayModel
from tenfold.models.base import TargetMap
from tenfold.models.blend import BlendModel, Member
from tenfold.models.calibration import Calibration
from tenfold.testing.artifacts import fit_small, small_artifact


def network(n_features: int = 7, width: int = 5) -> ArrayModel:
    """Two layers, and one cosine of each of the first two numbers."""
    random = np.random.default_rng(0)
    n_in = n_features + 2
    arrays = {
        "numbers": np.array([0, 1]),
        "frequency": random.normal(size=(2, 1)),
        "phase": random.normal(size=(2, 1)),
        "w0": random.normal(size=(n_in, width)),
        "b0": random.normal(size=width),
        "w1": random.normal(size=(width, 2)),
        "b1": random.normal(size=2),
    }
    return ArrayModel("network", arrays, "softmax", n_features, 2)


def of(model: ArrayModel | BlendModel) -> Served:
    graph = model.to_onnx()
    assert graph is not None
    return served_by("onnx", family=model.family, files={"model.onnx": graph})


def test_the_products_of_a_network_are_counted() -> None:
    served = of(network())
    assert served.products == 9 * 5 + 5 * 2
    assert served.widest == 9
    assert served.left_on_cpu == ()
    assert served.runs_on_cuda
    arrays = sum(array.nbytes for array in network().arrays.values())
    assert arrays <= served.weight_bytes < arrays + 100


@pytest.mark.parametrize("output", ["softmax", "sigmoid", "value", "nearest"])
@pytest.mark.parametrize("calibrated", [None, "curve", "temperature"])
def test_no_operator_of_ours_but_trees_stays_on_cpu(output: str, calibrated: str | None) -> None:
    """Whatever an array model and a blend of it put into a graph is in the table of kernels."""
    random = np.random.default_rng(0)
    k = {"softmax": 3, "sigmoid": 2, "value": 1, "nearest": 3}[output]
    n_out = 1 if output in ("value", "sigmoid") else k
    shape = (k, 4) if output == "nearest" else (4, n_out)
    bias = np.ones(1) if output == "nearest" else random.normal(size=n_out)
    target = TargetMap(kind="log1p", loc=1.0, scale=2.0, low=-1.0, high=9.0)
    model = ArrayModel(
        "linear",
        {"w0": random.normal(size=shape), "b0": bias},
        output,
        4,
        k,
        target if output == "value" else TargetMap(),
    )
    calibration = {
        None: Calibration(),
        "curve": Calibration(knots=((0.0, 0.0), (0.5, 0.3), (1.0, 1.0))),
        "temperature": Calibration(temperature=1.5),
    }[calibrated]
    if k < 2 or (k != 2 and calibration.knots):  # no calibration of such scores
        calibration = Calibration()
    blend = BlendModel(
        [Member(model, 0.5, 0, 4), Member(model, 0.5, 1, 5)],
        n_features=5,
        n_outputs=k,
        calibration=calibration,
    )
    for one in (model, blend):
        served = of(one)
        assert served.left_on_cpu == ()
        assert served.runs_on_cuda


def test_trees_stay_on_cpu_and_so_does_what_is_only_trees(tmp_path: Path) -> None:
    small_artifact(tmp_path / "a", family="boosting")
    served = served_in(tmp_path / "a")
    assert served == served_of(read_artifact(tmp_path / "a"))
    assert (served.engine, served.family) == ("onnx", "boosting")
    assert served.left_on_cpu == ("TreeEnsembleRegressor",)
    assert not served.runs_on_cuda


def test_a_blend_with_a_network_runs_in_part() -> None:
    _, trees = fit_small("boosting")
    n = trees.forest.n_features
    members = [Member(trees, 0.5, 0, n), Member(network(n), 0.5, 0, n)]
    served = of(BlendModel(members, n_features=n, n_outputs=2))
    assert served.runs_on_cuda
    assert served.left_on_cpu == ("TreeEnsembleRegressor",)
    assert device_of(served, "gpu") == (
        "cuda",
        "as the project says (TreeEnsembleRegressor on CPU)",
    )


@pytest.mark.parametrize("engine", ["xgboost", "arrays", "blend"])
def test_other_engines_compute_on_cpu(engine: str) -> None:
    served = served_by(engine, family="plugin", files={})
    assert not served.runs_on_cuda
    assert device_of(served, "auto")[0] == "cpu"


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(
        ArtifactError, match=r"model\.onnx is no graph: .*; publish the model again"
    ):
        served_by("onnx", family="linear", files={"model.onnx": b"poison"})
