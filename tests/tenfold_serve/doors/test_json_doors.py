"""JSON: one meaning, two forms, warnings on request."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import RequestError
from tenfold.schema import Column, Kind, Schema
from tenfold_serve.doors.cautions import Caution, cautions
from tenfold_serve.doors.strict_json import read_json
from tenfold_serve.doors.wants import wants_of
from tenfold_serve.http import HttpError, Request
from tenfold_serve.media import ARROW, accepted, content_type
from tests.tenfold_serve.support import Rig, rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text('ab":\\ {', max_size=6),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('ab":\\ ', max_size=3), inner),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_json_without_duplicates_is_read_as_it_is(value: Any, indent: bool) -> None:
    body = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0)
    assert read_json(body, max_keys=1000) == value


@given(VALUES, st.text('ab":\\ ', max_size=3), VALUES, VALUES)
def test_a_key_that_comes_twice_is_refused(outer: Any, key: str, first: Any, second: Any) -> None:
    name = orjson.dumps(key)
    twice = b"{" + name + b" :" + orjson.dumps(first) + b"," + name + b":" + orjson.dumps(second)
    body = b'{"rows": [' + twice + b"}," + orjson.dumps(outer) + b"]}"
    with pytest.raises(HttpError, match="each key once"):
        read_json(body, max_keys=1000)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"rows": [{' + b",".join(b'"k%d":1' % k for k in range(1_000_000)) + b"}]}", "keys"),
        (b"[" * 10_000, "depth"),
        (b"[" * 100_000, "objects and lists"),
        (b'{"a":' * 100_000, "keys"),
        (b'{"rows": [{"a": ' + b"9" * 10_000_000 + b"}]}", "infinity"),
        (b'{"rows": [{"a": 1e400}]}', "infinity"),
        (b'{"rows": [{"a": NaN}]}', "JSON"),
        (b'{"rows": [{"a": -Infinity}]}', "JSON"),
        (b'{"a": 1, "a": 2}', "each key once"),
        (b'"\xff"', "UTF-8"),
        (b'"\\ud800"', "JSON"),
    ],
    ids=[
        "keys",
        "depth",
        "lists",
        "nested",
        "digits",
        "1e400",
        "nan",
        "inf",
        "twice",
        "utf8",
        "half",
    ],
)
def test_hostile_json_is_refused_fast(body: bytes, words: str) -> None:
    best = 9.0
    for _ in range(3):
        start = time.thread_time()  # the machine is shared
        with pytest.raises(HttpError, match=words):
            read_json(body, max_keys=20_000)
        best = min(best, time.thread_time() - start)
    assert best < 0.05


MEGABYTES = 10 * 2**20
COLONS = b'":"' * 30_000


@pytest.mark.parametrize(
    "body",
    [
        COLONS + b'"' + b'\\"' * (MEGABYTES // 2),
        COLONS + b'"' + b'\\"' * (MEGABYTES // 2) + b"\\",
        COLONS + b'"' + b"\\" * MEGABYTES,
        COLONS + b'"' * MEGABYTES,
        COLONS + b'"" ' * (MEGABYTES // 3),
        COLONS + b'""' + b" " * MEGABYTES,
        b'{"rows": [' + b"[]," * (MEGABYTES // 3) + b"[]]}",
        b'{"rows": [' + b"{}," * (MEGABYTES // 3) + b"{}]}",
        b'{"rows": [' + b'"[",' * (MEGABYTES // 4) + b"1]}",
        b'{"rows": [' + b'"",' * (MEGABYTES // 3) + b'":"]}',
    ],
    ids=[
        "open text",
        "half an escape",
        "backslashes",
        "quotes",
        "empty texts",
        "blanks",
        "lists",
        "objects",
        "brackets in texts",
        "colon in a text",
    ],
)
def test_ten_megabytes_are_looked_at_once(body: bytes) -> None:
    """Before anything is made of them: a look at every quote's rest took days."""
    start = time.thread_time()
    with pytest.raises(HttpError) as caught:
        read_json(body, max_keys=20_000)
    assert caught.value.status == 400
    assert time.thread_time() - start < 2


def test_brackets_and_colons_in_texts_are_texts() -> None:
    value = {"rows": [{"a": '[{":\\"' * 1000, "b": "]}"}], "x:y": [{}, []]}
    assert read_json(orjson.dumps(value), max_keys=6) == value
    for less in ({"max_keys": 3}, {"max_keys": 9, "max_nested": 4}):
        with pytest.raises(HttpError, match="a body holds at most"):
            read_json(orjson.dumps(value), **less)


def test_hostile_json_is_a_400_at_the_door(door_rig: Rig) -> None:
    for body, words in (
        (b"[" * 60_000, "objects and lists"),
        (b'{"rows": [{"a": 1e400}]}', "infinity"),
        (b'{"a": 1, "a": 2}', "each key once"),
        (b'"\xff"', "UTF-8"),
    ):
        reply = door_rig.ask("POST", "/predict", body)
        assert reply.status == 400 and words in reply.json()["error"]["message"], reply


