"""A real endpoint to break, and clients that write down what became of every request."""

from __future__ import annotations

import csv
import gc
import http.client
import itertools
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from tenfold.cluster.keeper import read_keeper
from tenfold.cluster.ports import free_port
from tenfold.cluster.sessions import SessionRecord, members
from tenfold.live import log_tables, read_log
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tests.command import tenfold
from tests.tenfold_serve.support import PROJECT, make_artifact
from tests.tenfold_serve.test_keeper_e2e import command_line, eventually

ROWS = json_rows(mixed_schema(), mixed_table(100))
MOST_WAITING = 800


@dataclass
class Served:
    """What `tenfold up` runs for the project ``mixed``, and what it said to a person."""

    settings: Settings
    registry: Registry
    project: Path
    port: int
    said: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mixed"

    def publish(self, folder: Path, **model: Any) -> int:
        """The version of a new model, made by `make_artifact`."""
        make_artifact(folder, **model)
        return self.registry.publish("mixed", folder).version

    def traffic(self, *words: str) -> None:
        tenfold("traffic", str(self.project), *words, home=self.settings.home)

    def shadow(self) -> dict[str, Any]:
        """What the keeper says of the shadow; empty without one."""
        said = json.loads((self.settings.keeper / "status.json").read_bytes())
        return said["mixed"].get("shadow") or {}

    def record(self) -> dict[str, Any]:
        found = read_keeper(self.settings)
        assert found is not None
        return found

    def pids(self, words: str) -> list[int]:
        session = SessionRecord.from_dict(self.record())
        return [pid for pid in members(session) if words in command_line(pid)]

    def replicas(self) -> list[int]:
        return self.pids("ray::ServeReplica")

    def ask(self, timeout_s: float = 5.0) -> httpx.Response:
        return httpx.post(f"{self.url}/predict", json={"rows": ROWS[:1]}, timeout=timeout_s)

    def answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return self.ask().status_code == 200
        return False

    def answering(self, n_times: int = 40) -> set[str]:
        """Names of the replicas that answer, as many as so many askers meet."""
        found = set()
        for _ in range(n_times):
            with suppress(httpx.HTTPError, ValueError):
                reply = httpx.get(f"{self.url}/readyz", timeout=5)
                if reply.status_code == 200:
                    found.add(str(reply.json()["replica"]))
        return found

    def in_flight(self) -> int:
        """Requests that HAProxy has sent to the replicas, and those that wait in it for one."""
        (place,) = Path(self.record()["folder"]).glob("*/a.sock")
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(5)
            asked.connect(str(place))
            asked.sendall(b"show stat\n")
            parts = list(iter(lambda: asked.recv(65536), b""))
        stat = csv.DictReader(b"".join(parts).decode().removeprefix("# ").splitlines())
        return sum(  # those that wait are in it
            int(line["scur"])
            for line in stat
            if line["pxname"] in ("http-mixed", "http-mixed.large") and line["svname"] == "BACKEND"
        )

    def logged_rows(self) -> int:
        table = read_log(log_tables(self.settings.live, "mixed")[0])
        return 0 if table is None else table.num_rows

    def dropped_rows(self) -> int:
        return int(self.metric("tenfold_monitor_dropped_rows_total"))

    def metric(self, name: str) -> float:
        """Sum of a metric's samples on ``/metrics``."""
        lines = httpx.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        return sum(
            float(li.split()[-1]) for li in lines if li.startswith((f"{name} ", f"{name}{{"))
        )


@contextmanager
def served(
    folder: Path,
    *,
    engine: str = "onnx",
    environ: Mapping[str, str] | None = None,
    **serve: Any,
) -> Iterator[Served]:
    """One keeper with one model; ended at the end."""
    more = dict(environ or {})
    settings = Settings.from_env({"TENFOLD_HOME": str(folder / "home"), **more})
    project = folder / "project.yaml"
    limits = {"max_rows": 1000, **serve}
    project.write_text(yaml.safe_dump({**PROJECT, "serve": limits}))
    (folder / "mixed.csv").write_text("label\nyes\n")
    registry = Registry(settings)
    make_artifact(folder / "first", engine=engine, seed=0)
    registry.publish("mixed", folder / "first")
    registry.promote("mixed", 1, expected=None)
    port = free_port()
    said = tenfold("up", str(project), "--port", str(port), home=settings.home, **more).stdout
    try:
        yield Served(settings, registry, project, port, said)
    finally:
        tenfold("down", home=settings.home, **more)


class Asked(NamedTuple):
    """A request of its own.

    Attributes:
        rows: that it asks of.
        split_key: by which it is given to champion or canary.
    """

    rows: Sequence[Mapping[str, Any]]
    split_key: str


