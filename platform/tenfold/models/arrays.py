"""Models that are a few named arrays and a stack of named operations: no library at prediction.

The files are ``weights.safetensors`` (float64 arrays) and ``arch.json`` (family, layers, output).
Dummy, linear, network and k-means all end here, so one loader, one predictor and one ONNX export
serve them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.canonical import canonical_json
from tenfold.errors import ArtifactError
from tenfold.models.base import Matrix, TargetMap
from tenfold.models.onnx_graph import Graph

__all__ = ["ARCH_FILE", "WEIGHTS_FILE", "ArrayModel", "load_arrays"]

ARCH_FILE = "arch.json"
WEIGHTS_FILE = "weights.safetensors"
OUTPUTS = ("value", "sigmoid", "softmax", "nearest")
"""Closed: what turns the last layer into scores; "nearest" is softmax of minus squared distance."""
BATCH_ROWS = 16_384
"""Rows a matrix product takes at once: bounds memory at 16k x 512 doubles = 64 MiB."""


@dataclass(frozen=True, slots=True)
class ArrayModel:
    """Dense layers with ReLU between them, then one of ``OUTPUTS``.

    Arrays ``w0, b0, w1, b1 …``: weights (n_in, n_out) and biases (n_out,), float64. For "nearest",
    ``w0`` holds the centers (k, n_features), ``b0`` the temperature (1,). Where there are arrays
    ``numbers`` int64 (d,), ``frequency`` and ``phase`` (d, m), the first layer also sees
    ``cos(x[numbers] * frequency + phase)``, d * m more columns behind the features.
    """

    family: str
    arrays: Mapping[str, NDArray[Any]]
    output: str
    n_features: int
    n_outputs: int
    target: TargetMap = field(default_factory=TargetMap)
    rounds: int = 0

    @property
    def n_layers(self) -> int:
        """Dense layers in the stack."""
        return sum(name.startswith("w") for name in self.arrays)

    def predict(self, matrix: Matrix) -> NDArray[np.float64]:
        """Scores float64 (n_rows, n_outputs) holding float32 values."""
        out = np.empty((len(matrix), self.n_outputs), dtype=np.float64)
        for start in range(0, len(matrix), BATCH_ROWS):
            part = np.asarray(matrix[start : start + BATCH_ROWS], dtype=np.float64)
            out[start : start + BATCH_ROWS] = self._score(part)
        return out.astype(np.float32).astype(np.float64)

    def _score(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.output == "nearest":
            return _softmax(-_distances(x, self.arrays["w0"]) / self.arrays["b0"][0])
        if "numbers" in self.arrays:
            z = x[:, self.arrays["numbers"], None] * self.arrays["frequency"]
            x = np.hstack([x, np.cos(z + self.arrays["phase"]).reshape(len(x), -1)])
        for layer in range(self.n_layers):
            x = x @ self.arrays[f"w{layer}"] + self.arrays[f"b{layer}"]
            if layer + 1 < self.n_layers:
                x = np.maximum(x, 0.0)
        if self.output == "softmax":
            return _softmax(x)
        if self.output == "sigmoid":
            p = _sigmoid(x)
            return np.hstack([1.0 - p, p])
        return self.target.backward(x)

    def files(self) -> dict[str, bytes]:
        """``arch.json`` and ``weights.safetensors``, equal bytes for equal models."""
        from safetensors.numpy import save

        arch = {
            "family": self.family,
            "output": self.output,
            "n_features": self.n_features,
            "n_outputs": self.n_outputs,
            "target": self.target.to_dict(),
            "rounds": self.rounds,
        }
        weights = {name: np.ascontiguousarray(value) for name, value in sorted(self.arrays.items())}
        return {ARCH_FILE: canonical_json(arch), WEIGHTS_FILE: save(weights)}

    def to_onnx(self) -> bytes | None:
        """The same computation in double, as a graph."""
        graph = Graph(self.n_features)
        x = graph.double("x")
        if self.output == "nearest":
            return graph.finish(self._onnx_nearest(graph, x), self.n_outputs)
        if "numbers" in self.arrays:
            x = graph.op("Concat", x, self._onnx_waves(graph, x), axis=1)
        for layer in range(self.n_layers):
            w, b = (graph.constant(self.arrays[f"{kind}{layer}"]) for kind in "wb")
            x = graph.op("Add", graph.op("MatMul", x, w), b)
            if layer + 1 < self.n_layers:
                x = graph.op("Relu", x)
        if self.output == "softmax":
            x = graph.op("Softmax", x, axis=1)
        elif self.output == "sigmoid":
            p = graph.op("Sigmoid", x)
            x = graph.op("Concat", graph.op("Sub", graph.constant(np.array([1.0])), p), p, axis=1)
        else:
            x = graph.backward(x, self.target)
        return graph.finish(x, self.n_outputs)

    def _onnx_waves(self, graph: Graph, x: str) -> str:
        frequency, phase = self.arrays["frequency"], self.arrays["phase"]
        # Each number is gathered once a cosine: one flat product is faster than a broadcast one.
        places = graph.constant(np.repeat(self.arrays["numbers"], frequency.shape[1]))
        z = graph.op("Gather", x, places, axis=1)
        z = graph.op("Mul", z, graph.constant(frequency.reshape(1, -1)))
        return graph.op("Cos", graph.op("Add", z, graph.constant(phase.reshape(1, -1))))

    def _onnx_nearest(self, graph: Graph, x: str) -> str:
        centers = self.arrays["w0"]
        cross = graph.op("MatMul", x, graph.constant(-2.0 * centers.T))
        length = graph.op("ReduceSum", graph.op("Mul", x, x), graph.constant(np.array([1])))
        own = graph.constant((centers**2).sum(axis=1)[None, :])
        distance = graph.op("Add", graph.op("Add", cross, length), own)
        return graph.op(
            "Softmax", graph.op("Div", distance, graph.constant(-self.arrays["b0"])), axis=1
        )


def load_arrays(files: Mapping[str, bytes]) -> ArrayModel:
    """The inverse of ``ArrayModel.files``; ``ArtifactError`` when names or shapes do not fit."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arch: dict[str, Any] = json.loads(files[ARCH_FILE])
        arrays = load(files[WEIGHTS_FILE])
        model = ArrayModel(
            family=arch["family"],
            arrays=arrays,
            output=arch["output"],
            n_features=arch["n_features"],
            n_outputs=arch["n_outputs"],
            target=TargetMap.from_dict(arch["target"]),
            rounds=arch["rounds"],
        )
    except (KeyError, ValueError, TypeError, SafetensorError) as error:
        raise ArtifactError(
            f"{ARCH_FILE} and {WEIGHTS_FILE} must describe one model: {error!r}; publish it again"
        ) from error
    _check(model)
    return model


