from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenfold.intake.check import check_project
from tenfold.intake.combine import combined_names
from tenfold.project import Project
from tests.fileserver import Hosted, serving_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "orders.csv").write_text("id,client,at,y\n1,2,2031-01-01,no\n")
    (tmp_path / "more.csv").write_text("id,y,extra\n1,no,3\n")
    (tmp_path / "clients.csv").write_text("client,city,id\n2,c1,9\n")
    return tmp_path


def project(folder: Path, sources: list[str], joins: list[dict[str, Any]], **more: Any) -> Project:
    return Project.from_dict(
        {
            "name": "p",
            "problem": {"task": "binary", "target": "y", **more},
            "data": {"sources": [{"path": f"{name}.csv"} for name in sources], "joins": joins},
        },
        folder=folder,
    )


def test_the_names_of_stacked_and_joined_sources(folder: Path) -> None:
    both = project(folder, ["orders", "more", "clients"], [{"source": "clients", "on": "client"}])
    names, faults = combined_names(both)
    assert names == ("id", "client", "at", "y", "extra", "city", "id_clients")
    assert faults == []
    (notice,) = check_project(both)
    assert notice.level == "info"
    assert notice.message.startswith("3 sources with 7 columns together")


def test_every_fault_is_told_with_its_field(folder: Path) -> None:
    bad = project(folder, ["orders", "clients"], [{"source": "clients", "on": "klient"}])
    (notice,) = check_project(bad)
    assert (notice.level, notice.where) == ("error", "data.joins[0]")
    assert "'klient' is not among 'id', 'client'" in notice.message
    gone = project(folder, ["none", "clients"], [{"source": "clients", "on": "client"}])
    (notice,) = check_project(gone)
    assert (notice.level, notice.where) == ("error", "data.sources[0]")
    target = project(folder, ["orders", "more"], [], target="z")
    (notice,) = check_project(target)
    assert notice.where == "problem.target"


def test_a_remote_file_tells_its_columns_by_a_look(folder: Path) -> None:
    with serving_files() as server:
        server.files["/far.csv"] = Hosted(b"id,y,far\n1,no,2\n")
        sources = [{"path": f"{server.url}/far.csv", "allow_private": True}]
        one = Project.from_dict(
            {"problem": {"task": "binary", "target": "y"}, "data": {"sources": sources}},
            folder=folder,
        )
        assert combined_names(one) == (("id", "y", "far"), [])
        assert [notice.level for notice in check_project(one)] == ["info"]
        server.files.clear()
        (notice,) = check_project(one)
        assert (notice.level, notice.where) == ("error", "data.sources[0]")
        assert "far.csv answered 404" in notice.message
