"""The house itself: what stands at the root and in the wings, and what must never stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


BESIDE = {"gpu"}
"""Extras whose packages take the place of ours: in no lock, and in an image on demand."""


def _extras() -> dict[str, list[str]]:
    """What pyproject asks for: ``""`` for everybody, and by extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def test_the_image_holds_every_extra_of_run_time() -> None:
    image = (ROOT / "Dockerfile").read_text()
    (named,) = re.findall(r"'\.\[([a-z,]+)\]'", image)
    assert set(named.split(",")) == set(_extras()) - {"", "dev", "docs"} - BESIDE
    (replaced,) = re.findall(r"'(onnxruntime-gpu[^']+)'", image)
    assert [replaced] == _extras()["gpu"]
    last_stage = image.rpartition("FROM ")[2]
    assert "wget" in last_stage.partition("USER 10001")[0], "KubeRay probes workers with wget"


def _needed(requirements: list[str], *, seen: set[str]) -> Iterator[str]:
    """Names of everything that a list of requirements pulls in here."""
    for text in requirements:
        asked = Requirement(text)
        name = canonicalize_name(asked.name)
        if asked.marker and not asked.marker.evaluate({"extra": ""}):
            continue
        for extra in ("", *sorted(asked.extras)):
            if f"{name}[{extra}]" in seen:
                continue
            seen.add(f"{name}[{extra}]")
            yield name
            pulled = map(Requirement, distribution(name).requires or [])
            now = [
                str(Requirement(str(one).partition(";")[0]))
                for one in pulled
                if one.marker is None or one.marker.evaluate({"extra": extra})
            ]
            yield from _needed(now, seen=seen)


def test_the_lock_pins_whatever_is_pulled_in() -> None:
    lines = (ROOT / "constraints.lock").read_text().splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines}
    assert len(pinned) == len(lines)
    asked = [line for extra, lines in _extras().items() if extra not in BESIDE for line in lines]
    needed = set(_needed(asked, seen=set()))
    assert "setuptools" in needed, "torch asks for it"
    assert needed - pinned == set()


def test_every_guide_is_found() -> None:
    guides = {path.name for path in (ROOT / "docs").glob("*.md")}
    linked = re.findall(r"\]\(([a-z-]+\.md)\)", (ROOT / "docs" / "index.md").read_text())
    assert set(linked) == guides - {"index.md"}
    navigation = re.findall(r"([a-z-]+\.md)", (ROOT / "mkdocs.yml").read_text())
    assert set(navigation) == guides
