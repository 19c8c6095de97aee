"""The one table of scoring engines: from verified bytes to a function of a matrix.

An artifact names its engine, and that one answers everywhere; nothing falls back to another at run
time, because engines differ in the last bits of about half the rows. Every engine runs on one
thread: a row through XGBoost takes .3 ms with one thread and 2-5 ms with two on busy cores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tenfold.errors import ArtifactError
from tenfold.features.ops.base import Features

__all__ = ["ENGINES", "Engine", "Scores", "load_engine"]

Scores = npt.NDArray[np.float64]


class Engine(Protocol):
    """A loaded scorer. Immutable: any thread may call it."""

    def predict(self, matrix: Features) -> Scores:
        """Scores of some rows.

        Args:
            matrix: float32 (n_rows, n_features), at least one row.

        Returns:
            float64 (n_rows, n_scores); the same bits for a row alone and in a batch.
        """


class OnnxEngine:
    """ONNX Runtime on one thread.

    Measured (200 trees, 20 features): 11 us a row, against 265 us by the booster's Python call.

    Args:
        data: bytes of ``model.onnx``, with one float32 input and the output ``scores`` (or one
            output only), float32 (n_rows, n_scores).

    Raises:
        ArtifactError: the runtime refuses the bytes, or the graph has other inputs or outputs.
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: warnings about unused nodes are noise
        try:
            session = onnxruntime.InferenceSession(
                data, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's errors share no public base
            raise ArtifactError(
                f"model.onnx was refused by onnxruntime {onnxruntime.__version__}: {error}; "
                "publish the model again"
            ) from error
        inputs = [node.name for node in session.get_inputs()]
        outputs = [node.name for node in session.get_outputs()]
        if len(inputs) != 1 or (len(outputs) != 1 and "scores" not in outputs):
            raise ArtifactError(
                f"model.onnx has one input and an output 'scores', not {inputs} and {outputs}; "
                "publish the model again"
            )
        self._run = session.run
        self._input = inputs[0]
        self._outputs = ["scores" if "scores" in outputs else outputs[0]]

    def predict(self, matrix: Features) -> Scores:
        """See `Engine.predict`."""
        scores = self._run(self._outputs, {self._input: matrix})[0]
        return np.asarray(scores, dtype=np.float64)


def _load_onnx(files: Mapping[str, bytes], family: str) -> Engine:
    return OnnxEngine(files["model.onnx"])


def _load_native(files: Mapping[str, bytes], family: str) -> Engine:
    from tenfold.models import load_model

    return load_model(family, files)


ENGINES: dict[str, Callable[[Mapping[str, bytes], str], Engine]] = {
    "onnx": _load_onnx,
    "xgboost": _load_native,
    "arrays": _load_native,
    "blend": _load_native,
}
"""By the name in the manifest: (files, model family) to an engine."""


def load_engine(name: str, *, files: Mapping[str, bytes], family: str) -> Engine:
    """The scorer of an artifact.

    Args:
        name: key of `ENGINES`.
        files: verified bytes by file name; XGBoost must never see any others.
        family: of the model, for native files.

    Raises:
        ArtifactError: the engine is unknown, or refuses the bytes.
    """
    if name not in ENGINES:
        raise ArtifactError(
            f"a scoring engine is one of {', '.join(ENGINES)}, not {name!r}; upgrade tenfold"
        )
    return ENGINES[name](files, family)
