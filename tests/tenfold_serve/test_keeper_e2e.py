"""The real thing: keeper, Ray, Serve, HAProxy, one replica. Ordered: the last test ends the keeper.

Contract tests of `tenfold_serve.ray_rim` against the pinned Ray stand here too: in-place swap, open
ports, killed HAProxy, token.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pyarrow as pa
import pytest
import yaml

from tenfold.cluster.keeper import read_keeper
from tenfold.cluster.ports import free_port
from tenfold.cluster.sessions import SessionRecord, alive, end_session, members
from tenfold.inference import Predictor
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.state import Keys, open_state
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold_serve.process import NICE, NICEST
from tenfold_serve.ray_rim import require_free_port
from tests.tenfold_serve.doors import test_clients, test_kserve_client
from tests.tenfold_serve.doors.grpc_live import ask, found, infer_request
from tests.tenfold_serve.doors.through import ARROW, Bits, arrow_table, stream
from tests.tenfold_serve.support import PROJECT, make_artifact

pytestmark = pytest.mark.e2e

ROWS = json_rows(mixed_schema(), mixed_table(20))
SOON_S = 4.0
"""Two seconds, on a busy machine."""
START_S = 150.0


@dataclass
class Running:
    settings: Settings
    registry: Registry
    project_file: Path
    port: int
    process: subprocess.Popen[bytes]
    key: str = ""
    grpc_port: int = 0

    @property
    def record(self) -> dict[str, Any]:
        found = read_keeper(self.settings)
        assert found is not None
        return found

    @property
    def session(self) -> SessionRecord:
        return SessionRecord.from_dict(self.record)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mixed"

    def publish(self, seed: int) -> int:
        folder = self.settings.home / f"artifact-{seed}"
        make_artifact(folder, seed=seed)
        return self.registry.publish("mixed", folder).version

    def promote(self, version: int) -> None:
        before = self.registry.alias("mixed", "champion")
        self.registry.promote("mixed", version, expected=before)

    def answering(self) -> int | None:
        try:
            reply = self.predict(self.key)
            return int(reply.json()["version"])
        except (httpx.HTTPError, ValueError, KeyError):
            return None

    def predict(self, key: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        body = {"rows": ROWS[:1]}
        return httpx.post(f"{self.url}/predict", json=body, headers=headers, timeout=5)

    def pids(self, words: str) -> list[int]:
        return [pid for pid in members(self.session) if words in command_line(pid)]

    def places(self, words: str) -> set[tuple[int, int]]:
        """Nice value and class of each thread of such processes."""
        found = set()
        for pid in self.pids(words):
            with suppress(OSError):
                for folder in Path(f"/proc/{pid}/task").iterdir():
                    with suppress(OSError):
                        found.add(place(int(folder.name)))
        return found


def place(thread: int) -> tuple[int, int]:
    return os.getpriority(os.PRIO_PROCESS, thread), os.sched_getscheduler(thread)


OWN = place(0)


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def eventually(condition: Callable[[], object], *, within_s: float) -> float:
    """Seconds until the condition held."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < within_s, "it did not come true in time"
        time.sleep(0.05)
    return time.monotonic() - start


