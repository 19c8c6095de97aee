"""``tenfold keys``: the whole command, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tenfold.errors import UserError
from tenfold.settings import Settings
from tenfold.state import Keys, KeySet, open_state
from tenfold.state.keys import split_key
from tenfold_jobs.client import EndpointClient
from tenfold_jobs.keys import parse_overlap
from tests.command import tenfold


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    path = tmp_path / "project.yaml"
    path.write_text(
        "name: shop\nproblem: {task: regression, target: y}\ndata: {sources: [path: t.csv]}\n"
    )
    return path


def known(home: Path) -> KeySet:
    settings = Settings.from_env({"TENFOLD_HOME": str(home)})
    return KeySet(Keys(open_state(settings).engine).list("shop"))


def test_a_key_is_made_listed_rotated_and_revoked(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"

    def run(*words: str, code: int = 0) -> Any:
        done = tenfold("keys", *words, "--json", home=home, code=code)
        return json.loads(done.stdout)

    made = run("add", str(project), "--role", "predict", "--role", "operate", "--note", "till 3")
    assert (made["roles"], made["note"]) == (["predict", "operate"], "till 3")
    assert known(home).roles(made["key"]) == ("predict", "operate")
    rotated = run("rotate", str(project), made["id"], "--overlap", "10m")
    assert (rotated["replaces"], rotated["overlap_s"]) == (made["id"], 600.0)
    assert known(home).roles(made["key"]) == known(home).roles(rotated["key"])
    assert not run("revoke", str(project), made["id"])["valid"]
    assert known(home).roles(made["key"]) is None
    assert known(home).roles(rotated["key"]) == ("predict", "operate")
    listed = run("list", str(project))
    assert [(key["id"], key["valid"]) for key in listed["keys"]] == [
        (made["id"], False),
        (rotated["id"], True),
    ]
    shown = tenfold("keys", "list", str(project), home=home).stdout
    for secret in (made["key"], rotated["key"]):
        assert split_key(secret)[1] not in shown + json.dumps(listed)
    error = run("revoke", str(project), "00000000", code=2)["error"]
    assert error["message"].startswith("project 'shop' has no key '00000000'")


def test_a_project_without_keys_says_what_that_means(project: Path, tmp_path: Path) -> None:
    shown = tenfold("keys", "list", str(project), home=tmp_path / "home").stdout
    assert shown == "no keys: the endpoint is open, on loopback only\n"


def test_a_role_is_needed(project: Path, tmp_path: Path) -> None:
    tenfold("keys", "add", str(project), home=tmp_path / "home", code=2)
    tenfold("keys", "add", str(project), "--role", "all", home=tmp_path / "home", code=2)


@pytest.mark.parametrize("text", ["", "10", "1.5h", "-1s", "1w", "h"])
def test_an_overlap_is_a_time(text: str) -> None:
    with pytest.raises(UserError, match="an overlap is a time such as"):
        parse_overlap(text)


def test_commands_present_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENFOLD_KEY", "tenfold_1")
    with EndpointClient("http://127.0.0.1:1/x") as client:
        assert client._http.headers["authorization"] == "Bearer tenfold_1"
    monkeypatch.delenv("TENFOLD_KEY")
    with EndpointClient("http://127.0.0.1:1/x") as client:
        assert "authorization" not in client._http.headers
