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
    await_none(home, within_s=60)
    record = tenfold_json("train", str(project), "--budget", "15s", home=home)
    assert (record["version"], record["alias"]) == (1, "champion")
