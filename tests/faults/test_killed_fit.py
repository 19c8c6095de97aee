"""A training that is killed in the middle of its distributed fit goes on from the checkpoint.

Every process of it dies at once, workers and Ray's own among them, as when a machine loses power.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tenfold.cluster.sessions import end_session, members, session_led_by
from tests.tenfold.training.grouped import PARAMS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = PARAMS["boosting"]["rounds"]
KILLED_AT = 10
"""Of forty rounds, the first at which it is killed."""
UNKNOWN = 2
"""Checkpoints that lay there and that the group's controller had not taken down when it died."""
AWAITED_S = 180.0


def start(folder: Path, storage: Path, *, checkpoint_s: float) -> subprocess.Popen[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TENFOLD_"))}
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.faults.killed_fit"),
            *(str(folder), str(storage), str(checkpoint_s)),
        ],
        env=environ,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def told(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=AWAITED_S)
    assert process.returncode == 0, err[-3000:]
    return str(json.loads(out.splitlines()[-1])["scores"])


def rounds_of(storage: Path) -> dict[str, int]:
    """Rounds in each checkpoint that lies there now, by its name."""
    found = {}
    for facts in storage.glob("fit/checkpoint_*/checkpoint.json"):
        with suppress(OSError):  # removed since: only the newest two are kept
            found[facts.parent.name] = int(json.loads(facts.read_bytes())["at"])
    return found


def watched(process: subprocess.Popen[str], storage: Path, *, until: int) -> dict[str, int]:
    """Every checkpoint that was seen until one has so many rounds or the process ends."""
    seen: dict[str, int] = {}
    deadline = time.monotonic() + AWAITED_S
    while process.poll() is None and max(seen.values(), default=0) < until:
        assert time.monotonic() < deadline, f"no checkpoint of {until} rounds was seen"
        for name, at in rounds_of(storage).items():
            seen.setdefault(name, at)
        time.sleep(0.02)
    return seen


@pytest.mark.timeout(600)
def test_it_goes_on_where_it_was_and_ends_with_the_same_bits(tmp_path: Path) -> None:
    undisturbed = told(start(tmp_path / "table", tmp_path / "whole", checkpoint_s=1e9))
    storage = tmp_path / "killed"
    process = start(tmp_path / "table", storage, checkpoint_s=0.0)
    session = session_led_by(process.pid, marker="")
    before = watched(process, storage, until=KILLED_AT)
    assert process.poll() is None, "it ended before it could be killed"
    for pid in members(session):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    end_session(session)
    left = max(rounds_of(storage).values())
    assert KILLED_AT <= left < ROUNDS

    again = start(tmp_path / "table", storage, checkpoint_s=0.0)
    after = watched(again, storage, until=ROUNDS)
    assert told(again) == undisturbed
    new = [at for name, at in after.items() if name not in before]
    assert new, "nothing was saved after it was started again"
    assert min(new) > left - UNKNOWN, "it began from the start again"
