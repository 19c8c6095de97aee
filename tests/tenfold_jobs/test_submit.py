from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tenfold.errors import ClusterError, UserError
from tenfold.project import load_project
from tenfold_jobs.submit import _stage, entrypoint_for, last_document, run_submit

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


def test_a_batch_is_submitted_with_both_of_its_files() -> None:
    files = ["--input", "/lake/in.parquet", "--output", "/lake/out.parquet"]
    assert entrypoint_for("predict", Path("p.yaml"), files) == (
        "tenfold predict p.yaml --input /lake/in.parquet --output /lake/out.parquet --json"
    )
    assert entrypoint_for("predict", Path("p.yaml"), [*files, "--encoding", "cp1252"]).endswith(
        "--encoding cp1252 --json"
    )
    assert entrypoint_for("train", Path("p.yaml"), ["--budget", "60s"]) == (
        "tenfold train p.yaml --budget 60s --json"
    )
    for command, options in (("predict", files[:2]), ("predict", []), ("train", files)):
        with pytest.raises(UserError, match="with --input and --output"):
            entrypoint_for(command, Path("p.yaml"), options)


def test_a_source_outside_the_shipped_folder_is_refused(tmp_path: Path) -> None:
    project = write(tmp_path, "../elsewhere.csv")
    with pytest.raises(UserError, match="lies outside the project's folder"):
        run_submit("train", project, address="http://127.0.0.1:9")


def test_a_catalog_that_only_this_machine_has_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "project.yaml"
    source = "{{type: iceberg, table: shop.items, catalog: {{type: sql, uri: '{}'}}}}"

    def stage(uri: str) -> list[str]:
        project.write_text(
            "name: t\nproblem: {task: binary, target: y}\n"
            f"data: {{sources: [{source.format(uri)}]}}\n"
        )
        staged = tmp_path / "staged"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        _stage(load_project(project), project, staged)
        return [path.name for path in staged.iterdir()]

    with pytest.raises(UserError, match=r"catalog sqlite:///lake/c.db is a file of this machine"):
        stage("sqlite:///lake/c.db")
    with pytest.raises(UserError, match="name a catalog that the cluster reaches"):
        run_submit("train", project, address="http://127.0.0.1:9")
    for uri in ("sqlite:////shared/c.db", "postgresql+psycopg://db/c", "${env:CATALOG}"):
        assert stage(uri) == ["project.yaml"]


def test_sources_that_ray_would_refuse_are_refused_first(tmp_path: Path) -> None:
    project = write(tmp_path, "table.csv")
    with (tmp_path / "table.csv").open("wb") as big:
        big.truncate(101 * 1024 * 1024)
    with pytest.raises(UserError, match="more than the 104857600 bytes that a job can ship"):
        run_submit("train", project, address="http://127.0.0.1:9")


def test_only_the_project_and_its_sources_travel(tmp_path: Path) -> None:
    (tmp_path / "home" / "logs").mkdir(parents=True)
    for name in ("logs/a.csv", "logs/b.csv", "logs/c.txt", ".env", "other.csv"):
        (tmp_path / "home" / name).write_text("x,y\n1,2\n")
    project = write(tmp_path / "home", '"logs/*.csv"')
    staged = tmp_path / "staged"
    staged.mkdir()
    _stage(load_project(project), project, staged)
    found = sorted(str(f.relative_to(staged)) for f in staged.rglob("*") if f.is_file())
    assert found == ["logs/a.csv", "logs/b.csv", "project.yaml"]


def test_the_document_is_found_at_the_end_of_a_log() -> None:
    one, two = '{\n  "version": 1\n}\n', '{\n  "a": {\n    "b": 2\n  }\n}\n'
    log = f"search {{\n{one}search: 3 s\n{two}gate missed\n"
    assert last_document(log) == {"a": {"b": 2}}
    assert last_document("nothing") is None
    assert last_document("{\nbroken") is None


def test_a_cluster_that_does_not_answer_is_said(tmp_path: Path) -> None:
    project = write(tmp_path, "table.csv")
    (tmp_path / "table.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ClusterError, match="did not take the job"):
        run_submit("train", project, address="http://127.0.0.1:9")
