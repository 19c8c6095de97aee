"""Eager connections say what uvicorn's say, byte for byte, however requests are cut and mixed."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tenfold_serve.eager import MAX_EAGER_BYTES, EagerProtocol
from tenfold_serve.http import Answer, Receive, Scope, Send, read_body, send_answer
from tenfold_serve.shortcut import Shortcut, open_shortcut
from tests.tenfold_serve.doors.live import serving

STEPS = (
    "echo", "waits", "late", "splits", "fails", "fails-late", "panics", "closes", "nothing",
    "refuses",
)  # fmt: skip


class PanicError(BaseException):
    """As native code raises it: no `Exception`."""


async def talks(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers as its path says, with all of the scope that applications look at."""
    step = scope["path"].removeprefix("/adult/")
    if step == "late":  # waits before it has the body
        await asyncio.sleep(0)
    if step == "refuses":
        await send_answer(Answer(401, b"no key", drain=True), receive, send)
        return
    body = await read_body(dict(scope["headers"]), receive, max_bytes=1_000_000)
    told = b"%s?%s %d headers, %s" % (
        scope["raw_path"], scope["query_string"], len(scope["headers"]), body,
    )  # fmt: skip
    if step in ("fails", "nothing"):
        if step == "fails":
            raise RuntimeError("at once")
        return
    if step == "panics":
        raise PanicError
    if step in ("waits", "fails-late"):
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(asyncio.sleep(0))), 10)
    if step == "fails-late":
        raise RuntimeError("after a while")
    headers = [(b"content-length", b"%d" % len(told)), (b"x-step", step.encode())]
    if step == "closes":
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if step == "splits":
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": told[:3], "more_body": True})
        told = told[3:]
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": told, "more_body": False})


