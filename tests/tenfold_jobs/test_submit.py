from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.errors import ClusterError, UserError
from tenfold_jobs.submit import entrypoint_for, run_submit

PROJECT = """
problem: {task: binary, target: y}
data: {sources: [{path: %s}]}
"""


def write(folder: Path, source: str) -> Path:
    path = folder / "project.yaml"
    path.write_text(PROJECT % source)
    return path


def test_only_what_runs_and_ends_can_be_submitted() -> None:
    with pytest.raises(UserError, match="'up' cannot be submitted; these can: prepare, train"):
        entrypoint_for("up", Path("project.yaml"))
    assert (
        entrypoint_for("run", Path("/x/my project.yaml")) == "tenfold run 'my project.yaml' --json"
    )


def test_a_source_outside_the_shipped_folder_is_refused(tmp_path: Path) -> None:
    project = write(tmp_path, "../elsewhere.csv")
    with pytest.raises(UserError, match="lies outside the project's folder"):
        run_submit("train", project, address="http://127.0.0.1:9")


def test_a_folder_that_ray_would_refuse_is_refused_first(tmp_path: Path) -> None:
    project = write(tmp_path, "table.csv")
    with (tmp_path / "big").open("wb") as big:
        big.truncate(101 * 1024 * 1024)
    with pytest.raises(UserError, match="a job can ship 104857600"):
        run_submit("train", project, address="http://127.0.0.1:9")


def test_a_cluster_that_does_not_answer_is_said(tmp_path: Path) -> None:
    project = write(tmp_path, "table.csv")
    (tmp_path / "table.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ClusterError, match="did not take the job"):
        run_submit("train", project, address="http://127.0.0.1:9")
