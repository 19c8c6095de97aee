"""How a JSON value becomes the text of a cell: the one way, for files of lines and for answers.

Numbers are text as JSON writes them, so ``1.10`` stays so and no digit of a long id is lost; truth
values are ``true`` and ``false``; null and an empty object are missing; a list is its JSON text.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

__all__ = ["Number", "cell_text", "json_text", "nesting", "no_number", "text_array", "whole_text"]

_MARKS = b'"[]{}'
_OTHER_BYTES = bytes(set(range(256)) - set(_MARKS))
_STEP = np.array([1 if chr(n) in "[{" else -1 if chr(n) in "]}" else 0 for n in range(256)])
_SLICE = 2**20
"""Marks looked at together: memory stays small whatever the text holds."""

_quoted = json.JSONEncoder(ensure_ascii=False).encode
_WORDS = {None: "null", True: "true", False: "false"}


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


def no_number(word: str) -> NoReturn:
    """For ``parse_constant``: NaN and the infinities are no JSON.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{word} is no JSON number")


def json_text(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no blanks, numbers as they were written.

    >>> json_text([Number("1.10"), {"b": None, "a": "é"}])
    '[1.10,{"a":"é","b":null}]'
    """
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if kind is Number:
        return str(value)
    if kind is list:
        return f"[{','.join(map(json_text, value))}]"
    if kind is dict:
        pairs = (f"{_quoted(key)}:{json_text(value[key])}" for key in sorted(value))
        return "{" + ",".join(pairs) + "}"
    return _WORDS[value] if value is None or kind is bool else json.dumps(value)


def cell_text(value: Any) -> str | None:
    """The text of a cell; None where it is missing.

    >>> cell_text(True), cell_text({}), cell_text("x"), cell_text(Number("1.0")), cell_text(["x"])
    ('true', None, 'x', '1.0', '["x"]')
    """
    kind = type(value)
    if value is None or kind is str:
        return value  # type: ignore[no-any-return]
    if kind is dict and not value:
        return None
    return json_text(value)


def text_array(values: list[str | None]) -> pa.Array:
    """Texts as Arrow holds them, see `whole_text`."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([v if v is None else whole_text(v) for v in values], pa.string())


def whole_text(text: str) -> str:
    """The text; half of a surrogate pair, which no text can hold, becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def nesting(data: bytes, *, most: int) -> int:
    """Objects and lists inside of each other, told before anything is built.

    Args:
        data: right for JSON, a number for anything.
        most: where there are not more of them at all, their count is the answer.

    >>> nesting(b'[[1], "[[["]', most=0), nesting(b"[[1], [2]]", most=9)
    (2, 3)
    """
    n_opened = data.count(b"[") + data.count(b"{")
    if n_opened <= most:
        return n_opened
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _OTHER_BYTES)
    depth, deepest, n_quotes = 0, 0, 0
    for start in range(0, len(plain), _SLICE):
        marks = np.frombuffer(plain, np.uint8, min(_SLICE, len(plain) - start), start)
        quotes = n_quotes + np.cumsum(marks == ord('"'), dtype=np.int64)
        steps = np.where(quotes % 2 == 0, _STEP[marks], 0)  # brackets inside of texts do not count
        depths = depth + np.cumsum(steps, dtype=np.int64)
        depth, n_quotes = int(depths[-1]), int(quotes[-1])
        deepest = max(deepest, int(depths.max()))
    return deepest
