"""The shortcut around Serve's wrapper: on a real uvicorn, and as Serve puts it in place."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenfold_serve import shortcut
from tenfold_serve.http import Answer, Receive, Scope, Send, read_body, send_answer
from tenfold_serve.ray_rim import import_serve
from tenfold_serve.shortcut import Shortcut, open_shortcut
from tests.tenfold_serve.doors.live import serving

BODY = b"x" * 300


async def serves_own(scope: Scope, receive: Receive, send: Send) -> None:
    await send_answer(Answer(404, b"Serve's own"), receive, send)


class Echo:
    """Answers with what came, and remembers what it wrote on."""

    def __init__(self) -> None:
        self.connections: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(dict(scope["headers"]), receive, max_bytes=10_000)
        drain = scope["path"].endswith("/refused")
        answer = Answer(413 if drain else 200, body, drain=drain)
        await send_answer(answer, receive, send, head=scope["method"] == "HEAD")


@pytest.fixture
def port() -> Iterator[int]:
    open_shortcut("/adult", Echo(), max_running=4, max_waiting=2)
    with serving(Shortcut(serves_own)) as found:
        yield found


def raw(port: int, text: bytes, *, answers: int) -> bytes:
    """What comes back on one connection for bytes as they are, after so many answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(text)
        data = b""
        while data.count(b"HTTP/1.1 200") < answers or not data.endswith(b"#"):
            more = line.recv(65536)
            assert more, data
            data += more
    return data


@pytest.mark.parametrize("path", ["/adult", "/adult/", "/adult/predict"])
def test_what_is_below_the_path_comes_to_the_endpoint(port: int, path: str) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for size in (0, 1, 300, 9000):  # one connection, kept
        line.request("POST", path, b"y" * size)
        answer = line.getresponse()
        assert (answer.status, answer.read()) == (200, b"y" * size)
    line.close()


@pytest.mark.parametrize("path", ["/", "/adultery", "/-/healthz", "/other/adult", "/ADULT"])
def test_everything_else_stays_with_serve(port: int, path: str) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request("GET", path)
    answer = line.getresponse()
    assert (answer.status, answer.read()) == (404, b"Serve's own")
    line.close()


def test_an_answer_without_a_body_is_not_held(port: int) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(2):
        line.request("HEAD", "/adult/docs")
        answer = line.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    line.close()


def test_a_refusal_is_seen_before_the_rest_of_the_body_was_read(port: int) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request("POST", "/adult/refused", BODY)
    answer = line.getresponse()
    assert (answer.status, answer.read()) == (413, BODY)
    line.close()


def test_so_many_run_so_many_wait_and_more_are_told_to_come_back() -> None:
    """Their bodies are not read before they run, so no more than those are in memory."""

    async def crowd() -> None:
        go, begun = asyncio.Event(), 0

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal begun
            begun += 1
            await go.wait()
            await send_answer(Answer(200, b"done"), receive, send)

        async def receive() -> dict[str, Any]:
            raise AssertionError("nobody reads a body that must wait")

        async def ask(path: str) -> tuple[int, dict[bytes, bytes], bytes]:
            sent: list[dict[str, Any]] = []

            async def send(message: dict[str, Any]) -> None:
                sent.append(message)

            scope = {"type": "http", "method": "POST", "path": path, "headers": []}
            await Shortcut(serves_own)(scope, receive, send)
            return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]

        open_shortcut("/adult", slow, max_running=4, max_waiting=2)
        first = [asyncio.ensure_future(ask("/adult/p")) for _ in range(6)]
        await asyncio.sleep(0)
        assert begun == 4
        gone = first.pop()  # one that waits, and whose client leaves: another may wait instead
        gone.cancel()
        await asyncio.wait([gone])
        first.append(asyncio.ensure_future(ask("/adult/p")))
        await asyncio.sleep(0)
        for path, told in (("/adult/p", b'"law":"busy"'), ("/adult/v2/models", b'"error":"more')):
            status, headers, body = await ask(path)
            assert (status, headers[b"retry-after"], headers[b"connection"]) == (
                429,
                b"1",
                b"close",
            )
            assert told in body
        go.set()
        assert [status for status, _, _ in await asyncio.gather(*first)] == [200] * 6
        assert begun == 6
        assert (await ask("/adult/p"))[0] == 200

    asyncio.run(crowd())


