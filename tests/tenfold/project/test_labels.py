from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tenfold.project import Project
from tenfold.project.labels import selects
from tenfold.project.work import Train

BODY = {"problem": {"task": "binary", "target": "y"}, "data": {"sources": [{"path": "a.csv"}]}}


@pytest.mark.parametrize(
    ("condition", "meant"),
    [
        *(("x", "x"), ("!x", "y-"), ("in(x,y)", "xy"), ("in(x, y)", "xy"), ("in(x)", "x")),
        *(("!in(x, y)", "-"), ("!in(z)", "xy-"), ("in", ""), ("z", "")),
    ],
)
def test_which_nodes_a_condition_means(condition: str, meant: str) -> None:
    """``-`` stands for a node without the label."""
    nodes: dict[str, dict[str, str]] = {"x": {"pool": "x"}, "y": {"pool": "y"}, "-": {}}
    selector = Train(nodes={"pool": condition}).nodes
    assert selector is not None
    assert "".join(name for name, has in nodes.items() if selects(selector, has)) == meant


def test_all_conditions_must_hold() -> None:
    selector = {"pool": "x", "ray.io/market-type": "!spot"}
    assert selects(selector, {"pool": "x", "ray.io/market-type": "on-demand"})
    assert selects(selector, {"pool": "x"})
    assert not selects(selector, {"pool": "x", "ray.io/market-type": "spot"})
    assert not selects(selector, {"ray.io/market-type": "on-demand"})


def test_blanks_that_ray_would_take_for_a_part_of_a_value_go() -> None:
    assert Train(nodes={"pool": "!in(x, y)"}).nodes == {"pool": "!in(x,y)"}


@pytest.mark.parametrize(
    "nodes",
    [
        *({}, [], "x", {"pool": 1}, {"pool": ""}, {"pool": "in()"}, {"pool": "in(x,)"}),
        *({"pool": "!!x"}, {"pool": "-x"}, {"pool": "x_"}, {"pool": "a b"}, {"pool": "in(x"}),
        *({"pool": "(x)"}, {"pool": "x" * 64}, {"pool": "x\n"}, {"": "x"}, {"a/b/c": "x"}),
        *({"po ol": "x"}, {"/pool": "x"}, {f"l{i}": "x" for i in range(17)}, True),
    ],
)
def test_what_is_no_selector_is_refused(nodes: Any) -> None:
    with pytest.raises(ValidationError):
        Train(nodes=nodes)


def test_the_law_of_a_condition() -> None:
    with pytest.raises(ValidationError, match="must have a label's value") as caught:
        Project.from_dict({**BODY, "train": {"nodes": {"pool": "x or y"}}})
    assert caught.value.errors()[0]["msg"] == (
        "must have a label's value, 'in(a, b)' for one of several, or either behind '!' for none "
        "of them; found 'x or y' for pool"
    )


def test_a_project_keeps_its_selector() -> None:
    project = Project.from_dict({**BODY, "train": {"nodes": {"pool": "in(x, y)"}}})
    assert Project.from_dict(project.to_dict()) == project


def test_segments_are_chosen_where_the_command_runs() -> None:
    body = {**BODY, "problem": {"task": "clustering"}, "train": {"nodes": {"pool": "x"}}}
    with pytest.raises(ValidationError, match="must be absent for clustering"):
        Project.from_dict(body)