def start_keeper(
    settings: Settings, project_file: Path, port: int, *more: str
) -> subprocess.Popen[bytes]:
    settings.keeper.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tenfold_serve.keeper", "--project", str(project_file)]
    with (settings.keeper / "keeper.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port), *more],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **settings.to_env()},
            start_new_session=True,
        )

    def ready() -> bool:
        assert process.poll() is None, (settings.keeper / "keeper.log").read_text()[-3000:]
        record = read_keeper(settings)
        return record is not None and record["ready"] and record["pid"] == process.pid

    eventually(ready, within_s=START_S)
    return process


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    settings = Settings.from_env({"TENFOLD_HOME": str(folder / "home")})
    project_file = folder / "project.yaml"
    grpc_port = free_port()
    serve = {**PROJECT["serve"], "grpc_port": grpc_port}  # type: ignore[dict-item]
    project_file.write_text(yaml.safe_dump({**PROJECT, "serve": serve}))
    (folder / "mixed.csv").write_text("label\nyes\n")
    port = free_port()
    registry = Registry(settings)
    make_artifact(folder / "first", seed=0)
    registry.publish("mixed", folder / "first")
    registry.promote("mixed", 1, expected=None)
    process = start_keeper(settings, project_file, port)
    made = Running(settings, registry, project_file, port, process, grpc_port=grpc_port)
    session = made.session
    try:
        yield made
    finally:
        record = read_keeper(settings)
        for each in (session, None if record is None else SessionRecord.from_dict(record)):
            if each is not None:
                end_session(each, grace_s=20)
        made.process.wait(10)


def test_it_answers_and_keeps_labels_and_echoes_the_request_id(running: Running) -> None:
    reply = httpx.post(
        f"{running.url}/predict", json={"rows": ROWS}, headers={"x-request-id": "mine-1"}
    )
    assert (reply.status_code, reply.headers["x-request-id"]) == (200, "mine-1")
    ids = [item["id"] for item in reply.json()["predictions"]]
    labels = [{"id": one, "label": "yes"} for one in ids]
    reply = httpx.post(f"{running.url}/feedback", json={"labels": labels})
    assert (reply.status_code, reply.json()["accepted"]) == (202, len(ids))

    def counted() -> bool:
        text = httpx.get(f"{running.url}/metrics").text
        return f'tenfold_labels_total{{project="mixed",version="1"}} {len(ids)}.0' in text

    eventually(counted, within_s=15)
    status = json.loads((running.settings.keeper / "status.json").read_bytes())
    assert status["mixed"]["arms"][0]["version"] == 1


def test_the_connections_of_a_burst_are_open_before_it_comes(running: Running) -> None:
    eventually(lambda: connections_to_replicas(running) == 64, within_s=150)


def test_who_answers_goes_first(running: Running) -> None:
    """Raylet starts replicas and the manager starts HAProxy, which inherit their place."""
    aside = {
        "/gcs_server ": NICE,
        "ray::ServeController": NICE,
        "ray::RuntimeEnvAgent": NICE,
        "ray::DashboardAgent": NICEST,
        "/ray/dashboard/dashboard.py ": NICEST,
        "ray-dashboard-": NICEST,
        "/log_monitor.py ": NICEST,
        "/monitor.py ": NICEST,
    }

    def places() -> dict[str, set[tuple[int, int]]]:
        return {words: running.places(words) for words in aside}

    expected = {words: {(max(nice, OWN[0]), os.SCHED_BATCH)} for words, nice in aside.items()}
    eventually(lambda: places() == expected, within_s=5)
    for words in ("ServeReplica", "bin/haproxy -db", "raylet/raylet ", "HAProxyManager"):
        assert running.places(words) == {OWN}, words


