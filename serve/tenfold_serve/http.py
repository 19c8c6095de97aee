"""The little HTTP that the endpoint needs, on bare ASGI: read a body within its limit, answer.

Errors have one shape, whatever went wrong::

    {"error": {"law": "columns", "message": "…", "items": [{"row", "column", "reason"}]}}

``law`` is a stable word for programs, ``message`` a sentence for people. HTTP status codes are
mapped here and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import orjson

from tenfold.errors import OurError, RequestError, StoreError, TenfoldError

__all__ = [
    "JSON",
    "Answer",
    "Application",
    "Headers",
    "HttpError",
    "Receive",
    "Request",
    "Resumed",
    "Scope",
    "Send",
    "answer_json",
    "error_answer",
    "read_body",
    "send_answer",
]

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Mapping[bytes, bytes]
Result = TypeVar("Result")

JSON: Final = b"application/json"
_DRAIN_BYTES: Final = 256 * 1024 * 1024
_DRAIN_S: Final = 2.0
"""How much of a refused body is read and forgotten, so that its sender sees the answer."""
_PACE_BYTES: Final = 4096
_LOOK_S: Final = 0.5
_LOOKS: Final = 4
"""A body that is not there at once comes with so many bytes in so many looks, so two kilobytes a
second. Who sends a part of one and no more has one of the replica's few places, and would keep
others from it for half a minute."""
_RETRY_AFTER: Final = (b"retry-after", b"1")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as the doors see it.

    Attributes:
        headers: by name in lower case; of a name that came twice the last.
        receive: where the body comes from.
        query: what stands behind the question mark.
        id: of the request: the caller's, or one of ours; it is safe to be shown.
        max_body_bytes: most bytes of the body.
        body_timeout_s: how long the body may take to arrive whole.
    """

    headers: Headers
    receive: Receive
    query: bytes = b""
    id: bytes = b""
    max_body_bytes: int = 10 * 1024 * 1024
    body_timeout_s: float = 30.0

    async def body(self) -> bytes:
        """The body, read whole within its limits; see `read_body`."""
        return await read_body(
            self.headers,
            self.receive,
            max_bytes=self.max_body_bytes,
            timeout_s=self.body_timeout_s,
        )


class HttpError(Exception):
    """A request is answered with this status instead.

    Args:
        status: HTTP status code.
        law: a stable word for programs.
        message: a sentence for people: law, values, remedy.
        drain: the body was not read: read on and forget it, see `send_answer`.
    """

    def __init__(
        self,
        status: int,
        law: str,
        message: str,
        *,
        items: Sequence[Mapping[str, object]] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
        drain: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.law = law
        self.message = message
        self.items = list(items)
        self.headers = list(headers)
        self.drain = drain


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = field(default=())
    drain: bool = False
    law: str = ""


def answer_json(value: Any, *, status: int = 200) -> Answer:
    """A JSON answer; NumPy numbers are allowed, NaN becomes null.

    >>> answer_json({"a": float("nan")}).body
    b'{"a":null}'
    """
    return Answer(status, orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))


def error_answer(error: BaseException, *, as_text: bool = False) -> Answer:
    """What a caller is told about an error: never a trace, never the inside.

    Args:
        error: what went wrong.
        as_text: ``{"error": "message"}``, as the Open Inference Protocol wants it.

    >>> error_answer(RequestError("rows must not be empty")).status
    400
    >>> error_answer(RuntimeError("secret detail")).body
    b'{"error":{"law":"internal","message":"the endpoint failed; the log says why"}}'
    """
    headers: Sequence[tuple[bytes, bytes]] = ()
    items: Sequence[Mapping[str, object]] = ()
    if isinstance(error, HttpError):
        status, law, message = error.status, error.law, error.message
        items, headers = error.items, error.headers
    elif isinstance(error, RequestError):
        status, law, message, items = 400, "request", str(error), error.items
    elif isinstance(error, StoreError):
        status, law, message = 507, "store", str(error)
    elif isinstance(error, OurError):
        status, law, message, headers = 503, "unavailable", str(error), (_RETRY_AFTER,)
    elif isinstance(error, TenfoldError):
        status, law, message = 400, "request", str(error)
    else:
        status, law, message = 500, "internal", "the endpoint failed; the log says why"
    drain = isinstance(error, HttpError) and error.drain
    if as_text:
        shown: object = message
    else:
        shown = {"law": law, "message": message, **({"items": items} if items else {})}
    answer = answer_json({"error": shown}, status=status)
    return Answer(status, answer.body, headers=headers, drain=drain, law=law)


