"""Fixtures of the jobs wing: a project on the mixed table and its published versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tenfold.project import Project
from tenfold.registry import Registry, Version
from tenfold.settings import Settings
from tenfold.testing.artifacts import small_artifact
from tests.runs import with_runs
from tests.tenfold_jobs.support import Case, make_case

PublishSmall = Callable[..., Version]


@pytest.fixture
def runs(settings: Settings) -> None:
    """The home is that of an installation that mirrored a training before."""
    with_runs(settings)


@pytest.fixture
def mixed_project(tmp_path: Path) -> Project:
    body = {
        "name": "mixed",
        "problem": {"task": "binary", "target": "label"},
        "data": {"sources": [{"path": "mixed.csv"}]},
    }
    return Project.from_dict(body).at(tmp_path)


@pytest.fixture
def publish_small(settings: Settings, tmp_path: Path) -> PublishSmall:
    """Publish one more version; a project may be named, and the model family."""

    def make(project: str = "mixed", *, family: str = "dummy", promote: bool = False) -> Version:
        registry = Registry(settings)
        number = len(registry.versions(project)) + 1
        folder = tmp_path / f"small-{project}-{number}"
        small_artifact(folder, family=family, seed=number)
        version = registry.publish(project, folder)
        if promote:
            before = registry.alias(project, "champion")
            registry.promote(project, version.version, expected=before)
        return version

    return make


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A prepared table and models that were finished on it; nothing is published yet."""
    return make_case(tmp_path_factory.mktemp("case"))
