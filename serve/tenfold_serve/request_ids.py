"""The id of a request: the caller's where it is safe to be shown, else one of ours."""

from __future__ import annotations

import re
import secrets
from typing import Final

from tenfold_serve.http import Headers

__all__ = ["REQUEST_ID", "request_id_of"]

REQUEST_ID: Final = b"x-request-id"
_SAFE: Final = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")


def request_id_of(headers: Headers) -> bytes:
    """The caller's id if it has at most 128 harmless characters, else a new one.

    It is echoed, logged and may decide the arm, so it must not carry line breaks or be long.

    >>> request_id_of({b"x-request-id": b"order-7"})
    b'order-7'
    >>> len(request_id_of({b"x-request-id": b"a\\nb"}))
    32
    """
    given = headers.get(REQUEST_ID)
    if given is not None and _SAFE.fullmatch(given):
        return given
    return secrets.token_hex(16).encode()
