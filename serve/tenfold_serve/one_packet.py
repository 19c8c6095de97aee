"""Head and body of an answer in one packet.

uvicorn writes them apart, each with a system call, and each wakes HAProxy; `_OnePacket` holds the
head until its body is there. The connection is found where uvicorn keeps it, which nobody promises:
if it is not there, answers are the same in two packets.
"""

from __future__ import annotations

from typing import Any

from tenfold_serve.http import Scope, Send

__all__ = ["in_one_packet"]


def in_one_packet(scope: Scope, send: Send) -> Send:
    """The same, but head and body of an answer go out together.

    Args:
        scope: the request.
        send: uvicorn's.
    """
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
