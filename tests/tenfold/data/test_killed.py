"""SIGKILL at a random moment: the next run ends as if nothing had been."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenfold.canonical import canonical_json
from tenfold.data import InProcess, Snapshot, prepare
from tenfold.project import Project
from tenfold.settings import Settings

KILLED = Path(__file__).with_name("killed_prepare.py")
ENDS = (0, -signal.SIGKILL)
"""A kill that comes late finds the work done."""


def _settings(folder: Path) -> Settings:
    return Settings.from_env({"TENFOLD_HOME": str(folder)})


def _files(snapshot: Snapshot) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in snapshot.path.iterdir()}


@pytest.fixture
def project(tmp_path: Path, make_project: Any) -> Project:
    """Six pieces with keys, duplicates, near duplicates, bad rows, percentages and dates."""
    random = np.random.default_rng(8)
    rows = ["id,rate,cost,when,color,y"]
    for row in range(90_000):
        cost = "much" if row % 9000 == 7 else f'"${random.integers(1000, 99_999):,}.25"'
        rows.append(
            f"{row % 88_000},{random.integers(0, 99)}%,{cost},"
            f"{1 + row % 12}/{1 + row % 28}/2021,{random.choice(['red', 'green', '#N/A'])},"
            f"{'yes' if row % 3 else 'no'} or nearly so"
        )
    path = tmp_path / "sales.csv"
    path.write_text("\n".join(rows) + "\n")
    return make_project(path, data={"key": "id"}, prepare={"near_duplicates": "report"})  # type: ignore[no-any-return]


@pytest.mark.parametrize("n_kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_a_random_moment_the_next_run_is_bit_identical(
    project: Project, tmp_path: Path, n_kills: int
) -> None:
    for turn in ("cold", "whole"):  # the first run pays for imports too
        began, worked = time.monotonic(), time.process_time()
        whole = prepare(
            project,
            settings=_settings(tmp_path / turn),
            drivers=lambda _size_bytes: InProcess(n_threads=1),
        )
        takes_s = min(time.monotonic() - began, time.process_time() - worked)
    assert len(whole.manifest["blocks"]) >= 4
    assert whole.manifest["n_replaced"] > 1000
    wanted = _files(whole)
    file = tmp_path / "project.yaml"
    file.write_bytes(canonical_json(project.to_dict()))  # JSON is YAML
    moments = random.Random(11)
    n_interrupted = 0
    for turn in range(n_kills):
        home = tmp_path / f"home-{turn}"
        after_s = moments.uniform(0.0, takes_s)
        command = [sys.executable, str(KILLED), str(file), str(home), "after", repr(after_s)]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        assert done.returncode in ENDS, done.stderr.decode()
        n_interrupted += done.returncode != 0
        again = prepare(project, settings=_settings(home))
        assert _files(again) == wanted, after_s
        left = sorted(path.name for path in again.path.parent.iterdir())
        assert left == sorted([".lock", "latest.json", again.path.name])
    assert n_interrupted >= n_kills // 2
