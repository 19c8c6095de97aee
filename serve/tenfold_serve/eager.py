"""uvicorn's connection, but a request that is there whole is answered where it arrives.

uvicorn gives each request a task, an event and a cycle of its own, and the answer leaves a turn of
the loop later, in two writes. A prediction needs none of that: its body comes in the packet of its
head, and from there to the answer nothing waits. `EagerProtocol` runs the application in the very
call that brought the bytes, and writes head and body once. Where the body is not there yet, or is
large, the client wants ``100-continue``, asks ahead, closes after the answer or does not read, all
is uvicorn's as it was; an application that has to wait goes on in a task of uvicorn's, from where
it stopped.

Whoever runs here runs outside of any task until it first waits: ``asyncio.timeout`` refuses that
and, from Python 3.12 on, ``asyncio.wait_for``, too. There tasks can be started eagerly, which is
the better way to do this; the connection stays uvicorn's (`eager_server`) until it was tried.

Headers of answers are written as they are: they must be the endpoint's own.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tenfold_serve.http import Application, Receive, Resumed, Scope, Send
from tenfold_serve.one_packet import in_one_packet

__all__ = ["MAX_EAGER_BYTES", "EagerProtocol", "eager_server"]

log = logging.getLogger("tenfold.serve")

MAX_EAGER_BYTES: Final = 65_536
"""A larger body is uvicorn's from its first piece on, which stops reading when nobody takes it."""
_MAX_URL_BYTES: Final = 8192
"""A longer one is uvicorn's, which has an answer to each that cannot be parsed."""
_FAILED: Final[list[Mapping[str, Any]]] = [
    {
        "status": 500,
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"21"),
            (b"connection", b"close"),
        ],
    },
    {"body": b"Internal Server Error"},
]
"""As uvicorn says it."""


def eager_server(protocol: Any, find: Callable[[str], Application | None]) -> None:
    """Let the later connections of a uvicorn be eager; nothing happens where they cannot.

    Args:
        protocol: a connection of that server.
        find: the application for a path; None: it is for the server's own.
    """
    if sys.version_info >= (3, 12) or type(protocol) is not HttpToolsProtocol:
        return
    config: Any = protocol.config
    if config.http_protocol_class is HttpToolsProtocol and config.limit_concurrency is None:
        config.http_protocol_class = partial(EagerProtocol, find=find)


class EagerProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        find: the application for a path; None: it is for the server's own.
        others: what uvicorn gives each connection.
    """

    def __init__(self, *, find: Callable[[str], Application | None], **others: Any) -> None:
        super().__init__(**others)
        self._find = find
        self._eager: Application | None = None  # for the request whose body arrives
        self._parts: list[bytes] = []
        self._n_bytes = 0
        self._goes_on: Any = None
        self._first = True  # of the requests that came with these bytes
        self._head: tuple[object, bytes] = (None, b"")

    def data_received(self, data: bytes) -> None:
        """Bytes came: a request that is whole with them is answered, or begun."""
        self._first = True
        super().data_received(data)
        if self._eager is not None:
            self._give_back()

    def on_headers_complete(self) -> None:
        """A head is whole: is the request one to answer at once?"""
        self._eager = self._eager_application()
        if self._eager is None:
            self._unset_keepalive_if_required()  # of an answer to what came before it
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        if self._eager is None:
            super().on_body(body)
            return
        if self._eager is _nobody:
            return
        self._parts.append(body)
        self._n_bytes += len(body)
        if self._n_bytes > MAX_EAGER_BYTES:
            self._give_back()

    def on_message_complete(self) -> None:
        """A request is whole."""
        application, self._eager = self._eager, None
        if application is None:
            super().on_message_complete()
            return
        body = self._taken()
        try:
            self._answer(application, body)
        except BaseException:  # the parser would call it the client's fault
            log.exception("an answer could not be written")
            self.transport.abort()

    def _eager_application(self) -> Application | None:
        """The one that answers at once; None: the request is uvicorn's."""
        parser, cycle, url = self.parser, self.cycle, self.url
        if self.transport.is_closing():
            return _nobody
        if (
            not self._first  # who asks ahead takes turns with others, as before
            or len(url) > _MAX_URL_BYTES
            or self.expect_100_continue
            or parser.get_method() != b"POST"
            or (cycle is not None and not cycle.response_complete)
            or self.flow.write_paused
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or parser.should_upgrade()
        ):
            return None
        raw_path, _, query = url.partition(b"?")
        if not raw_path.startswith(b"/") or b"%" in raw_path or b"#" in url or not url.isascii():
            return None
        path = self.root_path + raw_path.decode("ascii")
        found = self._find(path)
        if found is not None:
            self._first = False
            scope: Any = self.scope
            scope.update(
                method="POST", path=path, raw_path=path.encode("ascii"), query_string=query
            )
        return found

    def _taken(self) -> bytes:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._n_bytes = [], 0
        return body

    def _give_back(self) -> None:
        """Its body is not all there: to uvicorn, as if it had never been here."""
        self._eager = None
        body = self._taken()
        if not self.transport.is_closing():
            super().on_headers_complete()
            if body:
                super().on_body(body)

    def _answer(self, application: Application, body: bytes) -> None:
        if self.transport.is_closing():  # it was asked behind the last that is answered
            return
        exchange = _Exchange(body)
        running = application(self.scope, exchange.receive, exchange.send).__await__()
        try:
            waits_for = next(running)
        except StopIteration:
            self._write(exchange.sent)
        except BaseException as error:
            if not isinstance(error, Exception):  # else the application has logged it
                log.exception("a request ended in an error that its endpoint did not foresee")
            self._write([])
        else:
            self._goes_on = _GoesOn(exchange, running, waits_for)
            super().on_headers_complete()
            super().on_message_complete()
            self.cycle.message_event.clear()  # the exchange has the body: next the client leaves

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        goes_on, self._goes_on = self._goes_on, None
        super()._start_asgi_task(cycle, goes_on or app)

    def _write(self, sent: list[Mapping[str, Any]]) -> None:
        """The answer in one piece, and the connection ready for the next request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if len(sent) < 2 or sent[-1].get("more_body"):  # it failed
            sent = _FAILED
        stays = True
        pieces = [STATUS_LINE[sent[0]["status"]], self._default_head()]
        for name, value in sent[0]["headers"]:
            pieces += (name, b": ", value, b"\r\n")
            if name == b"connection":
                stays = False
        pieces.append(b"\r\n")
        pieces += [message["body"] for message in sent[1:]]
        self.transport.write(b"".join(pieces))
        if not stays:
            self.transport.close()
            return
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _default_head(self) -> bytes:
        """Server and date, which uvicorn makes anew each second."""
        headers = self.server_state.default_headers
        if self._head[0] is not headers:
            lines = [b"%b: %b\r\n" % (name, value) for name, value in headers]
            self._head = (headers, b"".join(lines))
        return self._head[1]


async def _nobody(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """For what comes on a connection that closes; never called."""


class _Exchange:
    """A request and what is said to it: first here, then as uvicorn does it."""

    def __init__(self, body: bytes) -> None:
        self.sent: list[Mapping[str, Any]] = []
        self._body: bytes | None = body
        self._later: tuple[Receive, Send] | None = None

    async def receive(self) -> Mapping[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        while self._later is None:
            await asyncio.sleep(0)  # whoever began this by hand hands it to a task
        return await self._later[0]()

    async def send(self, message: dict[str, Any]) -> None:
        if self._later is None:
            self.sent.append(message)
        else:
            await self._later[1](message)

    async def go_on(self, receive: Receive, send: Send) -> None:
        sent, self.sent = self.sent, []
        for message in sent:
            await send(dict(message))
        self._later = (receive, send)


class _GoesOn(NamedTuple):
    """An application that began and waits, as one that a task can run."""

    exchange: _Exchange
    running: Generator[Any, Any, None]
    waits_for: Any

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.exchange.go_on(receive, in_one_packet(scope, send))
        await Resumed(self.running, self.waits_for)
