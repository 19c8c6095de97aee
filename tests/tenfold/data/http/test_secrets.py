"""S28 and S29: what a secret's reference leads to is in the request, and nowhere else."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest

from tenfold.data.drivers import InProcess
from tenfold.data.http import HttpPlace
from tenfold.data.http.credentials import resolved
from tenfold.data.pull import pull
from tenfold.errors import DataError
from tenfold.progress import SILENT
from tests.httpserver import Api, Call, Reply, api
from tests.tenfold.data.http.world import place, source

CANARIES = {
    "CANARY_HEADER": "canary-header-7f3a",
    "CANARY_PARAM": "canary/param 91c2",
    "CANARY_PASSWORD": "canary:pass@word-55d0",
    "CANARY_PATH": "canary-path-a1b2",
}
SPELLINGS = (
    "canary-header-7f3a",
    "canary/param 91c2",
    "canary%2Fparam",
    "canary/param+91c2",
    "canary/param%2091c2",
    "canary:pass@word-55d0",
    "canary%3Apass",
    "canary\\/param",
    "canary-path-a1b2",
    base64.b64encode(b"me:canary:pass@word-55d0").decode(),
)


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)


def guarded_by_all(made: Api, **fields: Any) -> HttpPlace:
    host = made.url.removeprefix("http://")
    return place(
        f"http://me:${{env:CANARY_PASSWORD}}@{host}/${{env:CANARY_PATH}}/items",
        params={"key": "${env:CANARY_PARAM}"},
        headers={"x-api-key": "${env:CANARY_HEADER}"},
        pages={"by": "link"},
        **fields,
    )


def assert_no_secret(text: str) -> None:
    assert [spelling for spelling in SPELLINGS if spelling in text] == []


def echo(call: Call) -> str:
    """All that the server was told, as a rude one would repeat it."""
    return json.dumps({"path": call.path, "query": call.query, "headers": call.headers})


def test_secrets_reach_the_server_and_no_file_log_or_repr(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def respond(call: Call) -> Reply:
        first = "page" not in call.query
        link = (
            f'<http://{call.headers["host"]}{call.path}?page=2&key=x>; rel="next"' if first else ""
        )
        return Reply([{"id": 1 if first else 2}], headers={"link": link})

    with api(respond) as made:
        asked = guarded_by_all(made)
        stored = pull(asked, tmp_path, driver=InProcess(), progress=SILENT)
        plan = asked.plan(None)
        (stream,) = asked.streams(plan)
    assert [call.headers["x-api-key"] for call in made.calls] == ["canary-header-7f3a"] * 2
    assert made.calls[0].query == {"key": "canary/param 91c2"}
    assert made.calls[0].path == "/canary-path-a1b2/items"
    pair = made.calls[0].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(pair) == b"me:canary:pass@word-55d0"
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert_no_secret(file.read_bytes().decode("latin-1"))
    for shown in (asked, stream, stored, plan, asked.identity(), caplog.text):
        assert_no_secret(repr(shown))
    assert "x-api-key" not in repr((asked, stream, plan, stored))
    assert len(caplog.records) > 0  # of httpcore, which tells no request's target or headers


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 302])
def test_secrets_are_in_no_error_even_where_the_server_repeats_them(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def rude(call: Call) -> Reply:
        data = echo(call).encode()
        return Reply(data=data, status=status, headers={"x-echo": call.headers["x-api-key"]})

    with api(rude) as made, pytest.raises(DataError) as caught:
        guarded_by_all(made, retries=1).sample()
    told = "".join(traceback.format_exception(caught.value))
    assert_no_secret(told)
    assert "source 'items', page 1: " in told
    if status in (401, 403):
        assert "'x-api-key' (${env:CANARY_HEADER})" in told
        assert "the parameter 'key' (${env:CANARY_PARAM})" in told
        assert "the user of url (${env:CANARY_PASSWORD}" in told


def test_no_part_of_a_secret_is_shown_where_what_is_said_is_cut() -> None:
    said = b"x" * 4000 + b" " + b"canary-header-7f3a" * 10
    request = resolved(source("https://a", headers={"x-api-key": "${env:CANARY_HEADER}"}))
    for end in range(4001, len(said)):
        assert "can" not in request.hide_cut(said[:end].decode())
    with (
        api(lambda _call: Reply(data=said, status=400)) as made,
        pytest.raises(DataError) as caught,
    ):
        guarded_by_all(made).sample()
    assert "400 Bad Request ('xxx" in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(data=b"no json"),
        Reply(status=0),
        Reply(data=b"<html>", headers={"content-type": "text/html"}),
        Reply({"a": 1}),
        Reply(status=302, headers={"location": "file:///canary-path-a1b2"}),
        Reply(status=302, headers={"location": "http://canary-header-7f3a.test.:1/"}),
    ],
)
def test_secrets_are_in_no_error_of_other_kinds(reply: Reply) -> None:
    with api(lambda _call: reply) as made, pytest.raises(DataError) as caught:
        guarded_by_all(made, retries=0).sample()
    assert_no_secret("".join(traceback.format_exception(caught.value)))


def test_a_secret_that_changes_is_looked_up_for_each_page(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first-key\n")

    def respond(call: Call) -> Reply:
        key.write_text("second-key\n")
        return Reply([{"id": 1}] if call.query["page"] == "1" else [])

    with api(respond) as made:
        headers = {"authorization": f"Bearer ${{file:{key}}}"}
        (stream,) = (asked := place(made.url, headers=headers, pages={"by": "number"})).streams(
            asked.plan(None)
        )
        assert sum(table.num_rows for table in stream.batches()) == 1
    sent = [call.headers["authorization"] for call in made.calls]
    assert sent == ["Bearer first-key", "Bearer second-key"]