async def read_body(
    headers: Headers, receive: Receive, *, max_bytes: int, timeout_s: float = 30.0
) -> bytes:
    """The request's body, refused as soon as it is known to be too large or too slow.

    Raises:
        HttpError: 413 over the limit, 408 for one that did not come in time or comes too slowly,
            415 for an encoded body, 400 if the client went away.
    """
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        raise HttpError(
            415,
            "encoding",
            "bodies are sent as they are, without content-encoding",
            headers=_CLOSE,
            drain=True,
        )
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes, shown=f"{int(declared)} bytes are announced")
    rest = _Arriving(receive, max_bytes=max_bytes)
    arriving = rest.whole().__await__()
    try:
        waits_for = next(arriving)
    except StopIteration as done:  # it was all there: no timer is set, which saves 8 us
        body: bytes = done.value
        return body
    try:
        async with asyncio.timeout(timeout_s) as end:
            with rest.watched(end):
                return await Resumed(arriving, waits_for)
    except TimeoutError as error:
        raise HttpError(
            408,
            "body-time",
            f"a body arrives whole within {timeout_s:g} s, and {_PACE_BYTES // 1024} kB of it in "
            f"each {_LOOKS * _LOOK_S:g} s; send less at a time",
            headers=_CLOSE,
        ) from error


class Resumed(Generic[Result]):
    """Awaits the rest of what was started by hand.

    Args:
        started: a coroutine, or what its ``__await__`` gives, which has begun.
        waits_for: what it gave then.
    """

    def __init__(self, started: Generator[Any, Any, Result], waits_for: Any) -> None:
        self._started = started
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Result]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    value = yield waits_for
                except BaseException as error:  # noqa: BLE001  (a cancellation: the coroutine's own)
                    waits_for = self._started.throw(error)
                else:
                    waits_for = self._started.send(value)
        except StopIteration as done:
            result: Result = done.value
            return result


class _Arriving:
    """A body on its way.

    Args:
        receive: where it comes from.
        max_bytes: that it may have.
    """

    def __init__(self, receive: Receive, *, max_bytes: int) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    async def whole(self) -> bytes:
        """All of it.

        Raises:
            HttpError: 413, 400.
        """
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body") and message["type"] == "http.request":
            if len(body) > self._max_bytes:
                raise _too_large(self._max_bytes, shown=f"{len(body)} bytes came")
            return body
        parts = [body]
        self._size = len(body)
        while message.get("more_body"):
            message = await self._receive()
            parts.append(message.get("body", b""))
            self._size += len(parts[-1])
            if self._size > self._max_bytes:
                raise _too_large(self._max_bytes, shown="more came")
        if message["type"] != "http.request":
            raise HttpError(400, "body", "the client went away before the body was whole")
        return b"".join(parts)

    @contextlib.contextmanager
    def watched(self, end: asyncio.Timeout) -> Iterator[None]:
        """Bring the end forward if too little comes."""
        self._look_later(end, _LOOKS, self._size)
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _look_later(self, end: asyncio.Timeout, n_left: int, known: int) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK_S, self._look, end, n_left - 1, known)

    def _look(self, end: asyncio.Timeout, n_left: int, known: int) -> None:
        """Looks are counted and no seconds: while the loop is busy with an answer bytes lie unread,
        and that is one look."""
        if self._size - known >= _PACE_BYTES:
            self._look_later(end, _LOOKS, self._size)
        elif n_left:
            self._look_later(end, n_left, known)
        elif not end.expired():
            end.reschedule(0.0)  # which is over


# After a refusal the rest of the body is not read, so the connection cannot be used again.
_CLOSE: Final = ((b"connection", b"close"),)


def _too_large(max_bytes: int, *, shown: str) -> HttpError:
    return HttpError(
        413,
        "body-size",
        f"a body has at most {max_bytes} bytes and {shown}; send fewer rows at a time, "
        "or use `tenfold predict` for whole tables",
        headers=_CLOSE,
        drain=True,
    )


async def send_answer(
    answer: Answer,
    receive: Receive,
    send: Send,
    *,
    request_id: bytes = b"",
    head: bool = False,
) -> None:
    """Send an answer whole, with the request's id.

    An answer to a body that was not read is sent at once; then the rest of the body is read and
    forgotten, within bounds. Most clients look at the answer only after they have sent everything:
    closed on early, they would report a broken pipe and never see the reason.
    """
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    if request_id:
        headers.append((b"x-request-id", request_id))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if head else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": answer.drain})
    if answer.drain:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_drain(receive), _DRAIN_S)
        await send({"type": "http.response.body", "body": b""})


async def _drain(receive: Receive) -> None:
    size = 0
    more = True
    while more and size < _DRAIN_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        more = bool(message.get("more_body"))
