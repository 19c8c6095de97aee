"""A real web server on loopback that gives files, and knows how to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hosted:
    """A file and how it is answered.

    Attributes:
        data: its bytes.
        headers: sent besides the length; an empty value takes a header away.
        status: of the answer.
        sent: bytes that are sent before the connection is closed; all if None.
        failures: answers with status 503 that come first.
        conditional: whether If-None-Match and If-Modified-Since are heeded.
    """

    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    sent: int | None = None
    failures: int = 0
    conditional: bool = True

    def unchanged(self, asked: dict[str, str]) -> bool:
        """Whether a conditional request has the newest version."""
        if not self.conditional:
            return False
        for condition, header in (
            ("if-none-match", "etag"),
            ("if-modified-since", "last-modified"),
        ):
            if condition in asked:
                return asked[condition] == self.headers.get(header)
        return False


@dataclass
class FileServer:
    """A running server.

    Attributes:
        url: its base.
        files: by path.
        answers: path and status of each answer.
        asked: the headers of each request.
    """

    url: str = ""
    files: dict[str, Hosted] = field(default_factory=dict)
    answers: list[tuple[str, int]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def serving_files() -> Iterator[FileServer]:
    """A server for as long as the context lasts."""
    made = FileServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client had enough
                super().handle()

        def do_GET(self) -> None:
            asked = {key.lower(): value for key, value in self.headers.items()}
            made.asked.append(asked)
            file = made.files.get(self.path, Hosted(status=404))
            status = file.status
            if file.failures:
                file.failures -= 1
                status = 503
            elif file.unchanged(asked):
                status = 304
            made.answers.append((self.path, status))
            body = file.data if status == 200 else b""
            self.send_response(status)
            for key, value in {"content-length": str(len(body)), **file.headers}.items():
                if value:
                    self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body[: file.sent])
            self.close_connection = file.sent is not None or not file.headers.get(
                "content-length", "0"
            )

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # A short poll: it is how long `shutdown` takes.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
