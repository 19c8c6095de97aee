"""Commands that are killed or interrupted in the middle, and run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import tenfold, tenfold_json

pytestmark = pytest.mark.slow


def processes_of(home: Path) -> list[int]:
    """Living processes whose environment names this home."""
    mark = f"TENFOLD_HOME={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if mark in environment and state not in "ZX":
                found.append(int(entry.name))
    return found


def await_none(home: Path, *, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert processes_of(home) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_training_that_is_ended_leaves_nothing_and_runs_again(
    number: signal.Signals, tmp_path: Path, data_folder: Path
) -> None:
    home, project = tmp_path / "home", tmp_path / "adult.yaml"
    table = str(data_folder / "adult.csv")
    tenfold("init", table, "--target", "salary", "-o", str(project), home=home)
    tenfold("prepare", str(project), home=home)
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TENFOLD_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "tenfold_jobs", "train", str(project), "--budget", "60s"],
        env={**environ, "TENFOLD_HOME": str(home)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    deadline = time.monotonic() + 60
    while len(processes_of(home)) < 6 and time.monotonic() < deadline:  # Ray's workers are there
        time.sleep(0.2)
    assert len(processes_of(home)) >= 6
    process.send_signal(number)
    code = process.wait(timeout=60)
    text = process.stderr.read().decode()
    process.stderr.close()
    if number is signal.SIGINT:
        assert code == 130
        assert "error: interrupted" in text
    # Ray's agents, killed while they start, ask a control store that is gone for a minute.
    await_none(home, within_s=120)
    left = list((home / "store" / "work" / "searches").glob("adult/*/journal/events.jsonl"))
    n_told = sum(path.read_bytes().count(b'{"told"') for path in left)
    record = tenfold_json("train", str(project), "--budget", "30s", home=home)
    assert (record["version"], record["alias"]) == (1, "champion")
    assert record["n_tried"] > n_told
    assert not list((home / "store" / "work" / "searches").glob("adult/*"))


def test_killed_between_trials_it_gives_the_same_model(tmp_path: Path) -> None:
    """A number of trials is a law, also over a SIGKILL of the driver on a real Ray."""
    digests = []
    for name, kill in (("whole", False), ("killed", True)):
        home, project = tmp_path / name, write_project(tmp_path / f"{name}-project")
        tenfold("prepare", str(project), home=home)
        if kill:
            kill_when_told(project, home, n_told=4)
        record = tenfold_json("train", str(project), home=home)
        digests.append((record["digest"], record["n_tried"], record["metrics"]["roc_auc"]))
    assert digests[0] == digests[1]


def write_project(folder: Path) -> Path:
    import random

    folder.mkdir()
    luck = random.Random(3)
    lines = ["x,z,left"]
    for _ in range(3000):
        x, z = luck.gauss(0, 1), luck.gauss(0, 1)
        lines.append(f"{x:.6f},{z:.6f},{'yes' if x + luck.gauss(0, 1) > 0 else 'no'}")
    (folder / "churn.csv").write_text("\n".join(lines) + "\n")
    (folder / "churn.yaml").write_text(
        "name: churn\nproblem: {task: binary, target: left}\n"
        "data: {sources: [{path: churn.csv}]}\n"
        "train: {trials: 12, folds: 3, families: [linear, boosting], seed: 3}\n"
    )
    return folder / "churn.yaml"


def kill_when_told(project: Path, home: Path, *, n_told: int) -> None:
    """SIGKILL the command when its journal has so many outcomes."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TENFOLD_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "tenfold_jobs", "train", str(project)],
        env={**environ, "TENFOLD_HOME": str(home)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    found = 0
    while found < n_told and time.monotonic() < deadline and process.poll() is None:
        paths = (home / "store" / "work" / "searches").glob("churn/*/journal/events.jsonl")
        found = sum(path.read_bytes().count(b'{"told"') for path in paths)
        time.sleep(0.02)
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert found >= n_told
    await_none(home, within_s=60)
