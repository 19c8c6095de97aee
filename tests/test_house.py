"""The house itself: what stands at the root and in the wings, and what must never stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WINGS = ("platform", "jobs", "serve")


def test_no_wing_shadows_the_standard_library() -> None:
    program = "import platform; print(platform.system())"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == os.uname().sysname
    assert [wing for wing in WINGS if (ROOT / wing / "__init__.py").exists()] == []
    assert not (ROOT / "tests" / "platform").exists()


@pytest.mark.parametrize(
    "package",
    [
        "monitor",
        "evaluation",
        "inference",
        "features",
        "profile",
        "registry",
        "project",
        "artifact",
    ],
)
def test_what_answers_and_judges_imports_nothing_heavy(package: str) -> None:
    program = (
        f"import sys, tenfold.{package}; "
        "print([m for m in ('ray', 'torch', 'xgboost', 'mlflow', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_nothing_that_loads_code_is_written_anywhere() -> None:
    """Words that would unpickle or evaluate, in anything that ships."""
    words = ("import pickle", "joblib", "cloudpickle", "torch.load", "yaml.load(", " eval(")
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for wing in WINGS
        for path in (ROOT / wing).rglob("*.py")
        if "testing" not in path.parts  # the suites check that shards can travel to workers
        for word in words
        for line in path.read_text().splitlines()
        if word in line and not line.lstrip().startswith(("#", '"', "-"))
    ]
    assert found == []


def test_modules_stay_small() -> None:
    sizes = sorted(
        (len(path.read_text().splitlines()), str(path.relative_to(ROOT)))
        for wing in WINGS
        for path in (ROOT / wing).rglob("*.py")
    )
    assert sizes[-1][0] <= 500
    assert sizes[int(0.9 * len(sizes))][0] <= 350


def _extras() -> dict[str, list[str]]:
    """What pyproject asks for: ``""`` for everybody, and by extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def test_the_image_holds_every_extra_of_run_time() -> None:
    image = (ROOT / "Dockerfile").read_text()
    (named,) = re.findall(r"'\.\[([a-z,]+)\]'", image)
    assert set(named.split(",")) == set(_extras()) - {"", "dev", "docs"}
    last_stage = image.rpartition("FROM ")[2]
    assert "wget" in last_stage.partition("USER 10001")[0], "KubeRay probes workers with wget"
