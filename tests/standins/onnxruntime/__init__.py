"""On the path before the real one: the real one, which claims CUDA and computes on CPU.

What is asked of a GPU is thereby walked through real processes where there is none. The module that
is imported in the end is the real one, changed in three places. In a process for which there is a
file ``$BROKEN_GPU.{pid}`` the GPU answers no more.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

HERE = str(Path(__file__).resolve().parents[1])
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def _real() -> Any:
    others = [place for place in sys.path if str(Path(place).resolve()) != HERE]
    spec = PathFinder.find_spec("onnxruntime", others)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["onnxruntime"] = module
    spec.loader.exec_module(module)
    return module


real = _real()


class Session(real.InferenceSession):  # type: ignore[misc]
    """A session on CPU that says it is on the GPU where it was asked to be."""

    def __init__(self, data: bytes, *more: Any, providers: list[Any], **asked: Any) -> None:
        names = [one if isinstance(one, str) else one[0] for one in providers]
        self.claimed = names
        if CUDA in names:
            asked.pop("sess_options")  # it refuses what would run on CPU
        super().__init__(data, *more, providers=[CPU], **asked)

    def run(self, *asked: Any) -> Any:
        if CUDA in self.claimed and Path(f"{os.environ.get('BROKEN_GPU')}.{os.getpid()}").exists():
            raise RuntimeError("CUDA failure 719: unspecified launch failure")
        return super().run(*asked)

    def get_providers(self) -> list[str]:
        return self.claimed


real.InferenceSession = Session
real.get_available_providers = lambda: [CUDA, CPU]
