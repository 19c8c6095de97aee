from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tenfold_jobs.cli import app
from tests.command import tenfold

_WORDS = (
    "init check plan prepare train run report quarantine up down status predict feedback retrain "
    "promote rollback traffic simulate submit demo"
)
COMMANDS = _WORDS.split()


def test_the_whole_surface_is_there(tmp_path: Path) -> None:
    shown = tenfold("--help", home=tmp_path).stdout
    assert [c for c in COMMANDS if f"\n  {c} " not in shown] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_speaks_json_and_explains_itself(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "--json" in shown.output
    assert "--verbose" in shown.output


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from tenfold_jobs.cli import app; "
        "print([m for m in ('ray', 'torch', 'xgboost', 'pandas', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_project_file_that_is_not_there_is_the_users_fault(tmp_path: Path) -> None:
    done = tenfold("check", str(tmp_path / "none.yaml"), "--json", home=tmp_path, code=2)
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 2
    assert "none.yaml" in error["message"]


@pytest.mark.parametrize(
    ("variable", "value"), [("TENFOLD_LOCAL_BYTES", "abc"), ("TENFOLD_STORE", "s3://bucket/x")]
)
@pytest.mark.parametrize("command", ["down", "plan", "status"])
def test_a_wrong_setting_is_one_json_document_too(
    command: str, variable: str, value: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    project = tmp_path / "project.yaml"
    project.write_text("problem: {task: regression, target: y}\ndata: {sources: [path: t.csv]}\n")
    words = [command, *([str(project)] if command == "plan" else []), "--json"]
    done = tenfold(*words, home=tmp_path, code=2, **{variable: value})
    error = json.loads(done.stdout)["error"]
    assert (error["kind"], error["exit_code"]) == ("UserError", 2)
    assert error["message"].startswith(f"{variable} is a ")
    assert repr(value) in error["message"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ("xx", "--budget: must be a duration such as 60s, 10m or 1h30m; found 'xx'"),
        ("0s", "--budget: must be at least 1; found '0s'; choose a larger value"),
        ("900ms", "--budget: must be at least 1; found '900ms'; choose a larger value"),
    ],
)
@pytest.mark.parametrize("command", ["run", "train"])
def test_a_wrong_budget_is_told_before_anything_is_prepared(
    command: str, budget: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + "1,2\n3,4\n" * 40)
    project = tmp_path / "project.yaml"
    project.write_text("problem: {task: regression, target: y}\ndata: {sources: [path: t.csv]}\n")
    words = (command, str(project), "--budget", budget, "--json")
    done = tenfold(*words, home=tmp_path / "home", code=2)
    error = json.loads(done.stdout)["error"]
    assert (error["message"], error["kind"]) == (told, "UserError")
    assert not (tmp_path / "home" / "store").exists()


def test_a_word_that_is_no_command_is_the_users_fault(tmp_path: Path) -> None:
    assert "No such command" in tenfold("fly", home=tmp_path, code=2).stderr


@pytest.mark.parametrize("words", [("init",), ("fly",), ("down", "--fast"), ("simulate", "p.yaml")])
def test_a_wrong_use_is_one_json_document_too(words: tuple[str, ...], tmp_path: Path) -> None:
    done = tenfold(*words, "--json", home=tmp_path, code=2)
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 2
    assert error["message"]
    assert "Traceback" not in done.stderr


def test_init_check_plan_walk(tmp_path: Path, data_folder: Path) -> None:
    project = tmp_path / "project.yaml"
    table = str(data_folder / "penguins.csv")
    words = ("init", table, "--target", "species", "-o", str(project))
    made = json.loads(tenfold(*words, "--json", home=tmp_path).stdout)
    assert (made["project"], made["task"]) == ("penguins", "multiclass")
    assert "is there already" in tenfold(*words, home=tmp_path, code=2).stderr
    checked = json.loads(tenfold("check", str(project), "--json", home=tmp_path).stdout)
    assert checked["ok"] is True
    planned = json.loads(tenfold("plan", str(project), "--json", home=tmp_path).stdout)
    assert planned["mode"] == "in-process"
    assert planned["reasons"]


def test_down_without_anything_running_is_fine(tmp_path: Path) -> None:
    done = tenfold("down", "--json", home=tmp_path)
    assert json.loads(done.stdout)["was_running"] is False


def test_commands_that_need_an_endpoint_say_so(tmp_path: Path, data_folder: Path) -> None:
    project = tmp_path / "project.yaml"
    table = str(data_folder / "penguins.csv")
    tenfold("init", table, "--target", "species", "-o", str(project), home=tmp_path)
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\nx,Adelie\n")
    done = tenfold("feedback", str(project), "--input", str(labels), home=tmp_path, code=2)
    assert "no endpoint is running here; start it with `tenfold up PROJECT`" in done.stderr
    done = tenfold("up", str(project), home=tmp_path, code=2)
    assert "has no trained model yet; run `tenfold run` first" in done.stderr
    done = tenfold("traffic", str(project), "--shadow", "on", home=tmp_path, code=2)
    assert "has no trained model yet; run `tenfold run` first" in done.stderr
    done = tenfold("traffic", str(project), "--shadow", "maybe", home=tmp_path, code=2)
    assert "is not one of" in done.stderr


def test_prepare_says_what_is_grave_and_counts_the_notes(tmp_path: Path, data_folder: Path) -> None:
    project = tmp_path / "project.yaml"
    table = str(data_folder / "elec2.csv")
    tenfold("init", table, "--target", "class", "-o", str(project), home=tmp_path)
    lines = tenfold("prepare", str(project), home=tmp_path).stdout.splitlines()
    (warning,) = [line for line in lines if line.startswith("warning: ")]
    assert warning.startswith("warning: file order carries time: rows that stand together")
    assert lines[-1].endswith("report.html (5 notes)")
