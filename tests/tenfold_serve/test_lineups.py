"""The Serve config is the aliases' and the project's, and only models may change in it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.project import Project
from tenfold.registry import Version
from tenfold_serve.app import EndpointReplica, build, limits_from
from tenfold_serve.lineups import DEPLOYMENT, IMPORT_PATH, Wanted, application, arms_of


def version(number: int) -> Version:
    return Version("mixed", number, f"digest {number}", "a", Path(f"/models/{number}"), "now")


@given(st.integers(0, 100))
def test_shares_are_those_of_the_canary_and_sum_to_one(percent: int) -> None:
    arms = arms_of(Wanted(version(1), version(2), percent))
    assert sum(arm["weight"] for arm in arms) == pytest.approx(1)
    assert [arm["arm"] for arm in arms] == ["champion", "challenger"][: 1 if not percent else 2]
    assert arms[0]["weight"] == pytest.approx(1 - percent / 100)
    assert arms[-1]["weight"] == pytest.approx(percent / 100 if percent else 1)


def test_an_arm_says_all_that_a_replica_needs() -> None:
    assert arms_of(Wanted(version(3))) == [
        {
            "arm": "champion",
            "version": 3,
            "digest": "digest 3",
            "path": "/models/3",
            "weight": 1.0,
        }
    ]


@pytest.mark.parametrize("percent", [0, 30, 100])
def test_a_share_without_a_challenger_is_the_champions(percent: int) -> None:
    wanted = Wanted(version(1), None, percent)
    assert wanted.versions == (version(1),)
    assert [arm["weight"] for arm in arms_of(wanted)] == [1.0]


def test_before_the_first_promotion_nobody_answers() -> None:
    for challenger in (None, version(2)):
        wanted = Wanted(None, challenger, 50)
        assert wanted.versions == ()
        assert arms_of(wanted) == []


def test_versions_are_the_champion_first() -> None:
    assert Wanted(version(5), version(2), 10).versions == (version(5), version(2))


def test_an_application_is_the_projects_and_json(project: Project) -> None:
    config = {"generation": 4, "arms": arms_of(Wanted(version(1)))}
    made = application(project, config)
    assert json.loads(json.dumps(made)) == made
    assert (made["name"], made["route_prefix"]) == ("mixed", "/mixed")
    assert made["import_path"] == IMPORT_PATH
    assert made["args"] == {
        "project": "mixed",
        "limits": {"max_rows": 50, "max_body_bytes": 65536, "key_columns": []},
    }
    (deployment,) = made["deployments"]
    assert deployment == {
        "name": DEPLOYMENT,
        "num_replicas": 1,
        "user_config": config,
    }


def test_key_columns_decide_the_split(project: Project) -> None:
    keyed = Project.from_dict(
        {**project.to_dict(), "data": {**project.to_dict()["data"], "key": ["age", "id"]}}
    )
    limits = application(keyed, {})["args"]["limits"]
    assert limits_from(limits).key_columns == ("age", "id")


def test_another_lineup_changes_nothing_that_restarts_replicas(project: Project) -> None:
    made = [application(project, {"generation": g}) for g in (1, 2)]
    for each in made:
        each["deployments"][0].pop("user_config")
    assert made[0] == made[1]


def test_the_names_are_those_of_the_application() -> None:
    module, _, name = IMPORT_PATH.partition(":")
    assert getattr(importlib.import_module(module), name) is build
    assert EndpointReplica.name == DEPLOYMENT
