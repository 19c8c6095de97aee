"""ONNX Runtime on a GPU, and never on CPU in its place.

It falls back by itself in four ways, each without an error (looked at in 1.32): a build without
CUDA drops the provider with a warning; one whose libraries are not found makes a session on CPU
with a line in the log; a session that cannot be made is made again on CPU, and one that fails in a
call is asked again on CPU, both with lines on standard output. All four are closed here.

``onnxruntime`` and ``onnxruntime-gpu`` install the same files, so whichever came last is what runs:
the extra ``gpu`` alone does not do, and the error says what does.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

from tenfold.errors import ArtifactError, UserError

__all__ = ["PROVIDER", "cuda_session", "require_cuda", "why_no_cuda"]

PROVIDER = "CUDAExecutionProvider"
_REMEDY = (
    "install the extra tenfold[gpu], then `pip uninstall onnxruntime` and `pip install "
    "--force-reinstall --no-deps onnxruntime-gpu`, or write 'serve: {device: cpu}'"
)


def why_no_cuda() -> str:
    """Why this installation runs nothing on CUDA, with the remedy; empty if it can. What a driver
    or a library lacks shows only when a session is made."""
    import onnxruntime

    found = onnxruntime.get_available_providers()
    if PROVIDER in found:
        return ""
    return (
        f"onnxruntime {onnxruntime.__version__} must bring {PROVIDER} to answer on a GPU, and it "
        f"brings {', '.join(found)}; {_REMEDY}"
    )


def require_cuda() -> None:
    """Refuse an installation that runs nothing on CUDA.

    Raises:
        UserError: with the remedy.
    """
    why = why_no_cuda()
    if why:
        raise UserError(why)


def cuda_session(data: bytes, options: Any, *, memory_bytes: int | None, whole: bool) -> Any:
    """A session on the first GPU that this process sees; Ray shows a replica its own alone.

    Args:
        data: bytes of the graph.
        options: of the session; changed.
        memory_bytes: of the GPU that its arena may take, None for no limit.
        whole: whether every operator must run on the GPU.

    Returns:
        The session; it raises where a call fails on the GPU.

    Raises:
        ArtifactError: the provider, a driver or a library is not there, the memory does not do, or
            an operator would run on CPU that must not.
    """
    import onnxruntime

    why = why_no_cuda()
    if why:
        raise ArtifactError(why)
    if whole:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        onnxruntime.preload_dlls()  # of NVIDIA's wheels; without them those of the system are used
    try:
        session = onnxruntime.InferenceSession(
            data,
            sess_options=options,
            providers=[(PROVIDER, provider_options(memory_bytes)), "CPUExecutionProvider"],
            enable_fallback=0,
        )
    except Exception as error:  # the runtime's errors share no public base
        raise ArtifactError(_refused(str(error), said.getvalue())) from error
    used = session.get_providers()
    if PROVIDER not in used:
        raise ArtifactError(_refused(f"it would answer by {', '.join(used)}", said.getvalue()))
    session.disable_fallback()
    return session


def provider_options(memory_bytes: int | None) -> dict[str, str]:
    """Options of the provider. Without TF32: it keeps ten bits of a float32, and golden rows ask
    for a millionth (our graphs are float64, those of other packages may not be).

    >>> provider_options(None)
    {'device_id': '0', 'use_tf32': '0', 'arena_extend_strategy': 'kSameAsRequested'}
    """
    options = {"device_id": "0", "use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
    if memory_bytes is not None:
        options["gpu_mem_limit"] = str(memory_bytes)
    return options


def _refused(why: str, said: str) -> str:
    """The runtime's own words, and what to look at."""
    heard = f" ({' '.join(said.split())})" if said.strip() else ""
    return (
        f"a model must be loaded on the GPU that its replica has, and was not: {why}{heard}; look "
        "at the driver (nvidia-smi) and at CUDA's and cuDNN's libraries (pip install "
        "'onnxruntime-gpu[cuda,cudnn]'), or write 'serve: {device: cpu}'"
    )