def test_every_door_answers_through_haproxy(running: Running) -> None:
    schema = mixed_schema()
    plain = httpx.post(f"{running.url}/predict", json={"rows": ROWS}).json()["predictions"]
    expected = [item["value"] for item in plain]
    reply = httpx.post(
        f"{running.url}/predict?with=warnings",
        content=stream(arrow_table(schema, ROWS)),
        headers={"content-type": ARROW.decode(), "x-request-id": "mine-2"},
    )
    table = pa.ipc.open_stream(reply.content).read_all()
    assert table["value"].to_pylist() == expected
    assert reply.headers.get_list("x-request-id") == ["mine-2"]
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    answer = httpx.post(f"{running.url}/predict", json={"columns": columns}).json()
    assert answer["columns"]["value"] == expected
    types = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}
    inputs = [
        {
            "name": column.name,
            "shape": [len(ROWS)],
            "datatype": types.get(column.kind.value, "BYTES"),
            "data": columns[column.name],
        }
        for column in schema.features
    ]
    reply = httpx.post(f"{running.url}/v2/models/mixed/infer", json={"inputs": inputs})
    assert reply.json()["outputs"][1]["data"] == expected
    address = running.record["grpc"]["mixed"]
    assert address == f"127.0.0.1:{running.grpc_port}"
    answered = ask(address, "ModelInfer", infer_request(schema, ROWS))
    assert found(answered)["value"] == expected
    told = httpx.post(
        f"{running.url}/predict?with=set,explanation&level=0.95",
        json={"rows": ROWS},
        timeout=60,  # a child process of the replica explains golden rows first
    ).json()
    assert (told["level"], told["method"]) == (0.95, "tree paths")
    for item in told["predictions"]:
        assert item["value"] in item["set"]
        parts = item["explanation"]
        total = parts["base"] + sum(parts["contributions"].values())
        assert total == pytest.approx(parts["raw"])
    unsafe = httpx.post(
        f"{running.url}/predict", json={"rows": ROWS}, headers={"x-request-id": "two words"}
    )
    (made,) = unsafe.headers.get_list("x-request-id")
    assert len(made) == 36 and " " not in made
    (config,) = Path(running.record["folder"]).glob("*/haproxy.cfg")  # one a node
    assert "timeout http-request 20s" in config.read_text()
    assert "timeout client 60s" in config.read_text()


def test_clients_that_we_did_not_write_work_through_haproxy(
    running: Running, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    found = Predictor.load(running.registry.require("mixed", 1).path).predict_rows(
        test_clients.ROWS
    )
    expected, place = Bits(found.values, found.scores.tobytes()), running.url.partition("//")[2]
    test_clients.test_tritonclient_works_unchanged(place, expected)
    test_clients.test_curl_with_json(place, expected)
    test_clients.test_curl_with_a_stream_in_a_file(place, expected, tmp_path)
    test_clients.test_pyarrow_over_urllib(place, expected)
    overlay = test_kserve_client.client_folder(request.config, tmp_path)
    test_kserve_client.check_kserves_client(running.url, overlay, expected)


def test_requests_go_around_what_serve_wraps_about_an_application(running: Running) -> None:
    hurried = {"x-request-timeout-seconds": "0.000001"}  # Serve's wrapper would answer 408
    reply = httpx.post(f"{running.url}/predict", json={"rows": ROWS[:1]}, headers=hurried)
    assert (reply.status_code, len(reply.headers.get_list("x-request-id"))) == (200, 1)


def test_nobody_is_told_what_else_is_served(running: Running) -> None:
    for path in ("/-/routes", "/-/routes?x", "/-/Routes", "/other", "/other/predict", "/"):
        reply = httpx.get(f"http://127.0.0.1:{running.port}{path}")
        assert (reply.status_code, reply.json()["error"]["law"]) == (404, "path")
        assert "mixed" not in reply.text


def test_a_hundred_megabytes_get_a_413(running: Running) -> None:
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    try:
        headers = {"content-type": "application/json"}
        client.request("POST", "/mixed/predict", body=b"x" * 100_000_000, headers=headers)
        answer = client.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read())["error"]["law"] == "body-size"
    finally:
        client.close()
    assert running.answering() == 1


def test_everything_for_clients_listens_on_loopback_only(running: Running) -> None:
    listening = listening_sockets(members(running.session))
    ports = {port for _, port, _ in listening}
    assert {running.port, running.grpc_port} <= ports
    for words in ("haproxy", "ServeReplica", "ProxyActor", "dashboard/dashboard.py"):
        assert any(words in command for _, _, command in listening), words
    public = [
        (command, port)
        for address, port, command in listening
        if address != "127.0.0.1" and is_ours(command, port)
    ]
    assert public == []
    haproxy = {port for _, port, command in listening if "haproxy" in command}
    assert haproxy == {running.port}