def test_what_an_endpoint_did_not_foresee_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("unforeseen")

    open_shortcut("/adult", breaks, max_running=4, max_waiting=2)
    scope = {"type": "http", "method": "POST", "path": "/adult/p", "headers": []}

    async def nothing(*_: Any) -> dict[str, Any]:
        return {}

    for _ in range(9):  # and no slot is lost
        with pytest.raises(RuntimeError):
            asyncio.run(Shortcut(serves_own)(scope, nothing, nothing))  # type: ignore[arg-type]
    assert "did not foresee" in caplog.text
    assert "unforeseen" in caplog.text


def test_the_image_and_the_manifests_name_the_shortcut() -> None:
    root = Path(__file__).resolve().parents[2]
    named = f"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH={shortcut.CALLBACK} "
    assert named in (root / "Dockerfile").read_text()
    manifest = (root / "k8s/base/rayservice.yaml").read_text()
    wanted = f'RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH, value: "{shortcut.CALLBACK}"'
    assert manifest.count(wanted) == manifest.count("RAY_SERVE_ENABLE_HA_PROXY") == 2


def test_requests_sent_ahead_are_answered_in_their_order(port: int) -> None:
    requests = [
        b"POST /adult/p HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n%d#" % n for n in range(5)
    ]
    data = raw(port, b"".join(requests), answers=5)
    bodies = [part.rpartition(b"\r\n\r\n")[2] for part in data.split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b"%d#" % n for n in range(5)]


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(port: int) -> None:
    head = b"POST /adult/p HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(head)
        assert line.recv(100).startswith(b"HTTP/1.1 100 ")
        line.sendall(b"z#")
        assert line.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_head_and_body_are_written_at_once() -> None:
    """The contract with uvicorn: where it keeps the connection, and that it writes twice."""
    written: list[list[bytes]] = []

    class Kept:
        def __init__(self, transport: Any) -> None:
            self.transport = transport
            self.pieces: list[bytes] = []

        def write(self, data: bytes) -> None:
            self.pieces.append(data)
            self.transport.write(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.transport, name)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        cycle: Any = send.__self__  # type: ignore[attr-defined]
        kept = cycle.transport = Kept(cycle.transport)
        application = through if scope["path"].startswith("/adult") else serves_own
        await application(scope, receive, send)
        written.append(kept.pieces)

    open_shortcut("/adult", Echo(), max_running=4, max_waiting=2)
    through = Shortcut(serves_own)
    with serving(watched) as port:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for path in ("/other", "/adult/p"):
            line.request("POST", path, BODY)
            line.getresponse().read()
        line.close()
    assert [len(pieces) for pieces in written] == [2, 1]
    assert written[1][0].endswith(b"\r\n\r\n" + BODY)


def test_a_server_that_keeps_its_connection_elsewhere_is_answered_all_the_same() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"hello"}

    scope = {"type": "http", "method": "POST", "path": "/adult/p", "headers": []}
    open_shortcut("/adult", Echo(), max_running=4, max_waiting=2)
    running = Shortcut(serves_own)(scope, receive, send).__await__()
    with pytest.raises(StopIteration):
        next(running)
    assert [message.get("body") for message in sent] == [None, b"hello"]


def test_serve_puts_it_around_everything_of_its_own() -> None:
    import_serve()
    from ray.serve._private.http_util import (
        _apply_middlewares,
        call_function_from_import_path,
        validate_http_proxy_callback_return,
    )

    found = validate_http_proxy_callback_return(call_function_from_import_path(shortcut.CALLBACK))
    outermost = _apply_middlewares(serves_own, found)
    assert isinstance(outermost, Shortcut)
