"""The plan of a project here: from its own files and this machine's own cores."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tenfold.cluster import inventory_local, make_plan
from tenfold.cluster.sessions import SessionRecord
from tenfold.errors import DataError, ProjectError
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.testing.artifacts import small_artifact
from tenfold_jobs.plan import run_plan


def write(project: Project, n_rows: int) -> int:
    path: Path = project.folder / "mixed.csv"
    path.write_text("age,color,label\n" + "39,red,yes\n" * n_rows)
    return path.stat().st_size


def test_the_plan_is_that_of_the_files_and_this_machine(
    settings: Settings, mixed_project: Project
) -> None:
    size_bytes = write(mixed_project, 500)
    plan = run_plan(mixed_project, settings)
    assert plan == make_plan(
        mixed_project,
        inventory_local(),
        n_rows=500,
        n_columns=3,
        size_bytes=size_bytes,
        local_bytes=settings.local_bytes,
    )
    assert plan.mode == "in-process"
    assert json.loads(json.dumps(plan.to_dict()))["reasons"] == list(plan.reasons)


def test_a_table_over_the_local_limit_is_streamed(
    settings: Settings, mixed_project: Project
) -> None:
    size_bytes = write(mixed_project, 500)
    for local_bytes, mode in ((size_bytes + 1, "in-process"), (size_bytes, "ray-data")):
        limited = dataclasses.replace(settings, local_bytes=local_bytes)
        assert run_plan(mixed_project, limited).mode == mode


def test_planning_makes_nothing(settings: Settings, mixed_project: Project) -> None:
    write(mixed_project, 10)
    run_plan(mixed_project, settings)
    assert not settings.home.exists()


def test_replicas_are_planned_for_the_champion_where_there_is_one(
    settings: Settings, mixed_project: Project, tmp_path: Path
) -> None:
    """Trees are refused before a GPU is looked for. Without a champion no database is made."""
    write(mixed_project, 10)
    asking = Project.from_dict(
        {**mixed_project.to_dict(), "serve": {"device": "gpu"}}, folder=mixed_project.folder
    )
    with suppress(ProjectError):  # this machine may have a GPU, or none
        run_plan(asking, settings)
    assert not settings.home.exists()
    small_artifact(tmp_path / "model")
    registry = Registry(settings)
    version = registry.publish(asking.name, tmp_path / "model")
    registry.promote(asking.name, version.version, expected=None)
    with pytest.raises(ProjectError, match="boosting answers by TreeEnsembleRegressor, for which"):
        run_plan(asking, settings)


def test_a_missing_file_is_named(settings: Settings, mixed_project: Project) -> None:
    with pytest.raises(DataError, match=r"mixed\.csv"):
        run_plan(mixed_project, settings)


def test_beside_a_keeper_the_plan_is_made_on_its_ray_as_a_training_would_be(
    settings: Settings, mixed_project: Project, keeper_session: SessionRecord
) -> None:
    """A keeper whose Ray does not answer: who asks this machine instead would not notice."""
    write(mixed_project, 10)
    settings.keeper.mkdir(parents=True)
    body = {**keeper_session.to_dict(), "ray_address": "127.0.0.1:1"}
    (settings.keeper / "keeper.json").write_text(json.dumps(body))
    code = (
        "import json, pathlib, sys\n"
        "from tenfold.errors import ClusterError\n"
        "from tenfold.project import Project\n"
        "from tenfold.settings import Settings\n"
        "from tenfold_jobs.plan import run_plan\n"
        "project = Project.from_dict(json.loads(sys.argv[1])).at(pathlib.Path(sys.argv[2]))\n"
        "try:\n    run_plan(project, Settings.from_env())\n"
        "except ClusterError as error:\n    print(error)\n"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            json.dumps(mixed_project.to_dict()),
            str(mixed_project.folder),
        ],
        env=env | {"TENFOLD_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.startswith("a Ray must listen at 127.0.0.1:1: ")