def test_no_public_port_answers_without_the_token(running: Running) -> None:
    """Ray's own exporters did: they are closed (`CLOSED_EXPORTERS`)."""
    public = [one for one in listening_sockets(members(running.session)) if one[0] != "127.0.0.1"]
    assert public  # Ray's control ports: they demand the token
    answered = []
    for _address, port, command in public:
        for path in ("/", "/metrics", "/api/jobs/"):
            try:
                reply = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=2)
            except httpx.HTTPError:
                continue  # it speaks gRPC
            if reply.status_code == 200:
                answered.append((port, path, command))
    assert answered == []


def is_ours(command: str, port: int) -> bool:
    """What clients, people or scrapers talk to; Ray's internal ports are guarded by the token."""
    if "haproxy" in command or "mlflow" in command:
        return True
    if "ServeReplica" in command:
        return 30000 <= port <= 31000  # the others are its core worker's gRPC ports
    if "ProxyActor" in command:
        return 8000 <= port < 10000
    return "dashboard/dashboard.py" in command and 8265 <= port < 8300


def tcp_sockets(pids: list[int]) -> Iterator[tuple[str, socket.AddressFamily, list[str]]]:
    """Command, family and fields (``/proc/net/tcp``) of every TCP socket of the processes."""
    owners = {}
    for pid in pids:
        with suppress(OSError):  # it is over
            for handle in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    owners[str(handle.readlink())] = pid
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            owner = owners.get(f"socket:[{fields[9]}]")
            if owner is not None:
                yield command_line(owner), family, fields


def listening_sockets(pids: list[int]) -> list[tuple[str, int, str]]:
    """Address, port and command of every listening TCP socket of the processes."""
    found = []
    for command, family, fields in tcp_sockets(pids):
        if fields[3] == "0A":
            address, port = fields[1].split(":")
            words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
            raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
            found.append((socket.inet_ntop(family, raw), int(port, 16), command))
    return found


def connections_to_replicas(running: Running) -> int:
    """Established connections of HAProxy to the port that it has most of them to."""
    proxies = running.pids("bin/haproxy -db")
    ports = Counter(
        fields[2].split(":")[1] for _, _, fields in tcp_sockets(proxies) if fields[3] == "01"
    )
    return max(ports.values(), default=0)