def test_columns_are_answered_by_the_column(door_rig: Rig) -> None:
    sent = rows(3)
    columns = {name: [row[name] for row in sent] for name in sent[0]}
    answer = door_rig.ask("POST", "/predict", {"columns": columns}).json()
    items = door_rig.ask("POST", "/predict", {"rows": sent}).json()["predictions"]
    assert answer["columns"]["value"] == [item["value"] for item in items]
    assert set(answer) == {"model", "version", "digest", "arm", "columns"}
    assert len(set(answer["columns"]["id"])) == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"columns": {}}, "at least one column"),
        ({"columns": []}, "the body must be"),
        ({"columns": {"age": 7}}, "must be a list with one value per row"),
        ({"columns": {"age": [1], "color": []}}, "columns must have one length"),
        ({"columns": {"age": []}}, "at least one row"),
        ({"columns": {"age": [1] * 51}}, "at most 50 rows"),
        ({"columns": {"age": [1]}, "rows": []}, "the body must be"),
        ({}, "the body must be"),
    ],
)
def test_columns_that_are_none_are_refused(door_rig: Rig, body: Any, words: str) -> None:
    reply = door_rig.ask("POST", "/predict", body)
    assert reply.status == 400
    assert words in reply.json()["error"]["message"]


def test_the_answer_has_the_form_that_is_accepted(door_rig: Rig) -> None:
    headers = [(b"accept", b"application/json;q=0.2, application/vnd.apache.arrow.stream")]
    reply = door_rig.ask("POST", "/predict", {"rows": rows(1)}, headers=headers)
    assert (reply.status, reply.headers[b"content-type"]) == (200, ARROW)
    none = door_rig.ask("POST", "/predict", {"rows": rows(1)}, headers=[(b"accept", b"text/html")])
    assert (none.status, none.json()["error"]["law"]) == (406, "accept")


@pytest.mark.parametrize(
    ("value", "chosen"),
    [
        (b"*/*", ARROW),
        (b"application/json", b"application/json"),
        (b"application/*", ARROW),
        (b"application/*;q=0.1, application/json", b"application/json"),
        (b"text/html, */*;q=0.1", ARROW),
        (b"application/vnd.apache.arrow.stream;q=0, */*", b"application/json"),
        (b"application/json;q=x, application/vnd.apache.arrow.stream;q=0.01", ARROW),
    ],
)
def test_accept_is_read_as_the_standard_says(value: bytes, chosen: bytes) -> None:
    assert accepted({b"accept": value}, [ARROW, b"application/json"]) == chosen


@given(st.binary(max_size=60))
def test_any_accept_and_content_type_is_answered(value: bytes) -> None:
    try:
        assert accepted({b"accept": value}, [ARROW, b"application/json"])
    except HttpError as error:
        assert error.status == 406
    content_type({b"content-type": value})


def test_warnings_come_when_they_are_asked_for(door_rig: Rig) -> None:
    sent = rows(2)
    sent[0] |= {"age": 17, "color": "pink"}
    sent[1] |= {"age": 40, "color": "blue", "amount": 0.0, "city": None}
    body = {"rows": sent}
    for path, headers in (
        ("/predict?with=warnings", []),
        ("/predict", [(b"x-tenfold-with", b"warnings")]),
    ):
        items = door_rig.ask("POST", path, body, headers=headers).json()["predictions"]
        assert items[0]["warnings"] == [
            {"column": "age", "reason": "below the training range"},
            {"column": "color", "reason": "unseen category"},
        ]
        assert items[1]["warnings"] == []
    assert "warnings" not in door_rig.ask("POST", "/predict", body).json()["predictions"][0]
    columns = {name: [row[name] for row in sent] for name in sent[0]}
    told = door_rig.ask("POST", "/predict?with=warnings", {"columns": columns}).json()
    assert [len(row) for row in told["columns"]["warnings"]] == [2, 0]


@pytest.mark.parametrize("query", [b"with=all", b"explain=1", b"with", b"=", b"with=warnings,x"])
def test_what_cannot_be_asked_for_is_told(query: bytes) -> None:
    request = Request({}, _nothing, query)
    if query == b"with":
        assert not wants_of(request).warnings
        return
    with pytest.raises(RequestError, match=r"with=|\?with="):
        wants_of(request)


async def _nothing() -> dict[str, Any]:
    return {}


def test_cautions_know_kinds_without_a_range() -> None:
    schema = Schema(
        (
            Column("free", Kind.CATEGORY),
            Column("flag", Kind.BOOLEAN, minimum=0.0, maximum=0.0),
            Column("when", Kind.DATETIME, minimum=10.0),
        )
    )
    codes = np.array([[4.0, 1.0, 9.0]])
    assert cautions(schema, codes) == [[Caution("when", "below the training range")]]
