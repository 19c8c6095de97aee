"""Content negotiation: what a body is (``Content-Type``), which answer is wanted (``Accept``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tenfold_serve.http import JSON, Headers, HttpError

__all__ = ["ARROW", "accepted", "content_type", "require_json"]

ARROW: Final = b"application/vnd.apache.arrow.stream"
_MAX_ACCEPT: Final = 1000
"""Characters of ``Accept`` that are read."""


def content_type(headers: Headers) -> bytes:
    """The media type of the body, in lower case and without parameters; empty if it says none."""
    value = headers.get(b"content-type", JSON)
    if value == JSON:
        return JSON if b"content-type" in headers else b""
    return value.partition(b";")[0].strip().lower()


def require_json(headers: Headers) -> None:
    """Refuse a body that does not say it is JSON.

    Browsers send other types from any page to any address without asking first.

    Raises:
        HttpError: 415.
    """
    kind = content_type(headers)
    if kind != JSON and not kind.endswith(b"+json"):
        raise wrong_type(kind, [JSON])


def wrong_type(kind: bytes, known: Sequence[bytes]) -> HttpError:
    """The refusal of a body of another type."""
    said = kind.decode("latin-1")[:100] or "nothing"
    words = " or ".join(name.decode() for name in known)
    return HttpError(415, "content-type", f"the body must say that it is {words}, it says {said!r}")


def accepted(headers: Headers, offers: Sequence[bytes]) -> bytes:
    """Which of the offers the caller wants most.

    Args:
        headers: of the request; without ``Accept`` the first offer is taken.
        offers: media types, the one of the request's own form first.

    Raises:
        HttpError: 406, none of them.

    >>> accepted({b"accept": b"text/html, application/json;q=0.5"}, [ARROW, JSON])
    b'application/json'
    >>> accepted({b"accept": b"*/*"}, [ARROW, JSON]) == ARROW
    True
    """
    value = headers.get(b"accept", b"*/*")
    if value == b"*/*" or value == offers[0]:
        return offers[0]
    ranges = [_range(part) for part in value[:_MAX_ACCEPT].split(b",")]
    best, weight = offers[0], 0.0
    for offer in offers:
        found = max((r for r in ranges if _matches(r[0], offer)), default=None, key=_precision)
        if found is not None and found[1] > weight:
            best, weight = offer, found[1]
    if not weight:
        words = " or ".join(name.decode() for name in offers)
        raise HttpError(406, "accept", f"answers come as {words}; accept one of them")
    return best


def _range(part: bytes) -> tuple[bytes, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(b";"))
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return name, min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return name, 0.0
    return name, 1.0


def _matches(wanted: bytes, offer: bytes) -> bool:
    return wanted in (offer, b"*/*", offer.partition(b"/")[0] + b"/*")


def _precision(found: tuple[bytes, float]) -> int:
    return 2 - found[0].count(b"*")
