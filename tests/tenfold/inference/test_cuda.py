"""Without CUDA an engine says so and answers nothing; a stand-in of the runtime shows the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenfold.artifact import read_artifact
from tenfold.errors import ArtifactError, UserError
from tenfold.inference import Predictor, check_golden, load_engine
from tenfold.inference.cuda import provider_options, require_cuda
from tenfold.inference.engines import OnnxEngine, Target
from tenfold.testing.artifacts import fit_small, small_artifact
from tests.onnxruntimes import BOTH, stand_in, without_cuda

ON_CUDA = Target("cuda")
REMEDY = (
    "install the extra tenfold[gpu], then `pip uninstall onnxruntime` and `pip install "
    "--force-reinstall --no-deps onnxruntime-gpu`, or write 'serve: {device: cpu}'"
)


def linear() -> bytes:
    graph = fit_small("linear")[1].to_onnx()
    assert graph is not None
    return graph


def test_without_the_provider_nothing_is_loaded_and_the_remedy_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = linear()
    without_cuda(monkeypatch)
    expected = (
        "onnxruntime 0.0 must bring CUDAExecutionProvider to answer on a GPU, and it brings "
        f"CPUExecutionProvider; {REMEDY}"
    )
    with pytest.raises(ArtifactError) as caught:
        OnnxEngine(graph, ON_CUDA)
    assert str(caught.value) == expected
    with pytest.raises(UserError) as refused:
        require_cuda()
    assert str(refused.value) == expected


@pytest.mark.parametrize("engine", ["xgboost", "arrays", "blend"])
def test_other_engines_are_not_loaded_on_a_gpu(engine: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        load_engine(engine, files={}, family="boosting", target=ON_CUDA)
    assert str(caught.value) == (
        "a model of boosting that ONNX Runtime does not run must be loaded on CPU, not on cuda: "
        "its engine computes there alone; write 'serve: {device: auto}'"
    )


def test_a_session_is_asked_for_on_the_gpu_with_its_memory_and_no_way_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph, matrix = linear(), np.ones((10, fit_small("linear")[1].n_features), dtype=np.float32)
    expected = OnnxEngine(graph).predict(matrix)
    runtime = stand_in(monkeypatch, used=BOTH)
    engine = OnnxEngine(graph, Target("cuda", memory_bytes=10**9, rows=4))
    assert runtime.asked["providers"] == [
        ("CUDAExecutionProvider", provider_options(10**9)),
        "CPUExecutionProvider",
    ]
    assert runtime.asked["enable_fallback"] == 0
    assert not runtime.fallback
    assert runtime.options[0].entries == {"session.disable_cpu_ep_fallback": "1"}
    np.testing.assert_array_equal(engine.predict(matrix), expected)
    assert runtime.calls == [4, 4, 2]
    engine.predict(matrix[:4])
    assert runtime.calls[3:] == [4]


def test_trees_of_a_blend_may_stay_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, runtime = linear(), stand_in(monkeypatch, used=BOTH)
    OnnxEngine(graph, Target("cuda", whole=False))
    assert runtime.options[0].entries == {}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"used": ["CPUExecutionProvider"]}, "it would answer by CPUExecutionProvider"),
        ({"used": BOTH, "error": "CUDA failure 100: no device"}, "CUDA failure 100: no device"),
    ],
    ids=["the runtime fell back by itself", "the runtime refused"],
)
def test_a_gpu_that_does_not_answer_is_an_error_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], why: str
) -> None:
    graph = linear()
    stand_in(monkeypatch, **said)
    with pytest.raises(ArtifactError) as caught:
        OnnxEngine(graph, ON_CUDA)
    assert str(caught.value) == (
        f"a model must be loaded on the GPU that its replica has, and was not: {why} "
        "(libcublas.so.13 was not found); look at the driver (nvidia-smi) and at CUDA's and "
        "cuDNN's libraries (pip install 'onnxruntime-gpu[cuda,cudnn]'), or write 'serve: {device: "
        "cpu}'"
    )


def test_golden_rows_are_compared_on_the_device_that_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_artifact(tmp_path / "a", family="linear")
    artifact = read_artifact(tmp_path / "a")
    runtime = stand_in(monkeypatch, used=BOTH)
    predictor = Predictor.from_artifact(artifact, target=ON_CUDA)
    n_rows = check_golden(predictor, artifact.files["golden.arrow"])
    assert runtime.calls == [n_rows, n_rows], "as a table and as JSON rows"