def _check(model: ArrayModel) -> None:
    arrays = model.arrays
    names = {f"{kind}{layer}" for layer in range(model.n_layers) for kind in "wb"}
    waves = {"frequency", "numbers", "phase"} & set(arrays)
    good = (
        set(arrays) == names | waves
        and names >= {"w0", "b0"}
        and model.output in OUTPUTS
        and all(np.isfinite(array).all() for array in arrays.values())
        and (not waves or _waves_fit(model))
    )
    if good:
        n_waves = arrays["frequency"].size if waves else 0
        width_in = arrays["w0"].shape[1 if model.output == "nearest" else 0]
        good = width_in == model.n_features + n_waves
    if not good:
        raise ArtifactError(
            f"{WEIGHTS_FILE} must hold finite arrays {sorted(names | waves)} for "
            f"{model.n_features} features, got {sorted(arrays)} for output {model.output!r}; "
            "publish it again"
        )


def _waves_fit(model: ArrayModel) -> bool:
    """Whether the cosines' arrays are there, fit together and name columns of the matrix."""
    if model.output == "nearest" or not {"frequency", "numbers", "phase"} <= set(model.arrays):
        return False
    numbers, frequency = model.arrays["numbers"], model.arrays["frequency"]
    return (
        numbers.dtype == np.int64
        and frequency.shape == model.arrays["phase"].shape
        and frequency.ndim == 2
        and numbers.shape == frequency.shape[:1]
        and bool(((numbers >= 0) & (numbers < model.n_features)).all())
    )


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0 / (1.0 + e), e / (1.0 + e)))


def _softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _distances(x: NDArray[np.float64], centers: NDArray[np.float64]) -> NDArray[np.float64]:
    cross = x @ (-2.0 * centers.T)
    return np.asarray(
        cross + (x * x).sum(axis=1, keepdims=True) + (centers**2).sum(axis=1)[None, :]
    )
