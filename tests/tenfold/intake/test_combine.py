from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenfold.intake.check import check_project
from tenfold.intake.combine import combined_names
from tenfold.project import Project


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
