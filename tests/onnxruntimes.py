"""A stand-in of ONNX Runtime: the runtime is not ours, and what it does without a driver or without
its libraries cannot be had where there is no GPU."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

CPU = ["CPUExecutionProvider"]
BOTH = ["CUDAExecutionProvider", *CPU]


class Options:
    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_session_config_entry(self, name: str, value: str) -> None:
        self.entries[name] = value


class Runtime(ModuleType):
    """Answers as the real one on CPU, and claims what a test tells it to.

    Args:
        available: providers of the build.
        used: what a session says that it runs on.
        error: that a session raises when it is made, if any.
    """

    def __init__(self, *, available: list[str], used: list[str], error: str = "") -> None:
        super().__init__("onnxruntime")
        import onnxruntime

        self.real = onnxruntime
        self.available, self.used, self.error = available, used, error
        self.asked: dict[str, Any] = {}
        self.options: list[Options] = []
        self.calls: list[int] = []
        self.fallback = True
        self.lost = ""
        self.__version__ = "0.0"

    def get_available_providers(self) -> list[str]:
        return self.available

    def preload_dlls(self) -> None:
        print("libcublas.so.13 was not found")

    def SessionOptions(self) -> Options:  # noqa: N802  (the runtime's own name)
        self.options.append(Options())
        return self.options[-1]

    def InferenceSession(self, data: bytes, **asked: Any) -> Runtime:  # noqa: N802
        self.asked = asked
        if self.error:
            raise RuntimeError(self.error)
        providers = ["CPUExecutionProvider"]
        self.session = self.real.InferenceSession(data, providers=providers)
        self.get_inputs, self.get_outputs = self.session.get_inputs, self.session.get_outputs
        return self

    def get_providers(self) -> list[str]:
        return self.used

    def disable_fallback(self) -> None:
        self.fallback = False

    def run(self, outputs: list[str], feed: dict[str, Any]) -> Any:
        if self.lost:
            raise RuntimeError(self.lost)
        self.calls += [len(matrix) for matrix in feed.values()]
        return self.session.run(outputs, feed)


def stand_in(monkeypatch: pytest.MonkeyPatch, *, used: list[str], error: str = "") -> Runtime:
    """A build with CUDA in the runtime's place."""
    runtime = Runtime(available=BOTH, used=used, error=error)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    return runtime


def without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build without CUDA in the runtime's place, as ours is by default."""
    monkeypatch.setitem(sys.modules, "onnxruntime", Runtime(available=CPU, used=CPU))
