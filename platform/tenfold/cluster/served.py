"""What a model costs to answer with, and whether CUDA can answer for it. Pure.

Only ONNX Runtime answers on a GPU here. It has CUDA kernels, in double, for every operator of ours
but trees: it knows no kernel of the domain ``ai.onnx.ml`` at all (its own table of kernels, 1.31).
XGBoost's and NumPy's engines stay on CPU: a booster's call takes .3 ms there whatever is asked,
nearly all of it in Python, and would take its rows to a GPU and back on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tenfold.errors import ProjectError

__all__ = ["CUDA_ROWS", "GPU_FROM_ROW_S", "Asked", "Served", "device_of"]

Asked = Literal["auto", "cpu", "gpu"]
"""What a project says of a device."""
Device = Literal["cpu", "cuda"]

ROW_FIXED_S = 1e-5
"""Of one row on one core by ONNX Runtime, whatever the model: 10.5 us for a network of 64."""
ROW_FLOP_PER_S = 3e9
"""Of one row through a network in double on one core: 1.8-6.3e9, the weights come from memory
(measured, 20 to 5,000 features, layers of 64 to 2,048; rows of a large call share them, 4.6e10)."""
GPU_FROM_ROW_S = 1e-3
"""Time of a row on CPU from which ``auto`` answers on a GPU. Its own way there, some ten launches
of 5 us and back is expected to take .1 to .2 ms a call (published launch costs, not measured yet),
so that one row alone gains, too. A network as we train them takes 40 us."""
CUDA_ROWS = 4096
"""Rows of one call on a GPU; more are cut, which bounds its memory whatever is asked."""
FLOAT64_BYTES = 8
LIVE_MATRICES = 3
"""Of one call at a time: what goes into a layer, what comes out, and one in flight."""


@dataclass(frozen=True, slots=True)
class Served:
    """What is known of a model that answers.

    Attributes:
        engine: of its manifest.
        family: of its manifest.
        products: multiplications of a row in matrix products, which CUDA computes; 0 for none.
        weight_bytes: of the constants in its graph.
        widest: columns of the widest matrix between two operators.
        left_on_cpu: operators that have no CUDA kernel, sorted.

    >>> small = Served("onnx", "network", products=5_000)
    >>> f"{small.row_s * 1e6:.0f} us", Served("onnx", "boosting").runs_on_cuda
    ('13 us', False)
    """

    engine: str
    family: str
    products: int = 0
    weight_bytes: int = 0
    widest: int = 0
    left_on_cpu: tuple[str, ...] = ()

    @property
    def runs_on_cuda(self) -> bool:
        """Whether a part of it that is worth the way runs on a GPU."""
        return self.engine == "onnx" and self.products > 0

    @property
    def row_s(self) -> float:
        """What its products take for one row on one core, in seconds; right within a factor of
        two. Trees are not counted."""
        return ROW_FIXED_S + 2 * self.products / ROW_FLOP_PER_S

    @property
    def gpu_bytes(self) -> int:
        """Of a GPU's memory, for this model and one call."""
        return self.weight_bytes + CUDA_ROWS * self.widest * FLOAT64_BYTES * LIVE_MATRICES


def device_of(served: Served, asked: Asked) -> tuple[Device, str]:
    """Where a model answers in a replica that has a GPU, and why.

    Args:
        served: the model.
        asked: ``serve.device`` of the project.

    Raises:
        ProjectError: a GPU is asked for, and no part of the model runs on one.
    """
    if asked == "cpu":
        return "cpu", "as the project says"
    if not served.runs_on_cuda:
        if asked == "gpu":
            raise ProjectError(
                f"serve.device: gpu needs a model with a part that runs on CUDA; {_why_not(served)}"
                "; write 'device: auto', or name a family of networks in train.families"
            )
        return "cpu", _why_not(served)
    kept = f" ({', '.join(served.left_on_cpu)} on CPU)" if served.left_on_cpu else ""
    if asked == "gpu":
        return "cuda", f"as the project says{kept}"
    row, least = in_time(served.row_s), in_time(GPU_FROM_ROW_S)
    if served.row_s < GPU_FROM_ROW_S:
        return "cpu", f"a row takes about {row} there, a GPU is expected to pay from {least} on"
    return "cuda", f"a row takes about {row} on CPU, and a GPU pays from {least} on{kept}"


def _why_not(served: Served) -> str:
    if served.engine != "onnx":
        return f"{served.family} answers by the engine {served.engine}, which computes on CPU alone"
    if served.left_on_cpu:
        names = ", ".join(served.left_on_cpu)
        return f"{served.family} answers by {names}, for which ONNX Runtime has no CUDA kernel"
    return f"{served.family} has no matrix products"


def in_time(seconds: float) -> str:
    """Seconds for people.

    >>> in_time(1.3e-5), in_time(0.00224)
    ('13 us', '2.2 ms')
    """
    return f"{seconds * 1e6:.0f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2g} ms"