def test_rays_internal_ports_demand_the_token(running: Running) -> None:
    program = f"import ray; ray.init(address={running.record['ray_address']!r})"
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    stranger = {
        **env,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "0" * 64,
        "RAY_gcs_rpc_server_reconnect_timeout_s": "1",
        "RAY_gcs_server_port_wait_time_s": "1",  # one try, not the usual twenty a second apart
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=stranger, capture_output=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert b"oken" in done.stderr
    dashboard = running.record["dashboard_url"]
    assert httpx.get(f"{dashboard}/api/jobs/").status_code == 401
    put = httpx.put(f"{dashboard}/api/serve/applications/", json={"applications": []})
    assert put.status_code == 401
    assert running.answering() == 1


GRPC_CALLS = (
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.NodeManagerService/RequestWorkerLease",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.ReporterService/GetTraceback",
    "/ray.serve.ASGIService/HandleRequest",
)
"""One of every service that Ray's processes offer."""


def test_every_grpc_port_refuses_a_stranger(running: Running) -> None:
    """Of control store, raylet, object manager, agents, replicas and every other worker."""
    refused: dict[str, set[int]] = {}
    for address, port, command in listening_sockets(members(running.session)):
        if address == "127.0.0.1":
            continue
        host = "127.0.0.1" if address in ("0.0.0.0", "::") else address
        with grpc.insecure_channel(f"{host}:{port}") as channel:
            codes = {call: code_of(channel, call) for call in GRPC_CALLS}
        if set(codes.values()) == {"UNAVAILABLE"}:
            continue  # it speaks HTTP: see the test above
        answers = {call for call, code in codes.items() if code != "UNIMPLEMENTED"}
        assert answers, (port, command, codes)
        for call in answers:
            assert codes[call] == "UNAUTHENTICATED", (port, command, codes)
            refused.setdefault(call, set()).add(port)
    assert set(refused) == set(GRPC_CALLS)


def code_of(channel: grpc.Channel, call: str) -> str:
    """How a call without a token ends."""
    try:
        channel.unary_unary(call)(b"", timeout=30)
    except grpc.RpcError as error:
        return str(error.code().name)  # type: ignore[attr-defined]
    return "OK"


@pytest.fixture(scope="module")
def second(running: Running) -> int:
    """A version that answers nobody yet."""
    return running.publish(1)


def test_a_promotion_fails_no_request(running: Running, second: int) -> None:
    stop = threading.Event()
    failures: list[str] = []
    seen: list[list[int]] = []

    def load() -> None:
        versions: list[int] = []
        seen.append(versions)
        with httpx.Client(timeout=10) as client:
            while not stop.is_set():
                try:
                    reply = client.post(f"{running.url}/predict", json={"rows": ROWS[:2]})
                    if reply.status_code == 200:
                        versions.append(int(reply.json()["version"]))
                    else:
                        failures.append(reply.text)
                except httpx.HTTPError as error:
                    failures.append(repr(error))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    running.promote(second)
    try:
        eventually(lambda: all(v and v[-1] == second for v in seen), within_s=30)
        running.registry.rollback("mixed")
        eventually(lambda: all(v[-1] == 1 for v in seen), within_s=30)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    # Each client saw the versions change once forth and once back, never in between.
    for versions in seen:
        changes = [b for a, b in itertools.pairwise(versions) if a != b]
        assert changes == [second, 1]


def test_a_poisoned_model_never_answers(running: Running) -> None:
    poisoned = running.publish(2)
    folder = running.registry.require("mixed", poisoned).path
    model = folder / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    running.promote(poisoned)
    journal = running.registry.state.journal
    eventually(lambda: journal.tail("mixed", 5, kind="swap_refused"), within_s=30)
    told = f'tenfold_version_refused{{project="mixed",reason="probe",version="{poisoned}"}} 1.0'
    eventually(lambda: told in httpx.get(f"{running.url}/metrics").text, within_s=10)
    assert running.answering() == 1
    running.registry.rollback("mixed")


def test_a_canary_shares_the_traffic_by_key(running: Running, second: int) -> None:
    from tenfold.traffic import Canary, write_canary

    running.registry.set_alias("mixed", "challenger", second)
    write_canary(running.registry.state, "mixed", Canary(second, 50))

    def arms() -> set[str]:
        found = set()
        for key in range(30):
            headers = {"x-tenfold-key": f"k{key}"}
            reply = httpx.post(
                f"{running.url}/predict", json={"rows": ROWS[:1]}, headers=headers
            ).json()
            found.add(f"{reply['arm']} {reply['version']}")
        return found

    eventually(lambda: arms() == {"champion 1", f"challenger {second}"}, within_s=30)
    write_canary(running.registry.state, "mixed", Canary(second, 0))  # else it has its share again
    running.registry.set_alias("mixed", "challenger", None)  # when it is the challenger again
    eventually(lambda: arms() == {"champion 1"}, within_s=30)


def test_a_shadow_that_hangs_and_dies_is_noticed_by_nobody(running: Running, second: int) -> None:
    from tenfold.traffic import Shadow, write_shadow

    registry = running.registry
    registry.set_alias("mixed", "challenger", second)
    wish = Shadow(second, time.time_ns() // 1_000_000)
    write_shadow(registry.state, "mixed", wish)

    def shadow() -> dict[str, Any]:
        said = json.loads((running.settings.keeper / "status.json").read_bytes())
        return said["mixed"].get("shadow") or {}

    eventually(lambda: shadow().get("state") == "scoring", within_s=300)  # where a core is idle
    (pid,) = running.pids("tenfold_serve.shadow")
    stop, answers = threading.Event(), Counter[int]()

    def load() -> None:
        with httpx.Client(timeout=10) as client:
            while not stop.wait(0.01):
                reply = client.post(f"{running.url}/predict", json={"rows": ROWS[:2]})
                answers[reply.status_code] += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        eventually(lambda: shadow().get("rows"), within_s=300)
        os.kill(pid, signal.SIGSTOP)
        before = answers[200]
        eventually(lambda: answers[200] > before + 100, within_s=30)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: shadow().get("failures") == 1, within_s=10)
        found = shadow()
        assert found["state"] == "waiting"  # two minutes; who asks for it again does not wait
        text = httpx.get(f"{running.url}/metrics").text
        failed = f'tenfold_shadow_failures_total{{project="mixed",version="{second}"}} 1.0'
        assert failed in text
        write_shadow(registry.state, "mixed", None)
        eventually(lambda: not shadow(), within_s=10)
        write_shadow(registry.state, "mixed", wish)
        eventually(lambda: shadow().get("rows", 0) > found["rows"], within_s=60)
    finally:
        stop.set()
        thread.join()
    assert set(answers) == {200}
    assert shadow()["dropped_rows"] > 0  # what was answered while it stood still
    (pid,) = running.pids("tenfold_serve.shadow")
    write_shadow(registry.state, "mixed", None)
    registry.set_alias("mixed", "challenger", None)
    eventually(lambda: running.pids("tenfold_serve.shadow") == [], within_s=10)


def test_a_full_queue_is_answered_at_once_with_when_to_come_back(running: Running) -> None:
    """The replica stands still, so what is sent fills it (64), then the queue (256), then no more.

    Whoever waits is answered once it goes on.
    """
    (replica,) = running.pids("ServeReplica")
    body = json.dumps({"rows": ROWS[:1]}).encode()
    lines = [http.client.HTTPConnection("127.0.0.1", running.port, timeout=30) for _ in range(350)]
    headers = {"content-type": "application/json"}
    with ExitStack() as opened:
        for line in lines:
            opened.callback(line.close)
        os.kill(replica, signal.SIGSTOP)
        try:
            eventually(lambda: stands_still(replica), within_s=4)
            for line in lines:
                line.request("POST", "/mixed/predict", body, headers)
            eventually(lambda: len(ready(lines)) == 30, within_s=4)
        finally:
            os.kill(replica, signal.SIGCONT)
        statuses: Counter[int] = Counter()
        for line in lines:
            answer = line.getresponse()
            text = answer.read()
            statuses[answer.status] += 1
            if answer.status == 429:
                assert answer.headers["retry-after"] == "1"
                assert json.loads(text)["error"]["law"] == "busy"
    assert statuses == {200: 320, 429: 30}
    assert running.answering() == 1


def stands_still(pid: int) -> bool:
    """Whether every thread has seen the signal."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(text.rpartition(")")[2].split()[0] == "T" for text in stats)


def ready(lines: list[http.client.HTTPConnection]) -> list[socket.socket]:
    return select.select([line.sock for line in lines], [], [], 0)[0]


def test_a_killed_haproxy_comes_back(running: Running) -> None:
    for pid in running.pids("bin/haproxy -db"):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: running.answering() is None, within_s=5)
    eventually(lambda: running.answering() == 1, within_s=15)
    assert running.places("bin/haproxy -db") == {OWN}
    eventually(lambda: connections_to_replicas(running) == 64, within_s=150)


def test_a_killed_aggregator_comes_back_with_its_totals(running: Running) -> None:
    (pid,) = running.pids("ray::Aggregator")
    os.kill(pid, signal.SIGKILL)

    def total() -> float:
        text = httpx.get(f"{running.url}/metrics", timeout=30).text
        lines = [line for line in text.splitlines() if line.startswith("tenfold_labels_total{")]
        return sum(float(line.split()[-1]) for line in lines)

    assert running.answering() == 1
    eventually(lambda: total() >= len(ROWS), within_s=30)


def test_keys_close_the_endpoint_and_a_revoked_one_is_refused_in_two_seconds(
    running: Running,
) -> None:
    keys = Keys(open_state(running.settings).engine)
    old, old_text = keys.add("mixed", ["predict"])
    assert eventually(lambda: running.predict("").status_code == 401, within_s=10) < SOON_S
    assert running.predict(old_text).status_code == 200
    _, new_text = keys.rotate("mixed", old.id, overlap_s=600)
    assert eventually(lambda: running.predict(new_text).status_code == 200, within_s=10) < SOON_S
    assert running.predict(old_text).status_code == 200
    keys.revoke("mixed", old.id)
    assert eventually(lambda: running.predict(old_text).status_code == 401, within_s=10) < SOON_S
    assert running.predict(new_text).status_code == 200
    assert httpx.get(f"{running.url}/readyz").status_code == 200
    assert httpx.get(f"{running.url}/metrics").status_code == 401
    running.key = new_text


def test_a_second_keeper_is_refused_in_one_line(running: Running) -> None:
    command = [sys.executable, "-m", "tenfold_serve.keeper", "--project", str(running.project_file)]
    env = {**os.environ, **running.settings.to_env()}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "one keeper runs at a time" in done.stderr.splitlines()[-1]
    assert alive(running.session)
    # Another installation whole: in this one's state the project has keys by now.
    elsewhere = Settings.from_env({"TENFOLD_HOME": str(running.settings.home / "other")})
    other = {**env, **elsewhere.to_env()}
    exposed = [*command, "--port", "1", "--host", "0.0.0.0"]
    done = subprocess.run(
        exposed, env=other, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "'mixed' must have a key before it listens beyond loopback" in done.stderr
    command += ["--port", str(running.port)]
    done = subprocess.run(
        command, env=other, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert f"port {running.port} on 127.0.0.1 must be free" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_what_a_killed_keeper_leaves_is_reaped_by_the_next(running: Running) -> None:
    before = running.session
    folder = Path(running.record["folder"])
    os.kill(before.pid, signal.SIGKILL)
    running.process.wait(10)
    eventually(lambda: not alive(before), within_s=5)
    pages = free_port()
    running.process = start_keeper(
        running.settings, running.project_file, running.port, "--mlflow-port", str(pages)
    )
    assert members(before) == []
    assert not folder.exists()
    assert running.answering() == 1
    look_at_mlflow(running, pages)
    after = running.session
    ports = {port for _, port, _ in listening_sockets(members(after))}
    assert {running.port, running.grpc_port, pages} <= ports
    os.kill(after.pid, signal.SIGTERM)
    running.process.wait(60)
    eventually(lambda: members(after) == [], within_s=10)
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    require_free_port(running.port)
    assert read_keeper(running.settings) is None
    assert not (running.settings.keeper / "status.json").exists()


def look_at_mlflow(running: Running, port: int) -> None:
    """It answers as soon as the keeper is ready, on loopback, and tells nobody where the runs are.

    The uri may hold a password: who may list processes must not read it.
    """
    assert running.record["mlflow_url"] == f"http://127.0.0.1:{port}"
    assert httpx.get(f"{running.record['mlflow_url']}/health").status_code == 200
    assert httpx.get(f"{running.record['mlflow_url']}/").status_code == 200
    listening = listening_sockets(members(running.session))
    assert {address for address, at, _ in listening if at == port} == {"127.0.0.1"}
    ours = [command_line(pid) for pid in members(running.session)]
    assert any("mlflow" in words for words in ours)
    assert [words for words in ours if running.settings.mlflow_uri in words] == []
