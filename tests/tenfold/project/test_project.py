from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from tenfold.project import Project
from tenfold.project.project import project_name

RAW: dict[str, Any] = {
    "problem": {"task": "binary", "target": "salary", "gates": ["roc_auc >= 0.9"]},
    "data": {"sources": [{"path": "Adult Income.csv"}], "key": "id", "time": "day"},
    "train": {"budget": "90s"},
}


def test_defaults_that_hang_on_other_fields() -> None:
    project = Project.from_dict(RAW)
    assert project.name == "adult-income"
    assert project.problem.metric == "roc_auc"
    assert project.train.families == ("linear", "boosting", "network")
    assert project.data.sources[0].name == "Adult Income"


@pytest.mark.parametrize(
    ("task", "metric", "families"),
    [
        ("multiclass", "log_loss", ("linear", "boosting", "network")),
        ("regression", "rmse", ("linear", "boosting", "network")),
        ("clustering", "silhouette", ("kmeans",)),
    ],
)
def test_defaults_by_task(task: str, metric: str, families: tuple[str, ...]) -> None:
    problem = {"task": task} | ({} if task == "clustering" else {"target": "y"})
    project = Project.from_dict({"problem": problem, "data": {"sources": [{"path": "a.csv"}]}})
    assert (project.problem.metric, project.train.families) == (metric, families)


def test_short_forms() -> None:
    data = Project.from_dict(RAW).data
    assert (data.key, data.time_column, data.ordered) == (("id",), "day", True)
    raw = {**RAW, "data": {**RAW["data"], "key": ["a", "b"], "time": {"order": "rows"}}}
    data = Project.from_dict(raw).data
    assert (data.key, data.time_column, data.ordered) == (("a", "b"), None, True)


def test_round_trip_and_digest() -> None:
    project = Project.from_dict(RAW)
    again = Project.from_dict(project.to_dict())
    assert again.to_dict() == project.to_dict()
    assert again.digest() == project.digest()
    assert len(project.digest()) == 64


def test_digest_sees_values_and_not_their_spelling() -> None:
    base = Project.from_dict(RAW).digest()
    assert Project.from_dict({**RAW, "train": {"budget": "1m30s"}}).digest() == base
    assert Project.from_dict({**RAW, "train": {"budget": 90}}).digest() == base
    assert Project.from_dict({**RAW, "train": {"budget": "91s"}}).digest() != base


def test_digest_does_not_see_the_folder(tmp_path: Path) -> None:
    project = Project.from_dict(RAW)
    moved = project.at(tmp_path)
    assert moved.digest() == project.digest()
    assert moved.resolve("a.csv") == tmp_path / "a.csv"
    assert moved.resolve("/data/a.csv") == Path("/data/a.csv")
    assert project.folder == Path.cwd()


def test_a_project_is_frozen() -> None:
    project = Project.from_dict(RAW)
    with pytest.raises(ValidationError, match="frozen"):
        project.name = "other"  # type: ignore[misc]


@given(st.text(max_size=80))
def test_any_file_name_gives_a_legal_name(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{1,40}", project_name(name))


def sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    from tenfold.project.load import _model_in

    found = [model]
    for field in model.model_fields.values():
        inner = _model_in(field.annotation)
        found += sections(inner) if inner else []
    return found


def test_every_field_says_what_it_is() -> None:
    for section in sections(Project):
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name} has no docstring"
