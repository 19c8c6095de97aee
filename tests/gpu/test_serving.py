"""Models that answer on a GPU, beside the same on CPU: ``make test-gpu``, where there is one and
the extra ``gpu`` is installed. Where the extra lacks, these fail and say what to install.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfold.artifact import read_artifact
from tenfold.cluster import inventory_local
from tenfold.cluster.plan import plan_serving
from tenfold.cluster.seats import Seat
from tenfold.cluster.served import CUDA_ROWS
from tenfold.errors import ArtifactError, ProjectError
from tenfold.inference import Predictor
from tenfold.inference.engines import OnnxEngine, Target
from tenfold.inference.served import served_in
from tenfold.models.arrays import ArrayModel
from tenfold.models.blend import BlendModel, Member
from tenfold.project import Project
from tenfold.testing.artifacts import fit_small
from tenfold.testing.mixed import json_rows, mixed_table
from tests.tenfold_serve.support import PROJECT, make_artifact

pytestmark = pytest.mark.gpu

ON_GPU = Target("cuda", memory_bytes=2 * 1024**3, rows=CUDA_ROWS)
N_FEATURES = 300


def matrix(n_rows: int, n_features: int = N_FEATURES) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(n_rows, n_features)).astype(np.float32)


def network(n_features: int = N_FEATURES, width: int = 512) -> ArrayModel:
    """Three layers with cosines before them, as a large search would leave them."""
    random = np.random.default_rng(0)
    n_waves = 4
    arrays: dict[str, Any] = {
        "numbers": np.arange(n_waves),
        "frequency": random.normal(size=(n_waves, 3)),
        "phase": random.normal(size=(n_waves, 3)),
    }
    n_in = n_features + 3 * n_waves
    for layer, n_out in enumerate((width, width, 3)):
        arrays[f"w{layer}"] = random.normal(size=(n_in, n_out)) / np.sqrt(n_in)
        arrays[f"b{layer}"] = random.normal(size=n_out) / 10
        n_in = n_out
    return ArrayModel("network", arrays, "softmax", n_features, 3)


def graph_of(model: ArrayModel | BlendModel) -> bytes:
    graph = model.to_onnx()
    assert graph is not None
    return graph


def test_a_network_answers_as_on_cpu_and_every_operator_of_it_on_the_gpu() -> None:
    """`Target.whole` makes the load fail where one operator would run on CPU."""
    graph, x = graph_of(network()), matrix(1_000)
    np.testing.assert_allclose(
        OnnxEngine(graph, ON_GPU).predict(x), OnnxEngine(graph).predict(x), rtol=1e-6, atol=1e-6
    )


def test_a_row_alone_is_answered_as_in_a_batch_larger_than_one_call() -> None:
    engine, x = OnnxEngine(graph_of(network()), ON_GPU), matrix(2 * CUDA_ROWS + 7)
    scores = engine.predict(x)
    assert scores.shape == (len(x), 3)
    for row in (0, CUDA_ROWS - 1, CUDA_ROWS, len(x) - 1):
        alone = engine.predict(x[row : row + 1])
        np.testing.assert_allclose(alone[0], scores[row], rtol=2e-7, atol=1e-7)


def test_a_blend_answers_with_its_trees_on_cpu() -> None:
    _, trees = fit_small("boosting")
    n = trees.n_features
    small = network(n, 64)
    two = ArrayModel(
        "network",
        {**small.arrays, "w2": small.arrays["w2"][:, :2], "b2": small.arrays["b2"][:2]},
        "softmax",
        n,
        2,
    )
    blend = BlendModel(
        [Member(trees, 0.5, 0, n), Member(two, 0.5, 0, n)], n_features=n, n_outputs=2
    )
    graph, x = graph_of(blend), matrix(500, n)
    with pytest.raises(ArtifactError, match="a model must be loaded on the GPU"):
        OnnxEngine(graph, ON_GPU)
    part = Target("cuda", memory_bytes=2 * 1024**3, whole=False)
    np.testing.assert_allclose(
        OnnxEngine(graph, part).predict(x), OnnxEngine(graph).predict(x), rtol=1e-6, atol=1e-6
    )


def test_memory_beyond_its_share_is_not_taken() -> None:
    """Weights of 100 MB in 16 MB."""
    with pytest.raises(ArtifactError, match="a model must be loaded on the GPU"):
        OnnxEngine(graph_of(network(3_000, 2_048)), Target("cuda", memory_bytes=16 * 1024**2))


@pytest.mark.parametrize("family", ["network", "linear", "kmeans"])
def test_an_artifact_reproduces_its_golden_rows_on_the_gpu(tmp_path: Path, family: str) -> None:
    """Made on CPU, compared on the device that answers, at both doors."""
    make_artifact(tmp_path / "model", family=family)
    artifact = read_artifact(tmp_path / "model")
    on_gpu = Predictor.from_artifact(artifact, target=ON_GPU)
    assert on_gpu.check_golden() >= 64
    rows = json_rows(on_gpu.schema, mixed_table(200, seed=5))
    answers = (on_gpu.predict_rows(rows), Predictor.from_artifact(artifact).predict_rows(rows))
    np.testing.assert_allclose(answers[0].scores, answers[1].scores, rtol=1e-6, atol=1e-6)


def test_a_replica_loads_it_where_the_plan_says(tmp_path: Path) -> None:
    from tenfold_serve.arms import ArmBoard, arm_config
    from tenfold_serve.seats import seat_args, seat_from

    make_artifact(tmp_path / "model", family="network")
    project = Project.from_dict(PROJECT | {"serve": {"device": "gpu"}})
    size = {"n_rows": 3_000, "n_columns": 5, "size_bytes": 100_000, "local_bytes": 2**28}
    served = served_in(tmp_path / "model")
    seat = plan_serving(project, inventory_local(), served=served, **size)
    assert seat.device == "cuda"
    board = ArmBoard(seat_from(seat_args(seat)["gpu"]))
    config = arm_config(
        "champion",
        version=1,
        digest=read_artifact(tmp_path / "model").manifest.model_digest,
        path=tmp_path / "model",
        weight=1.0,
    )
    lineup = board.change({"generation": 1, "arms": [config]})
    assert lineup.reason == ""
    assert [arm.device for arm in lineup.arms] == ["cuda"]


def test_trees_are_refused_on_this_machine_too(tmp_path: Path) -> None:
    make_artifact(tmp_path / "model")
    project = Project.from_dict(PROJECT | {"serve": {"device": "gpu"}})
    size = {"n_rows": 3_000, "n_columns": 5, "size_bytes": 100_000, "local_bytes": 2**28}
    with pytest.raises(ProjectError, match="no CUDA kernel"):
        plan_serving(project, inventory_local(), served=served_in(tmp_path / "model"), **size)
    seat = plan_serving(
        Project.from_dict(PROJECT), inventory_local(), served=served_in(tmp_path / "model"), **size
    )
    assert seat == Seat(reason=seat.reason)