class Transport:
    """What uvicorn needs of a connection; remembers what was written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = self.paused = False

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.pieces.append(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def config() -> uvicorn.Config:
    made = uvicorn.Config(talks, lifespan="off", access_log=False, log_config=None)
    made.load()
    return made


CONFIG = config()


def below(path: str) -> Any:
    return talks if path.startswith("/adult") else None


async def conversation(
    make: Callable[..., HttpToolsProtocol], pieces: list[tuple[bytes, int]]
) -> tuple[bytes, bool, int, Transport]:
    """What a connection says to pieces, each followed by so many turns of the loop."""
    state = ServerState()
    state.default_headers = [(b"date", b"today"), (b"server", b"uvicorn")]
    protocol = make(config=CONFIG, server_state=state, app_state={})
    line: Any = Transport()
    protocol.connection_made(line)
    for data, turns in pieces:
        if line.closed:
            break
        protocol.data_received(data)
        for _ in range(turns):
            await asyncio.sleep(0)
    for _ in range(200):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    while state.tasks:
        await asyncio.sleep(0)
    return b"".join(line.pieces), line.closed, state.total_requests, line


def both(pieces: list[tuple[bytes, int]]) -> tuple[Any, Any]:
    eager = asyncio.run(conversation(partial(EagerProtocol, find=below), pieces))
    plain = asyncio.run(conversation(HttpToolsProtocol, pieces))
    return eager[:3], plain[:3]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from(["POST"] * 8 + ["GET", "PUT", "HEAD"]))
    step = draw(st.sampled_from((*STEPS, *["echo"] * 6)))
    place = draw(st.sampled_from(["/adult/"] * 8 + ["/other/", "/adult/%41", "/adult//"]))
    query = draw(st.sampled_from(["", "", "", "?", "?a=1&b=%20", "?x#y"]))
    version = draw(st.sampled_from(["1.1"] * 12 + ["1.0"]))
    body = draw(st.binary(max_size=40))
    chunked = draw(st.integers(0, 5)) == 0
    lines = [f"{method} {place}{step}{query} HTTP/{version}", "Host: a"]
    if draw(st.integers(0, 9)) == 0:
        lines.append("Expect: 100-continue")
    if draw(st.integers(0, 12)) == 0:
        lines.append("Connection: " + draw(st.sampled_from(["close", "keep-alive", "upgrade"])))
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        whole = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:7], body[7:]) if p)
        whole += b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
        whole = body
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + whole


@given(
    st.lists(requests(), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 90), st.integers(0, 4)), min_size=1, max_size=40),
    st.booleans(),
)
def test_it_says_what_uvicorn_says(
    asked: list[bytes], cuts: list[tuple[int, int]], whole: bool
) -> None:
    """Many requests, cut anywhere or one a piece, with some turns of the loop in between."""
    pieces: list[tuple[bytes, int]] = []
    if whole:
        pieces = [(data, cuts[n % len(cuts)][1] + 20) for n, data in enumerate(asked)]
    else:
        data, n = b"".join(asked), 0
        while data:
            size, turns = cuts[n % len(cuts)]
            pieces.append((data[:size], turns))
            data, n = data[size:], n + 1
    eager, plain = both(pieces)
    assert eager == plain


def ask(step: str, body: bytes, *more: str) -> bytes:
    head = [f"POST /adult/{step} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("size", [0, 1, 5000, MAX_EAGER_BYTES, MAX_EAGER_BYTES + 1, 300_000])
def test_bodies_of_all_sizes(step: str, size: int) -> None:
    whole = ask(step, b"y" * size)
    for pieces in (
        [(whole, 20)] * 2,
        [(whole[:60], 0), (whole[60:], 20)],
        [(whole[at : at + 65_536], 1) for at in range(0, len(whole), 65_536)],
        [(whole + ask("echo", b"ahead") * 3, 0)],
    ):
        eager, plain = both(pieces)
        assert eager == plain
        assert eager[0].startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"POST /adult/echo HTTP/1.1\r\nHost: a\r\n"
        b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
        b"POST /adult/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST /adult/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /adult/echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST http://a/adult/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        b"POST /adult/ech\xc3\xb6 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        b"POST /adult/echo HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\nContent-Length: 1\r\n\r\nx",
        b"POST /adult/" + b"e" * 70_000 + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        b"POST * HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    ],
)
def test_what_is_no_request_is_refused_alike(data: bytes) -> None:
    for pieces in (
        [(data, 20)],
        [(data[:30], 1), (data[30:], 20)],
        [(data[:-1], 1), (data[-1:], 9)],
    ):
        eager, plain = both(pieces)
        assert eager == plain
    # Behind a request in one packet: uvicorn refuses before it has answered that, and drops it.
    behind = both([(ask("echo", b"a") + data, 20)])[0]
    alone = both([(ask("echo", b"a"), 20), (data, 20)])[1]
    assert behind == alone


def connected(find: Any = below) -> tuple[EagerProtocol, Transport, ServerState]:
    """A new connection, in a running loop."""
    state, line = ServerState(), Transport()
    protocol = EagerProtocol(find=find, config=CONFIG, server_state=state, app_state={})
    protocol.connection_made(line)  # type: ignore[arg-type]  # as much of one as uvicorn uses
    return protocol, line, state


def test_a_request_that_is_there_is_answered_at_once_in_one_piece() -> None:
    async def run() -> None:
        protocol, line, state = connected()
        for n in range(1, 4):
            protocol.data_received(ask("echo", b"now"))
            assert len(line.pieces) == n
            assert not state.tasks
        protocol.data_received(ask("waits", b"soon"))
        assert (len(line.pieces), len(state.tasks)) == (3, 1)
        protocol.data_received(ask("echo", b"behind it"))  # not before the one that waits
        while not line.pieces[-1].endswith(b"behind it"):
            await asyncio.sleep(0)
        waited, behind = (b"".join(line.pieces[3:])).split(b"HTTP/1.1 200")[1:]
        assert waited.endswith(b"soon")
        assert b"x-step: echo" in behind

    asyncio.run(run())


def test_no_timer_of_an_answer_runs_while_the_next_request_does() -> None:
    async def run() -> None:
        protocol, line, state = connected()
        protocol.data_received(ask("echo", b"a") + ask("waits", b"b"))
        assert len(line.pieces) == len(state.tasks) == 1
        assert protocol.timeout_keep_alive_task is None
        while state.tasks:
            await asyncio.sleep(0)
        first = protocol.timeout_keep_alive_task
        assert first is not None
        protocol.data_received(ask("echo", b"c"))
        assert first.cancelled()
        protocol.connection_lost(None)
        assert protocol.timeout_keep_alive_task is None

    asyncio.run(run())


def test_who_does_not_read_is_uvicorns() -> None:
    """No answer is made for a connection whose earlier answers are still in memory."""

    async def run() -> None:
        protocol, line, _ = connected()
        protocol.pause_writing()
        protocol.data_received(ask("echo", b"a") * 50)
        for _ in range(20):
            await asyncio.sleep(0)
        made = len(line.pieces)
        protocol.resume_writing()
        while b"".join(line.pieces).count(b"HTTP/1.1 200") < 50:
            await asyncio.sleep(0)
        assert not made

    asyncio.run(run())


@pytest.mark.parametrize("waits_first", [False, True])
def test_who_leaves_while_an_answer_is_worked_out_ends_the_wait(waits_first: bool) -> None:
    async def run() -> None:
        told: list[Any] = []

        async def listens(_scope: Scope, receive: Receive, _send: Send) -> None:
            if waits_first:
                await asyncio.sleep(0)
            told.append((await receive())["body"])
            told.append((await receive())["type"])

        protocol, _, state = connected(lambda _: listens)
        protocol.data_received(ask("echo", b"a"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert told == [b"a"]
        protocol.connection_lost(None)
        while state.tasks:
            await asyncio.sleep(0)
        assert told == [b"a", "http.disconnect"]

    asyncio.run(run())


@contextmanager
def eager_endpoint(application: Any = talks) -> Iterator[int]:
    """On a real uvicorn; the first connection told it to be eager."""

    async def serves_own(_scope: Scope, receive: Receive, send: Send) -> None:
        await send_answer(Answer(404, b"Serve's own"), receive, send)

    open_shortcut("/adult", application, max_running=8, max_waiting=8)
    with serving(Shortcut(serves_own)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(b"GET /-/healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            while line.recv(1000):
                pass
        yield port


def test_a_real_server_becomes_eager_with_its_second_connection() -> None:
    tasks: list[Any] = []

    async def notes(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.current_task())
        await talks(scope, receive, send)

    with (
        eager_endpoint(notes) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as line,
    ):
        for step, body in (("echo", b"a#"), ("waits", b"b#"), ("echo", b"y" * 200_000 + b"#")):
            line.sendall(ask(step, body))
            answer = b""
            while not answer.endswith(b"#"):
                answer += line.recv(300_000)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(body)
    at_once, waited, large = tasks
    assert (at_once, waited) == (None, None)
    assert large is not None


def test_a_server_that_ends_finishes_what_waits() -> None:
    go = threading.Event()
    begun = threading.Event()

    async def slow(_scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.to_thread(go.wait, 10)
        await send_answer(Answer(200, b"finished"), receive, send)

    found: list[bytes] = []

    def asks(port: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        line.request("POST", "/adult/slow", b"a")
        found.append(line.getresponse().read())

    with eager_endpoint(slow) as port:
        client = threading.Thread(target=asks, args=(port,))
        client.start()
        assert begun.wait(10)
        threading.Timer(0.3, go.set).start()
    client.join(10)
    assert found == [b"finished"]
