"""The main job, whole: data, model, endpoint, drift, alarm, retrain, promotion, recovery."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import pytest

from tenfold.cluster.ports import free_port
from tenfold.project import load_project
from tenfold_jobs.demo import write_demo_data
from tests.command import tenfold

HOLDOUT_MIN = 0.9


def is_listening(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.e2e
def test_the_demo_closes_the_loop(tmp_path: Path) -> None:
    port = free_port()
    words = ("demo", "--json", "--port", str(port))
    done = tenfold(*words, home=tmp_path, timeout_s=560, TENFOLD_DASHBOARD="0")
    record = json.loads(done.stdout)
    assert record["failed_requests"] == 0, record["first_failure"]
    assert record["requests"] > 100
    assert record["heldout_accuracy"] >= HOLDOUT_MIN
    assert record["accuracy_drifted"] < 0.7 < record["accuracy_before"]
    assert record["accuracy_after"] > 0.85
    assert record["promoted_version"] > record["first_version"]
    events = " ".join(event["event"] for event in record["timeline"])
    words = ["alarm", "retrain_started", "promote", "swapped in place", "live quality back"]
    assert [word for word in words if word not in events] == []
    assert Path(record["report"]).exists()
    assert Path(record["card"]).exists()
    assert "[" in done.stderr  # the timeline, where it does not disturb the document
    assert not is_listening(port)
    assert not (tmp_path / "demo" / "keeper" / "keeper.json").exists()


@pytest.mark.e2e
@pytest.mark.slow
def test_a_kept_demo_answers_until_it_is_stopped(tmp_path: Path) -> None:
    port = free_port()
    done = tenfold("demo", "--keep", "--json", "--port", str(port), home=tmp_path, timeout_s=400)
    record = json.loads(done.stdout)
    assert f"TENFOLD_HOME={tmp_path / 'demo'} tenfold down" in done.stderr
    ready = httpx.get(f"{record['url']}/readyz").json()
    assert ready["arms"][0]["version"] == record["promoted_version"]
    tenfold("down", home=tmp_path / "demo", timeout_s=60)
    assert not is_listening(port)


def test_the_future_shares_no_row_with_the_table(tmp_path: Path) -> None:
    future = write_demo_data(tmp_path)
    header, *rows = future.read_text().splitlines()
    table_header, *table = (tmp_path / "digits.csv").read_text().splitlines()
    assert header == table_header
    assert (len(table), len(rows)) == (898, 899)
    assert not set(table) & set(rows)
    assert load_project(tmp_path / "project.yaml").name == "digits"
