"""From Serve's HTTP server straight to the endpoint, around what Serve wraps about an application.

For each request Serve's wrapper makes metadata, two ids, contexts and metrics of its own and counts
it, 0.1 ms of the replica's 0.4: for handles, multiplexing and tracing, of which an endpoint has
none. Serve lets middlewares be put around all that (`CALLBACK`, a documented flag); ours hands
what is for the project to its `Endpoint` and leaves everything else, such as the health checks of
HAProxy, to Serve.

What the wrapper did for us, and who does it now: requests are bounded by HAProxy
(`tenfold_serve.ray_rim`) and here, where another proxy stands before; ids are made and echoed by
the endpoint; when a replica goes, uvicorn finishes what it began before its server ends, within the
same time.

uvicorn writes the head of an answer and its body apart, each with a system call, and each wakes
HAProxy; `_OnePacket` holds the head until its body is there. The connection is found where uvicorn
keeps it, which nobody promises: if it is not there, answers are the same in two packets.

A replica holds one endpoint, and Serve asks for middlewares by an import path without a word about
whom they are for; hence the one name of this module that is set while it runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tenfold_serve.http import HttpError, Receive, Scope, Send, error_answer, send_answer

__all__ = ["CALLBACK", "Application", "Shortcut", "middlewares", "open_shortcut"]

CALLBACK: Final = "tenfold_serve.shortcut:middlewares"
"""What Serve imports and calls in every process that has an HTTP server."""

log = logging.getLogger("tenfold.serve")

_BUSY: Final = HttpError(
    429,
    "busy",
    "more requests wait than are answered in time; ask again in a second",
    headers=((b"retry-after", b"1"), (b"connection", b"close")),  # its body stays unread
)

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_endpoint: tuple[str, Application] | None = None


def open_shortcut(
    prefix: str, application: Application, *, max_running: int, max_waiting: int
) -> None:
    """Answer what is below a path in this process from now on.

    Args:
        prefix: ``"/adult"``: this path and all below it.
        application: gets these requests as Serve's server has them.
        max_running: requests at a time, whose bodies may be in memory.
        max_waiting: requests that wait for one of these to end, their bodies unread; to more it
            says 429.
    """
    global _endpoint
    _endpoint = (prefix, _Bounded(application, max_running, max_waiting))


def middlewares() -> list[Any]:
    """What Serve puts around its own application, see `CALLBACK`."""
    from starlette.middleware import Middleware

    return [Middleware(Shortcut)]


class Shortcut:
    """Serve's application, but for what is below the path of this process' endpoint.

    Args:
        app: Serve's own.

    >>> Shortcut(lambda scope, receive, send: None)._application({"type": "lifespan"}).__name__
    '<lambda>'
    """

    def __init__(self, app: Application) -> None:
        self._serve = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entrance."""
        application = self._application(scope)
        if application is self._serve:
            await application(scope, receive, send)
            return
        try:
            await application(scope, receive, _in_one_packet(scope, send))
        except Exception:
            log.exception("a request ended in an error that its endpoint did not foresee")
            raise  # uvicorn answers 500, and Serve keeps its words quiet

    def _application(self, scope: Scope) -> Application:
        if _endpoint is None or scope["type"] != "http":
            return self._serve
        prefix, application = _endpoint
        path: str = scope["path"]
        if path.startswith(prefix) and path[len(prefix) :][:1] in ("", "/"):
            return application
        return self._serve


class _Bounded:
    """An application with so many requests at a time, and so many that wait; 1 us a request."""

    def __init__(self, application: Application, max_running: int, max_waiting: int) -> None:
        self._application = application
        self._running = asyncio.Semaphore(max_running)
        self._max_waiting = max_waiting
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running.locked():
            if self._waiting >= self._max_waiting:
                as_text = "/v2/" in scope["path"]
                await send_answer(error_answer(_BUSY, as_text=as_text), receive, send)
                return
            self._waiting += 1
            try:
                await self._running.acquire()
            finally:
                self._waiting -= 1
        else:
            await self._running.acquire()  # at once
        try:
            await self._application(scope, receive, send)
        finally:
            self._running.release()


def _in_one_packet(scope: Scope, send: Send) -> Send:
    """The same, but head and body of an answer go out together."""
    answering: Any = getattr(send, "__self__", None)
    if scope["method"] == "HEAD" or not hasattr(answering, "transport"):
        return send

    async def send_together(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answering.transport = _OnePacket(answering.transport)
        await send(message)

    return send_together


class _OnePacket:
    """A connection whose first piece waits for the second.

    >>> class Printed:
    ...     write = staticmethod(print)
    >>> connection = _OnePacket(Printed())
    >>> connection.write(b"head, ")
    >>> connection.write(b"body")
    b'head, body'
    """

    __slots__ = ("_held", "_transport")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._held: bytes | None = None

    def write(self, data: bytes) -> None:
        """Hold the first, send the second with it."""
        if self._held is None:
            self._held = data
        else:
            self._transport.write(self._held + data)
            self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
