"""Bodies are bounded while they arrive, errors have one shape, and a refusal is seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import (
    ArtifactError,
    ClusterError,
    DataError,
    GateMissed,
    RegistryConflict,
    RequestError,
    StoreError,
    UserError,
)
from tenfold_serve import http
from tenfold_serve.http import (
    JSON,
    Answer,
    HttpError,
    answer_json,
    error_answer,
    read_body,
    send_answer,
)


class Wire:
    """A connection: hands over chunks, then says that the client went away."""

    def __init__(self, chunks: Sequence[bytes], *, breaks: bool = False) -> None:
        self.left = list(chunks)
        self.breaks = breaks
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if not self.left:
            return {"type": "http.disconnect"}
        body = self.left.pop(0)
        more = bool(self.left) or self.breaks
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


def read(
    wire: Wire, max_bytes: int = 100, headers: dict[bytes, bytes] | None = None
) -> bytes | HttpError:
    try:
        return asyncio.run(read_body(headers or {}, wire.receive, max_bytes=max_bytes))
    except HttpError as error:
        return error


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=6), st.integers(0, 40))
def test_a_body_comes_whole_or_is_refused_by_its_size(chunks: list[bytes], limit: int) -> None:
    whole = b"".join(chunks)
    found = read(Wire(chunks), limit)
    if len(whole) <= limit:
        assert found == whole
    else:
        assert isinstance(found, HttpError)
        assert (found.status, found.law, found.drain) == (413, "body-size", True)


def test_an_announced_size_is_refused_before_a_byte_is_read() -> None:
    wire = Wire([b"x" * 11])
    found = read(wire, 10, {b"content-length": b"11"})
    assert isinstance(found, HttpError)
    assert found.message == (
        "a body has at most 10 bytes and 11 bytes are announced; send fewer rows at a time, "
        "or use `tenfold predict` for whole tables"
    )
    assert (b"connection", b"close") in found.headers
    assert len(wire.left) == 1


@pytest.mark.parametrize(
    ("chunks", "shown"), [([b"x" * 11], "11 bytes came"), ([b"x" * 6] * 3, "more came")]
)
def test_a_size_that_was_not_announced_is_refused_on_the_way(
    chunks: list[bytes], shown: str
) -> None:
    wire = Wire(chunks)
    for headers in ({}, {b"content-length": b"5"}, {b"content-length": b"a few"}):
        wire.left = list(chunks)
        found = read(wire, 10, headers)
        assert isinstance(found, HttpError)
        assert f"at most 10 bytes and {shown};" in found.message
    assert len(wire.left) == (0 if len(chunks) == 1 else 1)


@pytest.mark.parametrize("chunks", [[], [b"half"], [b"half", b"more"]])
def test_a_client_that_goes_away_has_sent_no_body(chunks: list[bytes]) -> None:
    found = read(Wire(chunks, breaks=True))
    assert isinstance(found, HttpError)
    assert (found.status, found.law) == (400, "body")
    assert found.message == "the client went away before the body was whole"


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def receive() -> dict[str, Any]:
        return await asyncio.get_running_loop().create_future()

    with pytest.raises(HttpError, match=r"a body arrives whole within 0.01 s") as caught:
        asyncio.run(read_body({}, receive, max_bytes=10, timeout_s=0.01))
    assert (caught.value.status, caught.value.law) == (408, "body-time")
    assert (b"connection", b"close") in caught.value.headers


@pytest.mark.parametrize(
    ("pieces", "n_taken"),
    [
        ([4000] * 20, 20),  # slowly, and on and on
        ([300] * 20, 4),  # too slowly
        ([100_000] * 3 + [0] * 17, 7),  # much, and then nothing
    ],
)
def test_a_body_comes_at_some_pace(
    monkeypatch: pytest.MonkeyPatch, pieces: list[int], n_taken: int
) -> None:
    """Else who sends a part of it has a place that others wait for. A piece comes each look."""
    monkeypatch.setattr(http, "_LOOK_S", 0.02)
    n_sent = 0

    async def receive() -> dict[str, Any]:
        nonlocal n_sent
        await asyncio.sleep(0.02 if n_sent else 0)
        n_sent += 1
        body, more = b"x" * pieces[n_sent - 1], n_sent < len(pieces)
        return {"type": "http.request", "body": body, "more_body": more}

    work = read_body({}, receive, max_bytes=10**6, timeout_s=60)
    if n_taken == len(pieces):
        assert len(asyncio.run(work)) == sum(pieces)
        return
    with pytest.raises(HttpError, match=r"and 4 kB of it in each 0.08 s") as caught:
        asyncio.run(work)
    assert (caught.value.status, caught.value.law) == (408, "body-time")
    assert n_sent <= n_taken + 3


def test_a_loop_that_was_busy_holds_it_against_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_LOOK_S", 0.01)
    n_sent = 0

    async def receive() -> dict[str, Any]:
        nonlocal n_sent
        n_sent += 1
        await asyncio.sleep(0)
        if n_sent == 2:
            time.sleep(0.2)  # an answer to many rows
            await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x", "more_body": n_sent < 3}

    assert asyncio.run(read_body({}, receive, max_bytes=10, timeout_s=60)) == b"xxx"


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate, gzip", b""])
def test_encoded_bodies_are_refused(encoding: bytes) -> None:
    found = read(Wire([b"x"]), headers={b"content-encoding": encoding})
    assert isinstance(found, HttpError)
    assert (found.status, found.law, found.drain) == (415, "encoding", True)


@pytest.mark.parametrize("encoding", [b"identity", b"Identity"])
def test_identity_is_no_encoding(encoding: bytes) -> None:
    assert read(Wire([b"x"]), headers={b"content-encoding": encoding}) == b"x"


def test_numpy_numbers_and_what_has_no_json() -> None:
    answer = answer_json({"a": np.float64(0.5), "b": np.arange(2), "c": float("inf")}, status=202)
    assert (answer.status, answer.content_type) == (202, JSON)
    assert answer.body == b'{"a":0.5,"b":[0,1],"c":null}'


def test_the_open_protocol_wants_an_error_as_one_text() -> None:
    error = HttpError(400, "rows", "too many", items=[{"row": 1}])
    assert error_answer(error, as_text=True).body == b'{"error":"too many"}'


@pytest.mark.parametrize(
    ("error", "status", "law"),
    [
        (HttpError(405, "method", "GET only"), 405, "method"),
        (RequestError("rows"), 400, "request"),
        (UserError("yours"), 400, "request"),
        (DataError("yours"), 400, "request"),
        (RegistryConflict("yours"), 400, "request"),
        (GateMissed("missed"), 400, "request"),
        (StoreError("full"), 507, "store"),
        (ArtifactError("torn"), 503, "unavailable"),
        (ClusterError("away"), 503, "unavailable"),
        (ValueError("inside"), 500, "internal"),
        (KeyError("inside"), 500, "internal"),
        (asyncio.CancelledError(), 500, "internal"),
    ],
)
def test_every_error_has_its_status_and_law(error: BaseException, status: int, law: str) -> None:
    answer = error_answer(error)
    body = orjson.loads(answer.body)["error"]
    assert (answer.status, body["law"]) == (status, law)
    assert set(body) == {"law", "message"}
    if status == 500:
        assert body["message"] == "the endpoint failed; the log says why"
    else:
        assert body["message"] == str(error)
    assert ((b"retry-after", b"1") in answer.headers) is (status == 503)
    assert answer.drain is False


def test_faults_are_listed_and_headers_are_kept() -> None:
    items = [{"row": 1, "column": "age", "reason": "'x' is text"}]
    for error in (
        RequestError("one cell", items=items),
        HttpError(400, "columns", "one cell", items=items, headers=[(b"x", b"y")], drain=True),
    ):
        answer = error_answer(error)
        assert orjson.loads(answer.body)["error"]["items"] == items
        if isinstance(error, HttpError):
            assert list(answer.headers) == [(b"x", b"y")]
            assert answer.drain


def test_an_answer_goes_out_whole() -> None:
    wire = Wire([b"unread"])
    answer = Answer(201, b"text", b"text/plain", headers=((b"allow", b"GET"),))
    asyncio.run(send_answer(answer, wire.receive, wire.send))
    start, body = wire.sent
    assert start == {
        "type": "http.response.start",
        "status": 201,
        "headers": [
            (b"content-type", b"text/plain"),
            (b"content-length", b"4"),
            (b"allow", b"GET"),
        ],
    }
    assert body == {"type": "http.response.body", "body": b"text", "more_body": False}
    assert wire.left == [b"unread"]


@pytest.mark.parametrize("breaks", [False, True])
def test_a_refusal_is_sent_before_the_rest_is_read_and_forgotten(breaks: bool) -> None:
    wire = Wire([b"x"] * 5, breaks=breaks)
    refusal = error_answer(HttpError(413, "body-size", "too large", drain=True))
    asyncio.run(send_answer(refusal, wire.receive, wire.send))
    assert wire.left == []
    assert [message["type"] for message in wire.sent] == [
        "http.response.start", "http.response.body", "http.response.body",
    ]  # fmt: skip
    assert wire.sent[1]["body"] == refusal.body
    assert wire.sent[1]["more_body"] is True
    assert wire.sent[2] == {"type": "http.response.body", "body": b""}
