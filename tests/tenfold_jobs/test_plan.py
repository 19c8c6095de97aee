"""The plan of a project here: from its own files and this machine's own cores."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tenfold.cluster import inventory_local, make_plan
from tenfold.errors import DataError
from tenfold.project import Project
from tenfold.settings import Settings
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
    for local_bytes, mode in ((size_bytes, "in-process"), (size_bytes - 1, "ray-data")):
        limited = dataclasses.replace(settings, local_bytes=local_bytes)
        assert run_plan(mixed_project, limited).mode == mode


def test_planning_makes_nothing(settings: Settings, mixed_project: Project) -> None:
    write(mixed_project, 10)
    run_plan(mixed_project, settings)
    assert not settings.home.exists()


def test_a_missing_file_is_named(settings: Settings, mixed_project: Project) -> None:
    with pytest.raises(DataError, match=r"mixed\.csv"):
        run_plan(mixed_project, settings)
