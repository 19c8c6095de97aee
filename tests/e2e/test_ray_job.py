"""A plain ``ray job submit -- tenfold train project.yaml`` on a token-guarded cluster."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from tenfold.cluster.ports import free_port
from tenfold.cluster.sessions import MARKER, end_session, session_led_by
from tenfold.data import prepare
from tenfold.project import load_project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tests.command import tenfold, tenfold_json

pytestmark = pytest.mark.e2e

PROJECT = """
name: penguins
problem: {task: multiclass, target: species, gates: ["accuracy >= 0.8"]}
data: {sources: [{path: penguins.csv}]}
train: {trials: 1, folds: 2, families: [linear]}
"""


def free_ports(n: int) -> list[int]:
    found: set[int] = set()
    while len(found) < n:
        found.add(free_port())
    return [*found]


@dataclass
class Head:
    """A running head: where jobs go, and the environment that holds its token."""

    address: str
    home: Path
    environ: dict[str, str]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    folder = tmp_path_factory.mktemp("head")
    home = folder / "home"
    port, dashboard, client, agent = free_ports(4)
    marker = secrets.token_hex(8)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TENFOLD_"))}
    environ = {
        **inherited,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "TENFOLD_HOME": str(home),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        MARKER: marker,
    }
    # --block keeps the head in the foreground of a session of its own, which ends it whole.
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("ray")),
            *("start", "--head", "--block", "--num-cpus=2", f"--port={port}"),
            *("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1"),
            *(f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"),
            f"--dashboard-agent-listen-port={agent}",
            f"--temp-dir=/tmp/tf-{marker}",
            "--object-store-memory=200000000",
        ],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    started = session_led_by(process.pid, marker=marker)
    try:
        _await_dashboard(process, f"http://127.0.0.1:{dashboard}/api/version", environ)
        yield Head(f"http://127.0.0.1:{dashboard}", home, environ)
    finally:
        end_session(started, grace_s=15)
        process.wait(timeout=10)


def _await_dashboard(process: subprocess.Popen[bytes], url: str, environ: dict[str, str]) -> None:
    import time

    headers = {"authorization": f"Bearer {environ['RAY_AUTH_TOKEN']}"}
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, "the head ended before it was ready"
        try:
            if httpx.get(url, headers=headers).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError("the dashboard did not answer within 90 s")


@pytest.fixture(scope="module")
def project(head: Head, tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "penguins.csv").write_bytes((data_folder / "penguins.csv").read_bytes())
    path = folder / "project.yaml"
    path.write_text(PROJECT)
    return path


def test_the_token_is_demanded(head: Head) -> None:
    assert httpx.get(f"{head.address}/api/jobs/").status_code in (401, 403)


def ray_job_submit(head: Head, folder: Path, *words: str) -> None:
    submit = [
        str(Path(sys.executable).with_name("ray")),
        *("job", "submit", "--address", head.address, "--working-dir", str(folder), "--", *words),
    ]
    done = subprocess.run(submit, capture_output=True, text=True, env=head.environ, timeout=240)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def test_ray_job_submit_trains_to_a_registered_model(head: Head, project: Path) -> None:
    settings = Settings.from_env({"TENFOLD_HOME": str(head.home)})
    prepare(load_project(project), settings=settings)
    ray_job_submit(head, project.parent, "tenfold", "train", "project.yaml")
    champion = Registry(settings).require("penguins")
    assert champion.version == 1
    assert (champion.path / "manifest.json").exists()


def test_tenfold_submit_follows_a_job_to_its_end(head: Head, project: Path) -> None:
    token = {k: v for k, v in head.environ.items() if k.startswith("RAY_AUTH")}
    words = ("submit", "run", str(project), "--address", head.address)
    record = tenfold_json(*words, home=head.home, **token)
    assert (record["status"], record["exit_code"]) == ("SUCCEEDED", 0)
    assert record["result"]["project"] == "penguins"
    assert record["result"]["metrics"]["accuracy"]["value"] > 0.8
    failed = tenfold(
        "submit",
        "check",
        str(project.with_name("none.yaml")),
        "--address",
        head.address,
        home=head.home,
        code=2,
        **token,
    )
    assert "none.yaml" in failed.stderr


def test_a_table_is_scored_by_a_job(head: Head, project: Path, tmp_path: Path) -> None:
    token = {k: v for k, v in head.environ.items() if k.startswith("RAY_AUTH")}
    rows = ("--input", str(project.with_name("penguins.csv")), "--output")
    words = ("submit", "predict", str(project), "--address", head.address, *rows)
    record = tenfold_json(*words, str(tmp_path / "job.parquet"), home=head.home, **token)
    assert (record["status"], record["result"]["rows"]) == ("SUCCEEDED", 344)
    tenfold("predict", str(project), *rows, str(tmp_path / "here.parquet"), home=head.home)
    job, here = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("job", "here"))
    assert job.num_rows == 344 and job.equals(here)


@pytest.mark.slow
def test_a_missed_gate_is_the_commands_own_exit_code(head: Head, project: Path) -> None:
    strict = project.with_name("strict.yaml")
    strict.write_text(PROJECT.replace("accuracy >= 0.8", "log_loss <= 0.000001"))
    token = {k: v for k, v in head.environ.items() if k.startswith("RAY_AUTH")}
    words = ("submit", "run", str(strict), "--address", head.address)
    record = tenfold_json(*words, home=head.home, code=3, **token)
    assert record["result"]["gates"][0]["holds"] is False


def test_a_wrong_token_is_refused(head: Head, project: Path) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    words = ("submit", "check", str(project), "--address", head.address)
    done = tenfold(*words, home=head.home, code=1, **token)
    assert "did not take the job" in done.stderr
    assert token["RAY_AUTH_TOKEN"] not in done.stderr
