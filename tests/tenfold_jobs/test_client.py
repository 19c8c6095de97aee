from __future__ import annotations

from collections.abc import Iterator

import pytest

from tenfold.errors import ClusterError, DataError
from tenfold_jobs.client import EndpointClient
from tests.httpserver import JsonHandler, serving


class Endpoint(JsonHandler):
    """A real HTTP server that answers, refuses, or hangs up, by the path that is asked."""

    def post(self) -> None:
        body = self.body()
        if self.path == "/good/predict":
            self.answer(200, {"n": len(body["rows"])})
        elif self.path == "/good/feedback":
            self.answer(202, {"items": [{"status": "accepted"}] * len(body["labels"])})
        elif self.path.startswith("/rude/"):
            self.close_connection = True
        else:
            self.answer(400, {"error": "row 0 is wrong"})

    def get(self) -> None:
        self.answer(200 if self.path.startswith("/good") else 503, {"ready": True})


@pytest.fixture
def url() -> Iterator[str]:
    with serving(Endpoint) as found:
        yield found


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
