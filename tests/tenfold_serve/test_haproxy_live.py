"""The real HAProxy, by Ray's configuration with our changes, before a replica of a few lines."""

from __future__ import annotations

import http.client
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tenfold_serve.haproxy import MAX_ONGOING, MAX_PARTLY, OPENING, haproxy_binary
from tests.tenfold_serve.test_haproxy import as_ray_makes_it, changed

LARGE = 100_000


class Replica(ThreadingHTTPServer):
    """Reads a body whole, tells its name, and answers; ``begun`` has an item for each request."""

    daemon_threads = True
    request_queue_size = 2 * MAX_ONGOING

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.begun: queue.SimpleQueue[str] = queue.SimpleQueue()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Replica

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.server.begun.put(self.headers["x-name"])
        n_bytes = int(self.headers["content-length"])
        if self.headers["x-name"].startswith("refused"):
            self.close_connection = True
            self._answer()
            return
        with suppress(ConnectionError):
            if len(self.rfile.read(n_bytes)) == n_bytes:
                self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "2")
        if self.headers["x-own"]:
            self.send_header("x-request-id", self.headers["x-own"])
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


class Line(http.client.HTTPConnection):
    """To HAProxy's socket."""

    def __init__(self, place: Path) -> None:
        super().__init__("127.0.0.1", timeout=20)
        self._place = place

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._place))


@dataclass
class Proxied:
    replica: Replica
    place: Path
    lines: ExitStack = field(default_factory=ExitStack)

    def line(self) -> Line:
        line = Line(self.place)
        self.lines.callback(line.close)
        return line

    def ask(self, method: str, path: str, **headers: str) -> http.client.HTTPResponse:
        line = self.line()
        line.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = line.getresponse()
        answer.read()
        return answer

    def post(self, name: str, *, size: int, sent: int, word: str = "") -> Line:
        """A request with a body of so many bytes, of which so many are sent."""
        line = self.line()
        line.putrequest("POST", "/one/predict")
        line.putheader("x-name", name)
        line.putheader("content-length", str(size))
        if word:
            line.putheader(OPENING, word)
        line.endheaders()
        line.send(b" " * sent)
        return line


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    replica = Replica()
    thread = threading.Thread(target=replica.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    backends = {"one": [f"127.0.0.1:{replica.server_port}"], "none": []}
    text = as_ray_makes_it(tmp_path / "ray", "127.0.0.1", backends).read_text()
    config, place = tmp_path / "h.cfg", tmp_path / "h.sock"
    text = changed(config, text.replace("bind 127.0.0.1:8000", f"bind unix@{place}"))
    binary = haproxy_binary()
    assert binary is not None
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([binary, "-db", "-f", config], stdout=log, stderr=log)
    found = Proxied(replica, place)
    try:
        deadline = time.monotonic() + 20
        while not place.exists() or found.ask("GET", "/one/healthz").status != 200:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        with found.lines:
            yield found
    finally:
        process.kill()
        process.wait()
        replica.shutdown()
        replica.server_close()
        thread.join()


def test_every_answer_has_the_id_of_its_request(proxied: Proxied) -> None:
    """Also HAProxy's own; one that the replica gave stays as it is."""
    for path, status in (("/one/healthz", 200), ("/other", 404), ("/-/routes", 404)):
        answer = proxied.ask("GET", path, x_request_id="mine")
        assert (answer.status, answer.headers.get_all("x-request-id")) == (status, ["mine"])
        (made,) = proxied.ask("GET", path).headers.get_all("x-request-id") or ()
        assert len(made) == 36
    answer = proxied.ask("GET", "/one/healthz", x_request_id="mine", x_own="its")
    assert answer.headers.get_all("x-request-id") == ["its"]


@pytest.mark.parametrize("name", ["held", "refused"])
def test_bodies_that_stop_half_way_are_in_nobodys_way(proxied: Proxied, name: str) -> None:
    """Also those that the replica has refused: that alone does not free their places."""
    n_large = 2 * MAX_PARTLY
    half = [proxied.post(f"{name} {n}", size=LARGE, sent=20_000) for n in range(n_large)]
    begun = {proxied.replica.begun.get(timeout=20) for _ in range(MAX_PARTLY)}
    large = proxied.post("large", size=LARGE, sent=LARGE)
    with pytest.raises(queue.Empty):
        proxied.replica.begun.get(timeout=0.1)
    assert proxied.ask("GET", "/one/healthz").status == 200
    small = [proxied.post(f"small {n}", size=100, sent=100) for n in range(MAX_ONGOING)]
    assert {line.getresponse().status for line in small} == {200}
    for line in half:
        line.close()
    assert large.getresponse().status == 200
    assert all(one.startswith(name) for one in begun)


@pytest.mark.parametrize("knows", [True, False])
def test_who_opens_connections_has_all_places(proxied: Proxied, knows: bool) -> None:
    """As `tenfold_serve.connections` does, by a word that nobody else knows."""
    word = str(proxied.place.parent) if knows else "guessed"
    for n in range(MAX_ONGOING):
        proxied.post(f"{n}", size=LARGE, sent=20_000, word=word)
    for _ in range(MAX_ONGOING if knows else MAX_PARTLY):
        proxied.replica.begun.get(timeout=20)
    if not knows:
        with pytest.raises(queue.Empty):
            proxied.replica.begun.get(timeout=0.2)


def test_a_body_in_chunks_is_one_that_comes_in_parts(proxied: Proxied) -> None:
    half = [proxied.post(f"held {n}", size=LARGE, sent=20_000) for n in range(MAX_PARTLY)]
    for _ in half:
        proxied.replica.begun.get(timeout=20)
    chunked = proxied.line()
    chunked.putrequest("POST", "/one/predict")
    chunked.putheader("transfer-encoding", "chunked")
    chunked.putheader("x-name", "chunked")
    chunked.endheaders()
    chunked.send(b"3\r\nabc\r\n")
    with pytest.raises(queue.Empty):
        proxied.replica.begun.get(timeout=0.2)
    chunked.close()
