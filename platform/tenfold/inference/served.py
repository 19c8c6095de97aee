"""What a model is to those who plan its replicas: read from its graph, never run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenfold.artifact import Artifact, read_artifact
from tenfold.cluster.served import Served
from tenfold.errors import ArtifactError

__all__ = ["CUDA_OPERATORS", "served_by", "served_in", "served_of"]

CUDA_OPERATORS = frozenset(
    {
        *("Add", "Cast", "Clip", "Concat", "Cos", "Div", "Exp", "Gather", "Gemm", "Log", "MatMul"),
        *("Max", "Min", "Mul", "ReduceSum", "Relu", "Sigmoid", "Slice", "Softmax", "Sub", "Sum"),
    }
)
"""Operators of our graphs that ONNX Runtime's CUDA provider computes in float64, by its own table
of kernels (``docs/OperatorKernels.md``, 1.31). What is not here is taken to stay on CPU."""
_PRODUCTS = ("MatMul", "Gemm")


def served_of(artifact: Artifact) -> Served:
    """What is known of a verified artifact.

    Raises:
        ArtifactError: its graph cannot be read.
    """
    manifest = artifact.manifest
    return served_by(manifest.engine, family=manifest.lineage.family, files=artifact.files)


def served_in(folder: Path) -> Served:
    """The same of an artifact's folder, which is verified first.

    Raises:
        ArtifactError: the artifact is not what it claims to be, or its graph cannot be read.
    """
    return served_of(read_artifact(folder))


def served_by(engine: str, *, family: str, files: Mapping[str, bytes]) -> Served:
    """What is known of an engine's files.

    Args:
        engine: of the manifest.
        family: of the model.
        files: verified bytes by name.

    Raises:
        ArtifactError: ``model.onnx`` is no graph.
    """
    if engine != "onnx":
        return Served(engine, family)
    graph = _graph(files["model.onnx"])
    shapes = {array.name: tuple(array.dims) for array in graph.initializer}
    products, widest = 0, _columns(graph.input)
    for node in graph.node:
        if node.op_type in _PRODUCTS and not node.domain:
            for name in node.input:
                shape = shapes.get(name, ())
                if len(shape) == 2:
                    products += shape[0] * shape[1]
                    widest = max(widest, *shape)
    left = {
        node.op_type for node in graph.node if node.domain or node.op_type not in CUDA_OPERATORS
    }
    return Served(
        engine,
        family,
        products=products,
        weight_bytes=sum(_size(array) for array in graph.initializer),
        widest=widest,
        left_on_cpu=tuple(sorted(left)),
    )


def _graph(data: bytes) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model_from_string(data).graph
    except (DecodeError, ValueError) as error:
        raise ArtifactError(f"model.onnx is no graph: {error}; publish the model again") from error


def _columns(inputs: Any) -> int:
    """Of the widest input whose width is told."""
    widths = [one.type.tensor_type.shape.dim[-1].dim_value for one in inputs if _has_width(one)]
    return max(widths, default=0)


def _has_width(one: Any) -> bool:
    return len(one.type.tensor_type.shape.dim) == 2


def _size(array: Any) -> int:
    """Bytes of a constant, as it lies in the file."""
    return len(array.raw_data) or array.ByteSize()
