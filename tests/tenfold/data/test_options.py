"""What of the project file counts for a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenfold.data.infer import Declared
from tenfold.data.options import Options, hints_of
from tenfold.schema import Kind, Role


def test_hints_carry_target_roles_and_declarations(make_project: Any) -> None:
    project = make_project(
        Path("t.csv"),
        data={
            "time": "when",
            "group": "who",
            "key": "id",
            "columns": {"zip": {"kind": "integer", "role": "ignored", "minimum": 0}},
        },
    )
    hints = hints_of(project)
    assert (hints.target, hints.classes, hints.time, hints.group) == ("y", True, "when", "who")
    assert hints.key == ("id",)
    assert hints.declared == {"zip": Declared(Kind.INTEGER, Role.IGNORED, 0.0, None)}
    assert Options.of(project).rules.limits == {"zip": (0.0, None)}


@pytest.mark.parametrize(
    ("task", "target", "classes"),
    [("multiclass", "y", True), ("regression", "y", False), ("clustering", None, None)],
)
def test_the_task_says_what_the_target_is(
    make_project: Any, task: str, target: str | None, classes: bool | None
) -> None:
    assert hints_of(make_project(Path("t.csv"), task=task, target=target)).classes is classes


def test_only_what_the_snapshot_depends_on_is_in_its_options(make_project: Any) -> None:
    one = Options.of(make_project(Path("t.csv")))
    budget = Options.of(make_project(Path("t.csv"), train={"budget": "10m"}))
    assert one.to_dict() == budget.to_dict()
    for section in (
        {"train": {"seed": 1}},
        {"train": {"folds": 3}},
        {"prepare": {"test_fraction": 0.3}},
        {"prepare": {"missing_markers": ["x"]}},
        {"prepare": {"trim": False}},
        {"prepare": {"drop_duplicates": True}},
        {"prepare": {"max_bad_fraction": 0.1}},
        {"data": {"time": {"order": "rows"}}},
    ):
        assert Options.of(make_project(Path("t.csv"), **section)).to_dict() != one.to_dict()


def test_the_order_of_markers_does_not_count(make_project: Any) -> None:
    made = [
        Options.of(make_project(Path("t.csv"), prepare={"missing_markers": markers}))
        for markers in (["a", "b"], ["b", "a", "b"])
    ]
    assert made[0] == made[1]
