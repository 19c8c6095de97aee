"""From Serve's HTTP server straight to the endpoint, around what Serve wraps about an application.

For each request Serve's wrapper makes metadata, two ids, contexts and metrics of its own and counts
it, 0.1 ms of the replica's 0.4: for handles, multiplexing and tracing, of which an endpoint has
none. Serve lets middlewares be put around all that (`CALLBACK`, a documented flag); ours hands
what is for the project to its `Endpoint` and leaves everything else, such as the health checks of
HAProxy, to Serve.

What the wrapper did for us, and who does it now: requests are bounded by HAProxy
(`tenfold_serve.haproxy`) and here, where another proxy stands before; ids are made and echoed by
the endpoint; when a replica goes, uvicorn finishes what it began before its server ends, within the
same time.

Requests that are there whole go around uvicorn's tasks, too, from the second connection on: see
`tenfold_serve.eager`.

A replica holds one endpoint, and Serve asks for middlewares by an import path without a word about
whom they are for; hence the one name of this module that is set while it runs.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from tenfold_serve.http import (
    Application,
    HttpError,
    Receive,
    Scope,
    Send,
    error_answer,
    send_answer,
)
from tenfold_serve.one_packet import in_one_packet

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
    """

    def __init__(self, app: Application) -> None:
        self._serve = app
        self._eager = False  # whether its server was asked to be

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entrance."""
        application = _below(scope["path"]) if scope["type"] == "http" else None
        if _endpoint is not None and not self._eager:
            self._make_eager(send)
        if application is None:
            await self._serve(scope, receive, send)
        else:
            await application(scope, receive, in_one_packet(scope, send))

    def _make_eager(self, send: Send) -> None:
        """Once: who speaks is a request of uvicorn's, and knows the connection."""
        from tenfold_serve.eager import eager_server

        self._eager = True
        exchange = getattr(send, "__self__", None)
        eager_server(getattr(getattr(exchange, "on_response", None), "__self__", None), _below)


def _below(path: str) -> Application | None:
    """This process' endpoint, for what is below its path."""
    if _endpoint is None:
        return None
    prefix, application = _endpoint
    ours = path.startswith(prefix) and path[len(prefix) :][:1] in ("", "/")
    return application if ours else None


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
        except Exception:
            log.exception("a request ended in an error that its endpoint did not foresee")
            raise  # uvicorn answers 500, and Serve keeps its words quiet
        finally:
            self._running.release()
