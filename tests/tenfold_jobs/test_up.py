"""What is refused before anything starts; starting and stopping for real is in tests/e2e."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tenfold.canonical import canonical_json, write_atomic
from tenfold.cluster.keeper import read_keeper, running_keeper
from tenfold.cluster.sessions import MARKER, alive, session_led_by
from tenfold.errors import UserError
from tenfold.settings import Settings
from tenfold_jobs.up import keeper_command, start_keeper, stop_keeper

PROJECT = "problem: {task: binary, target: y}\ndata: {sources: [{path: t.csv}]}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "project.yaml"
    path.write_text(PROJECT)
    return path


def test_a_project_without_a_model_starts_nothing(project: Path, settings: Settings) -> None:
    with pytest.raises(UserError, match="has no trained model yet"):
        start_keeper([project], settings, port=1)
    assert read_keeper(settings) is None


def test_two_projects_of_one_name_are_refused(project: Path, settings: Settings) -> None:
    with pytest.raises(UserError, match="each project has a name of its own"):
        start_keeper([project, project], settings, port=1)


def test_mlflow_is_asked_for_by_port() -> None:
    words = keeper_command([Path("a"), Path("b")], port=1, mlflow_port=5000)
    assert words[-2:] == ["--mlflow-port", "5000"]
    assert words.count("--project") == 2


def test_two_at_once_do_not_meet(project: Path, settings: Settings) -> None:
    settings.keeper.mkdir(parents=True)
    with (settings.keeper / "up.lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another `tenfold up` of this home is starting"):
            start_keeper([project], settings, port=1)


def test_stopping_ends_the_session_of_the_record_and_nothing_else(settings: Settings) -> None:
    """A stand-in keeper with a child of its own, and a bystander of ours."""
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(300)\n"
    )
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    keeper = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, MARKER: "a-stand-in"},
    )
    try:
        assert keeper.stdout is not None
        child = int(keeper.stdout.readline())
        session = session_led_by(keeper.pid, marker="a-stand-in")
        folder = Path(tempfile.mkdtemp(prefix="tenfold-", dir="/tmp"))
        body = {**session.to_dict(), "port": 1, "urls": {}, "ready": True, "folder": str(folder)}
        write_atomic(settings.keeper / "status.json", b"{}")
        write_atomic(settings.keeper / "keeper.json", canonical_json(body))
        assert running_keeper(settings) is not None
        assert stop_keeper(settings)["was_running"] is True
        keeper.wait(timeout=10)
        assert not alive(session)
        assert not Path(f"/proc/{child}").exists() or _is_zombie(child)
        assert bystander.poll() is None
        assert not folder.exists()
        assert not (settings.keeper / "status.json").exists()
        assert stop_keeper(settings) == {"was_running": False, "ended": 0}
    finally:
        for process in (keeper, bystander):
            process.kill()
            process.wait()
        if keeper.stdout is not None:
            keeper.stdout.close()


def _is_zombie(pid: int) -> bool:
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.rindex(")") + 2] in "ZX"
