"""Fixtures of the serving wing: a project and its published versions."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tenfold.project import Project, load_project
from tenfold.registry import Registry, Version
from tenfold.settings import Settings
from tests.tenfold_serve.support import PROJECT, Publish, make_artifact


@pytest.fixture
def publish(settings: Settings, tmp_path: Path) -> Publish:
    """Publish another model of the project; each seed is another version."""

    def make(seed: int = 0, *, family: str = "boosting", promote: bool = False) -> Version:
        registry = Registry(settings)
        folder = tmp_path / f"artifact-{family}-{seed}"
        make_artifact(folder, family=family, seed=seed)
        version = registry.publish("mixed", folder)
        if promote:
            before = registry.alias("mixed", "champion")
            registry.promote("mixed", version.version, expected=before)
        return version

    return make


@pytest.fixture
def project_file(tmp_path: Path) -> Path:
    path = tmp_path / "project.yaml"
    path.write_text(yaml.safe_dump(PROJECT))
    (tmp_path / "mixed.csv").write_text("label\nyes\nno\n")
    return path


@pytest.fixture
def project(project_file: Path) -> Project:
    return load_project(project_file)
