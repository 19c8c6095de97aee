from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tenfold.errors import ClusterError, DataError
from tenfold_jobs.client import EndpointClient


class Endpoint(BaseHTTPRequestHandler):
    """A real HTTP server that answers, refuses, or hangs up, by the path that is asked."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/good/predict":
            self._answer(200, {"n": len(body["rows"])})
        elif self.path == "/good/feedback":
            self._answer(202, {"items": [{"status": "accepted"}] * len(body["labels"])})
        elif self.path.startswith("/rude/"):
            self.close_connection = True
        else:
            self._answer(400, {"error": "row 0 is wrong"})

    def do_GET(self) -> None:
        self._answer(200 if self.path.startswith("/good") else 503, {"ready": True})

    def _answer(self, status: int, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_answers_are_timed_and_failures_counted(url: str) -> None:
    with EndpointClient(f"{url}/good/") as good:
        assert good.predict([{"a": 1}, {"a": 2}]) == {"n": 2}
        assert good.feedback([{"id": "x", "label": 1}]) == {"items": [{"status": "accepted"}]}
        assert len(good.traffic.latencies_s) == 2
        assert good.traffic.n_failed == 0
        assert good.traffic.quantile_ms(0.99) > 0
    with EndpointClient(f"{url}/bad") as bad:
        assert bad.predict([{}]) is None
        assert bad.traffic.n_failed == 1
        assert "400" in bad.traffic.first_failure
    with EndpointClient(f"{url}/rude") as rude:
        assert rude.predict([{}]) is None
        assert rude.traffic.n_failed == 1


def test_who_waits_for_an_answer_gets_an_error(url: str) -> None:
    with EndpointClient(f"{url}/bad") as client:
        with pytest.raises(DataError, match="refused the labels: 400"):
            client.require_feedback([])
        with pytest.raises(ClusterError, match="does not answer"):
            client.get_json("readyz")
    with (
        EndpointClient("http://127.0.0.1:9/none") as client,
        pytest.raises(ClusterError, match="is it up\\? see `tenfold status`"),
    ):
        client.require_feedback([])


def test_no_traffic_has_no_latency() -> None:
    with EndpointClient("http://127.0.0.1:9/none") as client:
        assert client.traffic.quantile_ms(0.5) == 0.0
