"""JSON of strangers: read with a bound on depth, numbers kept as they are written."""

from __future__ import annotations

import json
from typing import Any

from tenfold.data.json_cells import Number, nesting, no_number
from tenfold.errors import DataError

__all__ = ["at_path", "kind_word", "parse_json"]


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
    if nesting(body, most=most_depth) > most_depth:
        raise DataError(
            f"{where}: the answer must nest at most {most_depth} objects and lists, and nests "
            "deeper; ask for flat records"
        )
    try:
        text = body.decode("utf-8-sig")
        return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=no_number)
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


def kind_word(value: Any) -> str:
    """A JSON value's kind, for messages.

    >>> [kind_word(value) for value in ({}, [], "", Number("1"), True, None)]
    ['an object', 'a list', 'a text', 'a number', 'a truth value', 'null']
    """
    kinds = ((dict, "an object"), (list, "a list"), (Number, "a number"), (str, "a text"))
    found = next((word for kind, word in kinds if isinstance(value, kind)), None)
    return found or ("null" if value is None else "a truth value")
