from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tenfold.artifact import ENGINE_FILES
from tenfold.errors import ArtifactError
from tenfold.inference import ENGINES, load_engine
from tenfold.testing.artifacts import fit_small
from tenfold.testing.mixed import mixed_table


def test_the_table_of_engines_is_the_manifests() -> None:
    assert set(ENGINES) == set(ENGINE_FILES)


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ArtifactError, match="is one of onnx, xgboost, arrays, blend, not 'torch'"):
        load_engine("torch", files={}, family="network")


def test_onnx_answers_like_the_native_model() -> None:
    for family in ("boosting", "linear", "kmeans"):
        fitted, model = fit_small(family)
        matrix = fitted.transform(mixed_table(100, seed=7))
        graph = model.to_onnx()
        assert graph is not None
        engine = load_engine("onnx", files={"model.onnx": graph}, family=family)
        np.testing.assert_allclose(engine.predict(matrix), model.predict(matrix), atol=1e-6)


def test_a_graph_with_two_inputs_is_refused() -> None:
    from onnx import TensorProto, helper

    names = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "abc"]
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"])], "g", names[:2], names[2:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ArtifactError, match="one input and an output 'scores'"):
        load_engine("onnx", files={"model.onnx": model.SerializeToString()}, family="linear")


@pytest.mark.parametrize("location", ["secret.bin", "../secret.bin", "{folder}/secret.bin"])
def test_a_graph_that_reads_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    from onnx import TensorProto, helper

    inner = tmp_path / "inner"
    inner.mkdir()
    for folder in (tmp_path, inner):
        (folder / "secret.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    monkeypatch.chdir(inner)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location.format(folder=inner))
    x, scores = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4])
        for name in ("x", "scores")
    )
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["scores"])], "g", [x], [scores], [tensor]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ArtifactError, match="was refused by onnxruntime"):
        load_engine("onnx", files={"model.onnx": model.SerializeToString()}, family="linear")
