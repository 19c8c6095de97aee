"""Which engine answers for a model: ONNX where it gives the same scores, else the native one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tenfold.models.base import Matrix, Model
from tenfold.models.blend import BLEND

__all__ = ["NATIVE_ENGINES", "EngineChoice", "choose_engine"]

ONNX_FILE = "model.onnx"
NATIVE_ENGINES = {"boosting": "xgboost", BLEND: "blend"}
"""By family; every other family is arrays."""
NOISE = 1e-5
"""Largest difference that float32 sums in another order explain, as a share of the score or of the
scores' spread (sums near zero cancel): some hundred trees differ by 1e-6, a wrong conversion by
1e-2 and more."""
TINY = 1e-30


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine of an artifact.

    Attributes:
        name: ``onnx``, ``xgboost``, ``arrays`` or ``blend``.
        files: the native files, and ``model.onnx`` if it answers.
        score: what that engine answers, float64 (n_rows, k), with one thread.
        difference: largest difference between ONNX and native on the compared rows, None if there
            is no ONNX.
        reason: in words.
    """

    name: str
    files: dict[str, bytes]
    score: Callable[[Matrix], NDArray[np.float64]]
    difference: float | None
    reason: str


def choose_engine(model: Model, matrix: Matrix) -> EngineChoice:
    """Converts a model and compares both engines on every given row.

    Args:
        model: just fitted.
        matrix: prepared rows float32 (n_rows, n_features); give all there are, not a few.
    """
    native = NATIVE_ENGINES.get(model.family, "arrays")
    files = model.files()
    graph = model.to_onnx()
    if graph is None:
        return EngineChoice(native, files, model.predict, None, "the model does not convert")
    score = _onnx(graph)
    difference = _difference(model.predict(matrix), score(matrix))
    if difference > NOISE:
        reason = f"ONNX differs by {difference:.1e} on {len(matrix)} rows, beyond {NOISE:.0e}"
        return EngineChoice(native, files, model.predict, difference, reason)
    reason = f"ONNX agrees within {difference:.1e} on {len(matrix)} rows"
    return EngineChoice("onnx", files | {ONNX_FILE: graph}, score, difference, reason)


def _difference(native: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if native.shape != other.shape:
        return float("inf")
    scale = np.maximum(np.abs(native), native.std(axis=0)) + TINY
    gap = np.abs(native - other) / scale
    return float(gap.max(initial=0.0)) if np.isfinite(gap).all() else float("inf")


def _onnx(graph: bytes) -> Callable[[Matrix], NDArray[np.float64]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def score(matrix: Matrix) -> NDArray[np.float64]:
        (scores,) = session.run(["scores"], {"x": np.asarray(matrix, dtype=np.float32)})
        return np.asarray(scores, dtype=np.float64)

    return score
