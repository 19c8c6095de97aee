"""A real HTTP server on loopback for tests of clients: a handler answers JSON, in a thread."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpcore


class JsonHandler(BaseHTTPRequestHandler):
    """Reads and answers JSON; subclasses say what to `post` and to `get`."""

    def do_POST(self) -> None:
        """As `http.server` calls it."""
        self.post()

    def do_GET(self) -> None:
        """As `http.server` calls it."""
        self.get()

    def post(self) -> None:
        """Nothing is taken here, unless a subclass does."""
        self.answer(405, {})

    def get(self) -> None:
        """Nothing is shown here, unless a subclass does."""
        self.answer(405, {})

    def body(self) -> Any:
        """What the client sent."""
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def answer(self, status: int, document: object) -> None:
        """Answer whole."""
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[JsonHandler], *, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The server's base URL, for as long as the context lasts; with TLS where that is given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    # A short poll: it is how long `shutdown` takes.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Call:
    """One request as the server saw it."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True)
class Reply:
    """What a server says: a document as JSON, or bytes as they are.

    ``chunks`` are sent one by one and the connection is closed after them, whatever the headers
    promised. A status of 0 closes it at once, and one of -1 sends the chunks alone after the
    first word of an answer.
    """

    document: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes | None = None
    chunks: Iterable[bytes] | None = None


@dataclass
class Api:
    """A running server and the calls it had."""

    url: str
    calls: list[Call] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.url).port or 0

    def hang(self) -> Iterator[bytes]:
        """Chunks that never come, until the test is over."""
        self.over.wait()
        return iter(())

    def drip(self, data: bytes, *, every_s: float) -> Iterator[bytes]:
        """One byte now and then, for ever."""
        while not self.over.wait(every_s):
            yield data


class Detour(httpcore.NetworkBackend):
    """A network on which every address is a server of ours; remembers what was connected to."""

    def __init__(self, port: int) -> None:
        self.asked: list[str] = []
        self._port = port

    def connect_tcp(self, host: str, port: int, *args: Any, **rest: Any) -> httpcore.NetworkStream:
        """To the server on loopback."""
        self.asked.append(host)
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", self._port, *args, **rest)


@contextmanager
def api(
    respond: Callable[[Call], Reply], *, context: ssl.SSLContext | None = None
) -> Iterator[Api]:
    """A server whose answers a function makes; it may read the calls so far."""
    made = Api("")

    class Handler(JsonHandler):
        protocol_version = "HTTP/1.1"

        def get(self) -> None:
            where = urlsplit(self.path)
            headers = {key.lower(): value for key, value in self.headers.items()}
            call = Call(where.path, dict(parse_qsl(where.query)), headers)
            made.calls.append(call)
            try:
                self.reply(respond(call))
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                self.close_connection = True  # the client had enough

        def reply(self, reply: Reply) -> None:
            if reply.status == 0:
                self.close_connection = True
                return
            if reply.status == -1:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                self.pour(reply.chunks or ())
                return
            data = json.dumps(reply.document).encode() if reply.data is None else reply.data
            self.send_response(reply.status)
            kind = {"content-type": "application/json", "content-length": str(len(data))}
            for key, value in {**kind, **reply.headers}.items():
                if value:
                    self.send_header(key, value)
            self.end_headers()
            if reply.chunks is None:
                self.wfile.write(data)
                return
            self.pour(reply.chunks)

        def pour(self, chunks: Iterable[bytes]) -> None:
            self.close_connection = True
            for chunk in chunks:
                self.wfile.write(chunk)
                self.wfile.flush()

    with serving(Handler, context=context) as url:
        made.url = url
        try:
            yield made
        finally:
            made.over.set()
