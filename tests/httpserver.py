"""A real HTTP server on loopback for tests of clients: a handler answers JSON, in a thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


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
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[JsonHandler]) -> Iterator[str]:
    """The server's base URL, for as long as the context lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
