"""The one table of scoring engines: from verified bytes to a function of a matrix.

An artifact names its engine, and that one answers everywhere; nothing falls back to another at run
time, because engines differ in the last bits of about half the rows. Every engine runs on one
thread: a row through XGBoost takes .3 ms with one thread and 2-5 ms with two on busy cores.

Engines answer on CPU. ONNX Runtime alone may answer on a GPU, where the replica has one; a load on
a GPU that is not possible fails, so that the model before it stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from tenfold.errors import ArtifactError
from tenfold.features.ops.base import Features

__all__ = ["ENGINES", "HOST", "Engine", "Scores", "Target", "load_engine"]

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Target:
    """What a model is loaded on.

    Attributes:
        device: ``"cuda"`` for the first GPU that the process sees.
        memory_bytes: of the GPU that the model may take, None for no limit.
        whole: whether all of it must run there; trees of a blend cannot.
        rows: of one call; larger matrices are cut. None for no limit.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    memory_bytes: int | None = None
    whole: bool = True
    rows: int | None = None


HOST = Target()
"""On CPU, where every engine answers."""


class Engine(Protocol):
    """A loaded scorer. Immutable: any thread may call it."""

    def predict(self, matrix: Features) -> Scores:
        """Scores of some rows.

        Args:
            matrix: float32 (n_rows, n_features), at least one row.

        Returns:
            float64 (n_rows, n_scores); the same bits for a row alone and in a batch, on CPU. On a
            GPU sums come in another order for another number of rows: equal but for a float32 that
            is rounded the other way, once in many millions.
        """


class OnnxEngine:
    """ONNX Runtime on one thread, or on a GPU.

    Measured (200 trees, 20 features): 11 us a row, against 265 us by the booster's Python call.

    Args:
        data: bytes of ``model.onnx``, with one float32 input and the output ``scores`` (or one
            output only), float32 (n_rows, n_scores).
        target: what it is loaded on.

    Raises:
        ArtifactError: the runtime refuses the bytes, the graph has other inputs or outputs, or the
            GPU cannot be used.
    """

    def __init__(self, data: bytes, target: Target = HOST) -> None:
        session = _session(data, target)
        inputs = [node.name for node in session.get_inputs()]
        outputs = [node.name for node in session.get_outputs()]
        if len(inputs) != 1 or (len(outputs) != 1 and "scores" not in outputs):
            raise ArtifactError(
                f"model.onnx has one input and an output 'scores', not {inputs} and {outputs}; "
                "publish the model again"
            )
        self._run = session.run
        self._rows = target.rows
        self._input = inputs[0]
        self._outputs = ["scores" if "scores" in outputs else outputs[0]]

    def predict(self, matrix: Features) -> Scores:
        """See `Engine.predict`."""
        if self._rows is not None and len(matrix) > self._rows:
            starts = range(0, len(matrix), self._rows)
            return np.concatenate([self._call(matrix[at : at + self._rows]) for at in starts])
        return self._call(matrix)

    def _call(self, matrix: Features) -> Scores:
        scores = self._run(self._outputs, {self._input: matrix})[0]
        return np.asarray(scores, dtype=np.float64)


def _session(data: bytes, target: Target) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: warnings about unused nodes are noise
    if target.device == "cuda":
        from tenfold.inference.cuda import cuda_session

        return cuda_session(data, options, memory_bytes=target.memory_bytes, whole=target.whole)
    try:
        return onnxruntime.InferenceSession(
            data, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime's errors share no public base
        raise ArtifactError(
            f"model.onnx was refused by onnxruntime {onnxruntime.__version__}: {error}; "
            "publish the model again"
        ) from error


def _load_onnx(files: Mapping[str, bytes], family: str, target: Target) -> Engine:
    return OnnxEngine(files["model.onnx"], target)


def _load_native(files: Mapping[str, bytes], family: str, target: Target) -> Engine:
    from tenfold.models import load_model

    if target.device != "cpu":
        raise ArtifactError(
            f"a model of {family} that ONNX Runtime does not run must be loaded on CPU, not on "
            f"{target.device}: its engine computes there alone; write 'serve: {{device: auto}}'"
        )
    return load_model(family, files)


ENGINES: dict[str, Callable[[Mapping[str, bytes], str, Target], Engine]] = {
    "onnx": _load_onnx,
    "xgboost": _load_native,
    "arrays": _load_native,
    "blend": _load_native,
}
"""By the name in the manifest: (files, model family, target) to an engine."""


def load_engine(
    name: str, *, files: Mapping[str, bytes], family: str, target: Target = HOST
) -> Engine:
    """The scorer of an artifact.

    Args:
        name: key of `ENGINES`.
        files: verified bytes by file name; XGBoost must never see any others.
        family: of the model, for native files.
        target: what it is loaded on.

    Raises:
        ArtifactError: the engine is unknown, refuses the bytes, or cannot answer on the target.
    """
    if name not in ENGINES:
        raise ArtifactError(
            f"a scoring engine is one of {', '.join(ENGINES)}, not {name!r}; upgrade tenfold"
        )
    return ENGINES[name](files, family, target)
