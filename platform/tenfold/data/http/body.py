"""The bytes of one answer: decoded no further than a bound, and JSON by their own word."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from tenfold.errors import DataError

__all__ = ["check_content_type", "read_body"]

_GZIP = 16 + zlib.MAX_WBITS
_LINES = ("application/x-ndjson", "application/jsonl", "application/jsonlines")


def check_content_type(where: str, value: str | None) -> None:
    """Refuse an answer that does not call itself JSON: a page for people, a file, an error.

    Raises:
        DataError: any other type, or none.

    >>> check_content_type("source 'a'", "application/vnd.api+json; charset=utf-8")
    >>> check_content_type("source 'a'", "text/html")
    Traceback (most recent call last):
    tenfold.errors.DataError: source 'a': the answer must be JSON, and calls itself 'text/html'; ...
    """
    kind = (value or "").split(";")[0].strip().lower()
    if kind in ("application/json", "text/json") or kind.endswith("+json"):
        return
    if kind in _LINES:
        remedy = "read it as a source of type file, with format: jsonl"
    else:
        remedy = "is url the address of the API, and not of a page for people?"
    raise DataError(f"{where}: the answer must be JSON, and calls itself {kind!r}; {remedy}")


def read_body(
    where: str, chunks: Iterable[bytes], *, encoding: str | None, most_bytes: int
) -> bytes:
    """An answer's bytes, decoded.

    Only gzip is undone, in steps: what 64 KiB of it can become (64 MiB) never stands in memory
    beyond the bound. Other codings are not asked for.

    Raises:
        DataError: it is larger than ``most_bytes`` once decoded, damaged, or coded otherwise.

    >>> read_body("source 'a'", [zlib.compress(b"[1]", wbits=31)], encoding="gzip", most_bytes=9)
    b'[1]'
    """
    coding = (encoding or "identity").strip().lower()
    if coding in ("identity", ""):
        parts: Iterable[bytes] = chunks
    elif coding in ("gzip", "x-gzip"):
        parts = _gunzip(where, chunks, most_bytes)
    else:
        raise DataError(
            f"{where}: the answer must come plain or as gzip, and comes as {coding!r}; "
            "leave accept-encoding out of headers"
        )
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > most_bytes:
            raise DataError(
                f"{where}: one answer may have at most {most_bytes:,} bytes once decoded, and this "
                "one is larger; ask for fewer records on a page (pages.size)"
            )
    return bytes(body)


def _gunzip(where: str, chunks: Iterable[bytes], most_bytes: int) -> Iterable[bytes]:
    """Decoded parts, each of at most ``most_bytes`` and one."""
    decoder = zlib.decompressobj(wbits=_GZIP)
    try:
        for chunk in chunks:
            left = chunk
            while left:
                if decoder.eof:  # one more member of the same stream
                    decoder = zlib.decompressobj(wbits=_GZIP)
                yield decoder.decompress(left, most_bytes + 1)
                left = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    except zlib.error as error:
        raise DataError(
            f"{where}: the answer calls itself gzip and cannot be decoded ({error}); "
            "tell who runs the API"
        ) from None
    if not decoder.eof:
        raise DataError(f"{where}: the answer's gzip ends too early; run the command again")
