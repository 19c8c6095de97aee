"""What must not be told is told nowhere: canaries in the DSN, in keys, in rows, in headers.

S29 and S31 of the threat model, against a real endpoint with its Ray: every log file of the keeper
and of Ray's session, ``/metrics``, the status, and every command line are searched.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tenfold.cluster.sessions import SessionRecord, members
from tenfold.live import log_tables, read_log
from tenfold.state import Keys, open_state
from tenfold.state.keys import split_key
from tests.command import tenfold
from tests.faults.served import ROWS, Served, served
from tests.postgres import running_postgres
from tests.tenfold_serve.test_keeper_e2e import command_line, eventually

pytestmark = pytest.mark.slow

DSN, VALUE, LABEL, NAME = "CANARYdsn7261", "CANARYvalue7261", "CANARYlabel7261", "CANARYname7261"
LARGEST = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def places() -> Iterator[tuple[str, str]]:
    with running_postgres() as url:
        yield url, re.sub(r"//([^:@/]+)(:[^@/]*)?@", rf"//\1:{DSN}@", url)


def told(up: Served, environ: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """Whatever people or programs may read of it, by name; the tables and their spool are data."""
    pids = members(SessionRecord.from_dict(up.record()))
    lines = {pid: command_line(pid) for pid in pids}
    for pid, line in lines.items():
        yield f"command of {pid}", line.encode()
    sessions = set(re.findall(r"(/[^ =,\"]*?/session_[0-9_-]+)", " ".join(lines.values())))
    folders = [up.settings.keeper, *map(Path, sessions)]
    assert len(folders) > 1
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.stat().st_size < LARGEST:
                yield str(path), path.read_bytes()
    yield "status", tenfold("status", "--json", home=up.settings.home, **environ).stdout.encode()


def test_no_canary_is_told_anywhere(tmp_path: Path, places: tuple[str, str]) -> None:
    plain, with_password = places
    assert DSN in with_password and DSN not in plain
    environ = {"TENFOLD_STATE": with_password}
    with served(tmp_path, environ=environ) as up, ExitStack() as stack:
        keys = Keys(open_state(up.settings).engine)
        _, key = keys.add("mixed", ["predict", "feedback", "operate"])
        eventually(lambda: up.ask().status_code == 401, within_s=10)
        headers = {
            "authorization": f"Bearer {key}",
            "x-tenfold-key": NAME,
            "x-request-id": NAME,
        }
        good = {**ROWS[0], "color": VALUE}
        client = stack.enter_context(httpx.Client(base_url=up.url, headers=headers, timeout=20))
        reply = client.post("/predict", json={"rows": [good] * 3})
        assert reply.status_code == 200
        ids = [item["id"] for item in reply.json()["predictions"]]
        labels = [{"id": one, "label": LABEL} for one in ids]
        assert client.post("/feedback", json={"labels": labels}).status_code in {202, 400}
        for body in ({"rows": [{**good, "age": VALUE}]}, {"rows": [{VALUE: 1}]}, {VALUE: NAME}):
            assert client.post("/predict", json=body).status_code == 400
        infer = {"inputs": [{"name": VALUE, "shape": [1], "datatype": VALUE, "data": [VALUE]}]}
        assert client.post("/v2/models/mixed/infer", json=infer).status_code == 400
        for path in (
            f"/{NAME}",
            f"/{NAME}%0d%0afake%20line",
            f"/predict?with={NAME}",
            f"/v2/{NAME}",
        ):
            assert 400 <= client.post(path, content=VALUE.encode()).status_code < 500
        for strange in (f"{NAME}\x1b[31m", f"{NAME}\r\nx-more: 1"):
            raw = f"POST /mixed/predict HTTP/1.1\r\nHost: x\r\nX-Request-Id: {strange}\r\n"
            with socket.create_connection(("127.0.0.1", up.port), timeout=20) as line:
                line.sendall(f"{raw}Content-Length: 0\r\n\r\n".encode())
                assert line.recv(65536).startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
        wrong = {"authorization": f"Bearer {NAME}"}
        assert client.post("/predict", json={}, headers=wrong).status_code == 401
        eventually(lambda: "tenfold_requests_total" in client.get("/metrics").text, within_s=20)

        def kept() -> bool:
            table = read_log(log_tables(up.settings.live, "mixed")[0])
            return table is not None and table["color"].to_pylist().count(VALUE) == 3

        eventually(kept, within_s=20)
        eventually(lambda: "tenfold_decisions_total" in client.get("/metrics").text, within_s=20)
        text = client.get("/metrics").text
        secret = split_key(key)[1]
        for where, data in [*told(up, environ), ("/metrics", text.encode())]:
            for canary in (DSN, VALUE, LABEL, NAME, key, secret):
                assert canary.encode() not in data, f"{canary} is told in {where}"
        known, n_lost = series(text), lost(text)
        for number in range(30):
            assert client.post(f"/{NAME}{number}").status_code == 404
        eventually(lambda: lost(client.get("/metrics").text) >= n_lost + 30, within_s=20)
        assert series(client.get("/metrics").text) == known  # no request makes a series


def lost(text: str) -> float:
    """Requests that were answered 404."""
    lines = [line for line in text.splitlines() if line.startswith("tenfold_requests_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if '"404"' in line)


def series(text: str) -> set[str]:
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
