"""JSON of strangers: read with a bound on depth, numbers kept as they are written."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import numpy as np

from tenfold.errors import DataError

__all__ = ["Number", "at_path", "json_text", "kind_word", "parse_json"]

_MARKS = b'"[]{}'
_OTHER_BYTES = bytes(set(range(256)) - set(_MARKS))
_STEP = np.array([1 if chr(n) in "[{" else -1 if chr(n) in "]}" else 0 for n in range(256)])
_SLICE = 2**20
"""Marks looked at together: memory stays small whatever the answer holds."""


class Number(str):
    """A JSON number as it was written: ``1.10`` stays so, and no digit of a long id is lost."""

    __slots__ = ()


def parse_json(where: str, body: bytes, *, most_depth: int) -> Any:
    """A JSON text as dictionaries, lists, strings, booleans, None and `Number`.

    Of keys that an object names twice the last one counts, as with every parser of note.

    Args:
        where: what messages begin with.
        body: UTF-8, perhaps with a byte-order mark.
        most_depth: objects and lists inside of each other.

    Raises:
        DataError: it is no JSON, no UTF-8, or nested deeper.

    >>> parse_json("source 'a'", b'[1.10, "x", null]', most_depth=9)
    ['1.10', 'x', None]
    """
    if _depth(body) > most_depth:
        raise DataError(
            f"{where}: the answer must nest at most {most_depth} objects and lists, and nests "
            "deeper; ask for flat records"
        )
    try:
        text = body.decode("utf-8-sig")
        return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: the answer must be UTF-8, and byte {error.start} is not; "
            "tell who runs the API"
        ) from None
    except ValueError as error:
        raise DataError(
            f"{where}: the answer calls itself JSON and is none ({error}); tell who runs the API"
        ) from None


def at_path(document: Any, path: str) -> tuple[bool, Any]:
    """Whether something stands at a dotted path, and what.

    >>> at_path({"data": {"items": [1]}}, "data.items")
    (True, [1])
    >>> at_path({"data": None}, "data.items")
    (False, None)
    """
    for step in path.split("."):
        if not isinstance(document, dict) or step not in document:
            return False, None
        document = document[step]
    return True, document


def json_text(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no blanks, numbers as they were written.

    >>> json_text([Number("1.10"), {"b": None, "a": "é"}])
    '[1.10,{"a":"é","b":null}]'
    """
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        pairs = (f"{json_text(key)}:{json_text(value[key])}" for key in sorted(value))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def kind_word(value: Any) -> str:
    """A JSON value's kind, for messages.

    >>> [kind_word(value) for value in ({}, [], "", Number("1"), True, None)]
    ['an object', 'a list', 'a text', 'a number', 'a truth value', 'null']
    """
    kinds = ((dict, "an object"), (list, "a list"), (Number, "a number"), (str, "a text"))
    found = next((word for kind, word in kinds if isinstance(value, kind)), None)
    return found or ("null" if value is None else "a truth value")


def _depth(body: bytes) -> int:
    """Deepest nesting, told before anything is built; right for JSON, a number for anything."""
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _OTHER_BYTES)
    depth, deepest, n_quotes = 0, 0, 0
    for start in range(0, len(plain), _SLICE):
        marks = np.frombuffer(plain, np.uint8, min(_SLICE, len(plain) - start), start)
        quotes = n_quotes + np.cumsum(marks == ord('"'), dtype=np.int64)
        steps = np.where(quotes % 2 == 0, _STEP[marks], 0)  # brackets inside of texts do not count
        depths = depth + np.cumsum(steps, dtype=np.int64)
        depth, n_quotes = int(depths[-1]), int(quotes[-1])
        deepest = max(deepest, int(depths.max()))
    return deepest


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")
