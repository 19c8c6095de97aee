"""JSON that means one thing: no duplicate keys, not more of it than rows may have, no NaN.

orjson refuses NaN, infinities, numbers that overflow, broken UTF-8 and more than 1,024 levels by
itself; of a key that comes twice it keeps the last without a word. Counting is how the two are told
apart cheaply: a text has at least as many colons as keys, so a text with exactly as many colons as
the parsed value has keys has no duplicates (0.3 us for a row of 15 columns). Only where texts hold
colons, as times do, every string is looked at (3 us).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final

import orjson

from tenfold_serve.http import HttpError

__all__ = ["read_json"]

_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"(\s*+:)?|\\?\Z)', re.DOTALL)
"""One without an end goes on to the body's: each is looked at once, whatever the body holds."""
_BESIDE: Final = 4


def read_json(body: bytes, *, max_keys: int, max_nested: int | None = None) -> Any:
    """The body as JSON values.

    Args:
        body: JSON in UTF-8.
        max_keys: most keys of all objects together. Ten megabytes hold a million, which take 0.3 s
            to parse while everybody else waits.
        max_nested: most objects and lists; four times as many as keys by default, since columns
            that are not read may hold some. Ten megabytes hold three million that are empty, which
            take a second and 300 MB.

    Raises:
        HttpError: 400; the message never repeats a value.

    >>> read_json(b'{"a": 1, "a": 2}', max_keys=10)
    Traceback (most recent call last):
        ...
    tenfold_serve.http.HttpError: the body must be JSON whose objects have each key once
    """
    most = _BESIDE * max_keys if max_nested is None else max_nested
    most_texts = 2 * max(max_keys, most)
    texts = partial(_texts, body, most=most_texts)
    n_colons = body.count(b":")
    if n_colons > max_keys and _count_keys(texts(), most=max_keys) > max_keys:
        raise _too_much(f"{max_keys} keys")
    if body.count(b'"') > 2 * most_texts:  # else there are not so many
        deque(texts(), maxlen=0)
    if body.count(b"[") + body.count(b"{") > most and _nested(body, texts(), most=most) > most:
        raise _too_much(f"{most} objects and lists")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpError(400, "json", f"the body must be JSON in UTF-8: {error}") from error
    n_keys = _keys_of_rows(value)
    if n_colons != n_keys and _count_keys(texts(), most=n_colons) != _keys_of(value):
        raise HttpError(400, "json", "the body must be JSON whose objects have each key once")
    return value


def _too_much(what: str) -> HttpError:
    return HttpError(
        400,
        "json",
        f"a body holds at most {what}; send fewer rows, or leave out columns that are not read",
    )


def _keys_of_rows(value: Any) -> int:
    """Keys of ``{"rows": [{…}, …]}``; of anything else a number that need not be right."""
    if value.__class__ is dict:
        rows = value.get("rows")
        if rows.__class__ is list and len(value) == 1:
            return 1 + sum([len(row) for row in rows if row.__class__ is dict])
        return len(value)
    return 0


def _keys_of(value: Any) -> int:
    """Keys of all objects, however deep."""
    n_keys = 0
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            n_keys += len(one)
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(item for item in one if item.__class__ is dict or item.__class__ is list)
    return n_keys


def _texts(body: bytes, *, most: int) -> Iterator[re.Match[bytes]]:
    """Each text and the colon behind it, if there is one.

    Raises:
        HttpError: there are more than rows can have, which takes long to see.
    """
    for n_texts, found in enumerate(_TEXT.finditer(body)):
        if n_texts == most:
            raise _too_much(f"{most} texts")
        yield found


def _count_keys(texts: Iterable[re.Match[bytes]], *, most: int) -> int:
    """Texts that a colon follows; the count stops one above ``most``."""
    n_keys = 0
    for found in texts:
        if found[1]:
            n_keys += 1
            if n_keys > most:
                break
    return n_keys


def _nested(body: bytes, texts: Iterable[re.Match[bytes]], *, most: int) -> int:
    """Objects and lists that begin outside of texts; the count stops above ``most``."""
    n_nested = place = 0
    for found in texts:
        n_nested += body.count(b"[", place, found.start()) + body.count(b"{", place, found.start())
        if n_nested > most:
            return n_nested
        place = found.end()
    return n_nested + body.count(b"[", place) + body.count(b"{", place)
