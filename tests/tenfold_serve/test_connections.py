"""All requests are open at once, and HAProxy is asked who wants connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tenfold_serve import connections as module
from tenfold_serve.connections import Connections, open_connections

HEADER = "# pxname,svname,qcur,scur,status,act,bck,rate,idle_conn_cur,safe_conn_cur,used_conn_cur,"
URLS = {"a": "http://127.0.0.1:1/a", "b": "http://127.0.0.1:1/b"}


@contextmanager
def counting(expected: int, status: str = "200 OK") -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers when so many requests are there, and reads each to its end then."""
    heard: list[bytes] = []

    def serve() -> None:
        with ExitStack() as stack:
            lines = [stack.enter_context(listening.accept()[0]) for _ in range(expected)]
            for line in lines:
                line.settimeout(10)
                while b"\r\n\r\n" not in (text := line.recv(1000, socket.MSG_PEEK)):
                    assert text
                line.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
            for line in lines:
                text = b""
                while b"\r\n\r\n" not in text or len(text.split(b"\r\n\r\n", 1)[1]) < length(text):
                    text += line.recv(65536)
                heard.append(text)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/mixed", heard
        thread.join(10)


def length(text: bytes) -> int:
    return int(text.lower().split(b"content-length: ")[1].split(b"\r\n")[0])


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Milliseconds are too few where the one that answers has to wait for a core."""
    monkeypatch.setattr(module, "_EACH_S", 2.0)


@pytest.mark.usefixtures("unhurried")
def test_requests_are_open_until_all_are_answered_and_whole_then() -> None:
    with counting(5) as (url, heard):
        assert open_connections(url, 5, word="here") == 5
    assert len(heard) == 5
    for text in heard:
        head, body = text.split(b"\r\n\r\n", 1)
        assert head.startswith(b"GET /mixed/healthz HTTP/1.1\r\n")
        assert b"\r\nx-tenfold-open: here\r\n" in head
        assert len(body) == length(text) > 16384


@pytest.mark.usefixtures("unhurried")
def test_other_answers_are_not_counted() -> None:
    with counting(2, status="503 Service Unavailable") as (url, _heard):
        assert open_connections(url, 2, word="here") == 0


def test_nobody_listens_or_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/mixed"
        with pytest.raises(OSError, match=r"timed out|in time"):
            open_connections(url, 2, word="here")
    with pytest.raises(OSError, match="refused"):
        open_connections(url, 2, word="here")


@contextmanager
def haproxy(folder: Path, *lines: str) -> Iterator[Connections]:
    """Says what ``show stat`` would, once."""
    (folder / "node").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "node" / "a.sock"))
        listening.listen()

        def serve() -> None:
            with listening.accept()[0] as line:
                assert line.recv(100) == b"show stat\n"
                line.sendall("\n".join([HEADER, *lines, ""]).encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield Connections(folder, URLS, each=64)
        thread.join(10)


@pytest.mark.parametrize(
    ("lines", "wanting"),
    [
        (["http-a,r1,0,0,UP,1,0,0,0,0,0,"], {"a": 1}),
        (["http-a,r1,0,0,UP,1,0,0,30,34,0,"], {}),
        (["http-a,r1,0,0,UP,1,0,0,64,0,0,", "http-a,r2,0,0,UP,1,0,0,1,0,0,"], {"a": 2}),
        (["http-a,r1,0,0,DOWN,1,0,0,0,0,0,"], {}),
        (["http-a,fallback,0,0,UP,0,1,0,0,0,0,", "http-a,BACKEND,0,0,UP,1,1,0,,,,"], {}),
        (["http-a,r1,0,1,UP,1,0,0,0,0,0,"], {}),
        (["http-a,r1,1,0,UP,1,0,0,0,0,0,"], {}),
        (["http-a,r1,0,0,UP,1,0,50,0,0,0,"], {}),
        (["http-other,r1,0,0,UP,1,0,0,0,0,0,"], {}),
        (["http-a,r1,0,0,UP,1,0,3,9,0,0,", "http-b,r1,0,0,UP,1,0,0,,,,"], {"a": 1, "b": 1}),
    ],
)
def test_who_wants_connections(tmp_path: Path, lines: list[str], wanting: dict[str, int]) -> None:
    with haproxy(tmp_path, *lines) as connections:
        assert connections.wanting() == wanting


def test_a_step_opens_what_is_missing_and_not_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int, str]] = []
    monkeypatch.setattr(
        module, "open_connections", lambda url, n, word: opened.append((url, n, word))
    )
    Connections(tmp_path, URLS, each=64).step()  # no HAProxy
    servers = [f"http-a,r{k},0,0,UP,1,0,0,{k},0,0," for k in (1, 2)]
    with haproxy(tmp_path, *servers) as connections:
        connections.step()
        connections.step()
    assert opened == [(URLS["a"], 128, str(tmp_path / "node"))]


def test_a_step_never_raises_and_waits_longer_where_replicas_do_not_answer(tmp_path: Path) -> None:
    with haproxy(tmp_path, "http-a,r1,0,0,UP,1,0,0,0,0,0,") as connections:
        connections.step()  # nobody listens on port 1
        assert connections._due > time.monotonic() + 30
    (tmp_path / "node" / "a.sock").unlink()
    (tmp_path / "node").rmdir()
    with haproxy(tmp_path, "http-a,r1,x,y,UP,1,0,0,0,0,0,") as connections:
        connections.step()
        assert connections._due < time.monotonic() + 5
    Connections(tmp_path, URLS, each=64).step()  # its socket is there and nobody behind it
