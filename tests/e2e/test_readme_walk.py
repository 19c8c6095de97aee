"""The README's walk on real tables, as a user types it: init, run, up, ask, label, status, down."""

from __future__ import annotations

import csv
import os
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenfold.cluster.ports import free_port
from tenfold.cluster.sessions import SessionRecord, members
from tests.command import tenfold, tenfold_json

pytestmark = pytest.mark.e2e


@dataclass
class Walk:
    """Two trained projects in one home, and where their endpoint answers once it is up."""

    home: Path
    adult: Path
    bike: Path
    trained: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("walk")
    home = folder / "home"
    files = {}
    for name, target in (("adult", "salary"), ("bike", "cnt")):
        files[name] = folder / f"{name}.yaml"
        table = str(data_folder / f"{name}.csv")
        tenfold("init", table, "--target", target, "-o", str(files[name]), home=home)
    bike = files["bike"]
    bike.write_text(bike.read_text().replace("  # time: {order: rows}", "  time: {order: rows}"))
    trained = {
        name: tenfold_json("run", str(path), "--budget", "40s", home=home)
        for name, path in files.items()
    }
    yield Walk(home, files["adult"], files["bike"], trained)
    tenfold("down", home=home)


@pytest.fixture(scope="module")
def urls(walk: Walk) -> dict[str, str]:
    port = str(free_port())
    record = tenfold_json("up", str(walk.adult), str(walk.bike), "--port", port, home=walk.home)
    found: dict[str, str] = record["urls"]
    return found


def rows_of(path: Path, n_rows: int, *, numbers: bool) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(n_rows), strict=False)]
    read = []
    for row in rows:
        row.pop("salary", None)
        row.pop("cnt", None)
        read.append({k: _value(v) for k, v in row.items()})
    assert numbers or any(isinstance(v, str) for v in read[0].values())
    return read


def _value(text: str) -> Any:
    text = text.strip()
    if text == "?":
        return None
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def test_the_models_are_good(walk: Walk) -> None:
    adult, bike = walk.trained["adult"], walk.trained["bike"]
    assert adult["metrics"]["roc_auc"]["value"] >= 0.9  # what forty seconds of a busy machine give
    assert adult["alias"] == bike["alias"] == "champion"
    assert bike["metrics"]["r2"]["value"] >= 0.7
    assert set(adult) >= {"project", "version", "digest", "alias", "metrics", "gates"}


def test_answers_carry_ids_and_labels_are_taken(
    walk: Walk, urls: dict[str, str], data_folder: Path
) -> None:
    rows = rows_of(data_folder / "adult.csv", 30, numbers=False)
    answer = httpx.post(f"{urls['adult']}/predict", json={"rows": rows})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) >= {"model", "version", "digest", "predictions"}
    assert body["digest"] == walk.trained["adult"]["digest"]
    first = body["predictions"][0]
    assert set(first["probabilities"]) == {"<=50K", ">50K"}
    assert sum(first["probabilities"].values()) == pytest.approx(1.0)
    labels = [{"id": p["id"], "label": "<=50K"} for p in body["predictions"]]
    taken = httpx.post(f"{urls['adult']}/feedback", json={"labels": labels})
    assert taken.status_code == 202, taken.text
    assert {item["status"] for item in taken.json()["items"]} == {"accepted"}
    bike = rows_of(data_folder / "bike.csv", 3, numbers=True)
    numbers = httpx.post(f"{urls['bike']}/predict", json={"rows": bike}).json()
    assert all(isinstance(p["value"], float) for p in numbers["predictions"])
    assert "probabilities" not in numbers["predictions"][0]


def test_online_and_batch_answers_are_equal(
    walk: Walk, urls: dict[str, str], data_folder: Path, tmp_path: Path
) -> None:
    rows = rows_of(data_folder / "adult.csv", 50, numbers=False)
    online = httpx.post(f"{urls['adult']}/predict", json={"rows": rows}).json()["predictions"]
    output = tmp_path / "scored.parquet"
    table = str(data_folder / "adult.csv")
    words = ("predict", str(walk.adult), "--input", table, "--output", str(output))
    record = tenfold_json(*words, home=walk.home)
    import pyarrow.parquet as pq

    batch = pq.read_table(output)
    assert record["rows"] == batch.num_rows == 32561
    assert batch["prediction"].to_pylist()[:50] == [p["value"] for p in online]
    assert batch["probability_>50K"].to_pylist()[:50] == [
        p["probabilities"][">50K"] for p in online
    ]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"age": "old"}, 400, ["age", "old", "row 0"]),
        ({"height": 180}, 400, ["height"]),
        ({"age": ...}, 400, ["age"]),
        ({"age": None}, 200, []),
        ({"occupation": "Astronaut"}, 200, []),
    ],
)
def test_bad_rows_get_one_clear_answer(
    urls: dict[str, str], data_folder: Path, change: dict[str, Any], status: int, words: list[str]
) -> None:
    row = rows_of(data_folder / "adult.csv", 1, numbers=False)[0] | change
    row = {name: value for name, value in row.items() if value is not ...}
    answer = httpx.post(f"{urls['adult']}/predict", json={"rows": [row]})
    assert answer.status_code == status, answer.text
    assert [word for word in words if word not in answer.text] == []