class Told(NamedTuple):
    """One request in a client's journal.

    Attributes:
        sent_s: when it was sent, or due in an open loop; monotonic.
        number: of the request, from 0.
        seconds: until its answer was whole or its connection broke.
        status: of the answer; 0 where the connection broke, -1 where time ran out.
        said: what a refusal said.
        arm: that answered, as version and digest; empty and 0 where none did.
        scores: of the answer's rows, by class.
    """

    sent_s: float
    number: int
    seconds: float
    status: int
    said: str = ""
    arm: str = ""
    version: int = 0
    digest: str = ""
    scores: Sequence[Sequence[float]] = ()

    @property
    def until_s(self) -> float:
        return self.sent_s + self.seconds


@dataclass
class Clients:
    """Threads that ask one request after the other, each on a connection of its own; or, with a
    rate, requests at a constant pace whatever becomes of those before (an open loop): each counts
    from when it was due, and `MOST_WAITING` may wait at once.

    Attributes:
        rows: that each request asks of, or what the request of a number asks.
        rate: requests a second; 0 for ``n_clients`` that wait for their answers.
    """

    port: int
    rows: Sequence[Mapping[str, Any]] | Callable[[int], Asked]
    n_clients: int = 4
    timeout_s: float = 20.0
    pause_s: float = 0.0
    key: str = ""
    rate: float = 0.0
    journals: list[list[Told]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._headers = {"content-type": "application/json"}
        if self.key:
            self._headers["authorization"] = f"Bearer {self.key}"
        self._body = b"" if callable(self.rows) else _body(self.rows)

    @contextmanager
    def asking(self) -> Iterator[Clients]:
        stop, numbers = threading.Event(), itertools.count()
        self.journals = [[] for _ in range(1 if self.rate else self.n_clients)]
        threads = [
            threading.Thread(
                target=self._pace if self.rate else self._ask, args=(one, numbers, stop)
            )
            for one in self.journals
        ]
        gc.disable()  # with all that tests import a full collection stops these clients for 0.1 s
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: all(self.journals), within_s=10)
            yield self
        finally:
            gc.enable()
            stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, journal: list[Told], numbers: Iterator[int], stop: threading.Event) -> None:
        with closing(self._line()) as line:
            while not stop.is_set():
                journal.append(self._once(line, next(numbers), time.monotonic()))
                if journal[-1].status <= 0:
                    stop.wait(0.02)
                stop.wait(self.pause_s)

    def _pace(self, journal: list[Told], numbers: Iterator[int], stop: threading.Event) -> None:
        idle: list[http.client.HTTPConnection] = []

        def once(number: int, due_s: float) -> None:
            line = idle.pop() if idle else self._line()
            journal.append(self._once(line, number, due_s))
            idle.append(line)

        began = time.monotonic()
        with ThreadPoolExecutor(MOST_WAITING) as pool:
            for number in numbers:
                due_s = began + number / self.rate
                if stop.wait(max(0.0, due_s - time.monotonic())):
                    break
                pool.submit(once, number, due_s)
        assert len(idle) < MOST_WAITING, "the loop was not open"
        for line in idle:
            line.close()

    def _line(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)

    def _once(self, line: http.client.HTTPConnection, number: int, began: float) -> Told:
        body, headers = self._body, self._headers
        if callable(self.rows):
            asked = self.rows(number)
            body, headers = _body(asked.rows), {**headers, "x-tenfold-key": asked.split_key}
        try:
            line.request("POST", "/mixed/predict", body, headers)
            answer = line.getresponse()
            text = answer.read()
            status = answer.status
        except TimeoutError:
            status, text = -1, b""
        except (OSError, http.client.HTTPException):
            status, text = 0, b""
        if status <= 0:
            line.close()
        return told(began, number, status, text)

    @property
    def all(self) -> list[Told]:
        return sorted(one for journal in self.journals for one in list(journal))

    def statuses(self) -> Counter[int]:
        return Counter(one.status for one in self.all)

    def failures(self) -> list[Told]:
        return [one for one in self.all if one.status != 200]

    def wait_for(self, condition: Callable[[], object], *, within_s: float) -> float:
        return eventually(condition, within_s=within_s)


def _body(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps({"rows": list(rows)}).encode()


def told(began: float, number: int, status: int, text: bytes) -> Told:
    seconds = time.monotonic() - began
    if status != 200:
        return Told(began, number, seconds, status, text[:300].decode(errors="replace"))
    said = json.loads(text)
    scores = [list(item["probabilities"].values()) for item in said["predictions"]]
    by = (said["arm"], said["version"], said["digest"])
    return Told(began, number, seconds, status, "", *by, scores=scores)


def quantile_ms(journal: Sequence[Told], share: float) -> float:
    times = sorted(one.seconds for one in journal)
    return 1000 * times[min(len(times) - 1, int(share * len(times)))]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
