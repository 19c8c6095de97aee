from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.intake.check import check_project
from tenfold.project import Task, load_project

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_loads_and_is_named_after_its_file(path: Path) -> None:
    project = load_project(path)
    assert project.name == path.stem
    assert project.folder == EXAMPLES


def test_there_is_one_for_each_kind_of_question() -> None:
    tasks = {load_project(path).problem.task for path in EXAMPLES.glob("*.yaml")}
    assert tasks >= {Task.BINARY, Task.REGRESSION, Task.CLUSTERING}


def test_one_has_several_sources_and_joins_them() -> None:
    data = load_project(EXAMPLES / "orders.yaml").data
    assert [source.type for source in data.sources] == ["file", "sql", "http"]
    assert [(join.source, join.how) for join in data.joins] == [
        ("prices", "asof"), ("clients", "left"),
    ]  # fmt: skip


@pytest.mark.parametrize("stem", ["adult", "bike"])
def test_the_examples_hold_on_their_tables(stem: str, data_folder: Path) -> None:
    project = load_project(EXAMPLES / f"{stem}.yaml").at(data_folder)
    assert [str(n) for n in check_project(project) if n.level != "info"] == []
