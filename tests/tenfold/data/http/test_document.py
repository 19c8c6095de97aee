from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.http.document import at_path, kind_word, parse_json
from tenfold.data.json_cells import Number, json_text
from tenfold.errors import DataError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def read(body: bytes, *, most_depth: int = 64) -> Any:
    return parse_json("source 'a', page 1", body, most_depth=most_depth)


@given(VALUES, st.booleans())
def test_what_json_can_say_is_read_and_its_text_means_the_same(value: Any, plain: bool) -> None:
    body = json.dumps(value, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    parsed = read(body)
    assert json.loads(json_text(parsed)) == value
    assert json_text(read(json_text(parsed).encode())) == json_text(parsed)


@given(VALUES)
def test_depth_is_told_exactly(value: Any) -> None:
    body = json.dumps(value).encode()
    deep = depth(value)
    read(body, most_depth=deep)
    if deep:
        with pytest.raises(DataError, match="nests deeper"):
            read(body, most_depth=deep - 1)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_million_levels_are_refused_and_harm_nothing(opening: bytes) -> None:
    with pytest.raises(DataError, match="at most 64 objects and lists"):
        read(opening * 1_000_000)


def test_brackets_in_texts_do_not_count() -> None:
    text = "[" * 100 + '"\\' + "{" * 100
    assert read(json.dumps([text, "\\", text]).encode(), most_depth=1) == [text, "\\", text]


@pytest.mark.parametrize(
    "number", ["0", "-0", "1.10", "1e400", "12345678901234567890123", "0.1e-7", "9" * 5000]
)
def test_numbers_stay_as_they_are_written(number: str) -> None:
    found = read(f"[{number}]".encode())[0]
    assert isinstance(found, Number)
    assert found == number
    assert Decimal(json_text(found)) == Decimal(number)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "is none"),
        (b"<html></html>", "is none"),
        (b'{"a":1', "is none"),
        (b"[1,]", "is none"),
        (b"[NaN]", "NaN is no JSON number"),
        (b"[-Infinity]", "-Infinity is no JSON number"),
        (b"[1] [2]", "Extra data"),
        (b'["a\nb"]', "is none"),
        (b'["\xff"]', "must be UTF-8, and byte 2 is not"),
        ("[1]".encode("utf-16"), "must be UTF-8, and byte 0"),
    ],
)
def test_what_is_no_json_is_told(body: bytes, told: str) -> None:
    with pytest.raises(DataError, match=f"^source 'a', page 1: .*{told}"):
        read(body)


def test_a_mark_of_byte_order_is_passed_over() -> None:
    assert read(b"\xef\xbb\xbf[true]") == [True]


def test_a_path_that_leads_nowhere_or_through_a_list() -> None:
    assert at_path({"a": [{"b": 1}]}, "a.b") == (False, None)
    assert at_path({"a": None}, "a") == (True, None)
    assert at_path([1], "a") == (False, None)


def test_kinds_are_named_by_json_not_by_python() -> None:
    assert kind_word(Number("1")) == "a number"
    assert kind_word("1") == "a text"
    assert kind_word(False) == "a truth value"


def test_depth_is_carried_over_slices_of_the_marks() -> None:
    flat = b'["[", "{\\"]", [],{}],' * 200_000
    body = b"[" * 5 + flat.rstrip(b",") + b"]" * 5
    read(body, most_depth=7)
    with pytest.raises(DataError, match="at most 6"):
        read(body, most_depth=6)