def test_the_pages_are_there(urls: dict[str, str]) -> None:
    for path in ("docs", "openapi.json", "healthz", "readyz", "metrics"):
        assert httpx.get(f"{urls['adult']}/{path}").status_code == 200, path
    spec = httpx.get(f"{urls['adult']}/openapi.json").json()
    assert "capital-gain" in str(spec)


def test_feedback_from_a_file(walk: Walk, urls: dict[str, str], data_folder: Path) -> None:
    rows = rows_of(data_folder / "bike.csv", 5, numbers=True)
    asked = httpx.post(f"{urls['bike']}/predict", json={"rows": rows}).json()["predictions"]
    labels = walk.home / "labels.csv"
    lines = [f"{p['id']},{n * 10}" for n, p in enumerate(asked)]
    labels.write_text("\n".join(["id,label", *lines, "nobody-knows-this,3", ""]))
    sent = tenfold_json("feedback", str(walk.bike), "--input", str(labels), home=walk.home)
    assert sent["statuses"] == {"accepted": 5, "unknown": 1}


def test_every_scenario_can_be_replayed(walk: Walk, urls: dict[str, str]) -> None:
    for scenario in ("none", "covariate", "broken"):
        words = ("simulate", str(walk.bike), "--scenario", scenario, "--rows", "60")
        record = tenfold_json(*words, home=walk.home)
        assert (record["rows"], record["labels"], record["failed"]) == (60, 60, 0)


def test_status_tells_what_runs(walk: Walk, urls: dict[str, str]) -> None:
    status = tenfold_json("status", str(walk.adult), home=walk.home)
    adult = status["projects"]["adult"]
    assert adult["champion"] == walk.trained["adult"]["version"]
    assert status["keeper"]["running"] is True
    assert "adult" in tenfold("status", home=walk.home).stdout


def test_a_second_up_is_refused(walk: Walk, urls: dict[str, str]) -> None:
    port = str(free_port())
    done = tenfold("up", str(walk.adult), "--port", port, home=walk.home, code=2)
    assert "an endpoint is running already" in done.stderr


def test_a_taken_port_is_said_before_anything_starts(walk: Walk, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        environ = {"TENFOLD_STATE": f"sqlite:///{walk.home / 'state.db'}"}
        other = tmp_path / "other-home"
        words = ("up", str(walk.adult), "--port", port)
        done = tenfold(*words, home=other, code=2, **environ)
    assert port in done.stderr
    assert "taken" in done.stderr or "in use" in done.stderr
    assert not (other / "keeper" / "keeper.json").exists()


def test_nothing_outlives_a_killed_keeper(walk: Walk, urls: dict[str, str]) -> None:
    import json

    record = json.loads((walk.home / "keeper" / "keeper.json").read_text())
    session = SessionRecord.from_dict(record)
    assert len(members(session)) > 3
    os.kill(session.pid, signal.SIGKILL)
    port = str(free_port())
    again = tenfold_json("up", str(walk.bike), "--port", port, home=walk.home)
    assert members(session) == []
    assert httpx.get(f"{again['urls']['bike']}/readyz").status_code == 200
    second = SessionRecord.from_dict(json.loads((walk.home / "keeper" / "keeper.json").read_text()))
    own = held(members(second))
    sockets = {inode: place for inode, place in listening().items() if inode in own}
    assert int(port) in sockets.values()
    assert tenfold_json("down", home=walk.home)["was_running"] is True
    assert members(second) == []
    left = sorted(sockets[inode] for inode in sockets.keys() & listening().keys())
    assert left == [], "these ports still answer"  # by their sockets: another may have them again


def held(pids: Iterable[int]) -> set[str]:
    """Inodes of the sockets that these processes have."""
    own: set[str] = set()
    for pid in pids:
        with suppress(OSError):  # one that has ended meanwhile
            own |= {str(handle.readlink()) for handle in Path(f"/proc/{pid}/fd").iterdir()}
    return {name.removeprefix("socket:[").removesuffix("]") for name in own}


def listening() -> dict[str, int]:
    """Sockets of TCP that listen, by inode, each with its port."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A":
                found[inode] = int(local.rpartition(":")[2], 16)
    return found
