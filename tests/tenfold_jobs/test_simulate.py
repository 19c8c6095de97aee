"""Replaying a stream against a real HTTP server that answers as an endpoint does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from tenfold_jobs.client import EndpointClient
from tenfold_jobs.scenarios import Stream
from tenfold_jobs.simulate import ROWS_PER_REQUEST, Replay, replay
from tests.httpserver import JsonHandler, serving


class Endpoint(JsonHandler):
    """Answers "yes" to every row; refuses a request whose first row has a negative x."""

    labels: list[dict[str, Any]]

    def post(self) -> None:
        body = self.body()
        if self.path.endswith("predict"):
            if body["rows"][0]["x"] < 0:
                self.answer(503, {"error": {"message": "not now"}})
                return
            found = [{"id": f"id-{row['x']:g}", "value": "yes"} for row in body["rows"]]
            self.answer(200, {"version": 3, "predictions": found})
            return
        self.labels.extend(body["labels"])
        self.answer(202, {"items": [{"status": "accepted"} for _ in body["labels"]]})


@pytest.fixture
def url() -> Iterator[str]:
    Endpoint.labels = []
    with serving(Endpoint) as found:
        yield f"{found}/mixed"


def stream_of(values: list[float], labels: list[str | None]) -> Stream:
    return Stream(pa.table({"x": values}), labels, "as it is")


def test_every_row_gets_its_own_label_and_loss(url: str) -> None:
    n_rows = 2 * ROWS_PER_REQUEST + 5
    labels: list[str | None] = ["yes" if n % 5 else "no" for n in range(n_rows)]
    labels[7] = None  # the truth is not known: nothing is sent for it
    stream = stream_of([float(n) for n in range(n_rows)], labels)
    with EndpointClient(url) as client:
        state = replay(client, stream, send_labels=True)
    assert (state.n_rows, state.n_labels) == (n_rows, n_rows - 1)
    assert state.versions == [3] * n_rows
    assert sum(state.losses) == labels.count("no")
    assert {item["id"]: item["label"] for item in Endpoint.labels} == {
        f"id-{n}": label for n, label in enumerate(labels) if label is not None
    }
    assert {item["source"] for item in Endpoint.labels} == {"simulate"}
    assert state.recent_loss(5) == sum(label == "no" for label in labels[-5:]) / 5


def test_a_failed_request_is_counted_and_the_next_one_goes_on(url: str) -> None:
    values = [-1.0] * ROWS_PER_REQUEST + [1.0] * ROWS_PER_REQUEST
    with EndpointClient(url) as client:
        state = replay(client, stream_of(values, ["yes"] * len(values)), send_labels=False)
        assert client.traffic.n_failed == 1
        assert "503" in client.traffic.first_failure
    assert (state.n_rows, state.n_labels, Endpoint.labels) == (ROWS_PER_REQUEST, 0, [])


def test_a_replay_may_be_ended_early(url: str) -> None:
    seen: list[int] = []

    def once(state: Replay) -> bool:
        seen.append(state.n_rows)
        return False

    with EndpointClient(url) as client:
        stream = stream_of([1.0] * 100, ["yes"] * 100)
        replay(client, stream, send_labels=False, on_request=once)
    assert seen == [ROWS_PER_REQUEST]
    assert math.isnan(Replay(0, 0, [], []).recent_loss(10))
