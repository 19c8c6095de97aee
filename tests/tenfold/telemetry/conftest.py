from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def views() -> ModuleType:
    """The module of ready-made views."""
    return _load("views")


@pytest.fixture(scope="session")
def monitoring_folder() -> Path:
    """The committed rules and boards."""
    return ROOT / "k8s" / "monitoring"


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"in CI {name} must be installed (Debian package prometheus)")
        pytest.skip(f"{name} is not installed (Debian package prometheus)")
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of promtool."""
    return _program("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """The path of the Prometheus server."""
    return _program("prometheus")
