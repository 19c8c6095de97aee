"""What single answers do: refusals, redirects, slowness, and what is no answer at all."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenfold.data.http import HttpPlace, Limits, World
from tenfold.data.http.exchange import is_same_place
from tenfold.errors import DataError
from tests.httpserver import Api, Call, Reply, api
from tests.tenfold.data.http.world import FakeClock, as_json, place, rows, source
from tests.tls import Authority


def always(reply: Reply) -> Callable[[Call], Reply]:
    return lambda _call: reply


def refused(reply: Reply, **fields: Any) -> tuple[str, int]:
    """What the error says of an API that always answers so, and how many calls it had."""
    with api(always(reply)) as made, pytest.raises(DataError) as caught:
        rows(place(f"{made.url}/items", **fields))
    return str(caught.value), len(made.calls)


def test_a_plain_list_is_read_and_asked_for_as_json() -> None:
    with api(always(Reply([{"id": 1}, {"id": 2}]))) as made:
        assert rows(place(f"{made.url}/items")) == [{"id": "1"}, {"id": "2"}]
    (call,) = made.calls
    assert call.path == "/items" and call.query == {}
    assert call.headers["accept"] == "application/json"
    assert call.headers["accept-encoding"] == "gzip"
    assert call.headers["user-agent"] == "tenfold"


def test_gzip_is_undone() -> None:
    data = gzip.compress(as_json([{"id": 1}]))
    with api(always(Reply(data=data, headers={"content-encoding": "gzip"}))) as made:
        assert rows(place(made.url)) == [{"id": "1"}]


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "400 Bad Request ({'error': 'no'}); correct params, pages, or incremental.parameter"),
        (401, "check the header 'authorization' (${env:API_TOKEN}) and the parameter 'key' "),
        (403, "check the header 'authorization' (${env:API_TOKEN}) and the parameter 'key' "),
        (404, "404 Not Found ({'error': 'no'}); correct url"),
        (406, "correct the accept header"),
        (410, "correct url"),
        (418, "see what the API's documentation says of it"),
        (477, "and was 477 ("),
    ],
)
def test_a_refusal_is_told_at_once_with_its_remedy(
    status: int, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "t-123456")
    fields: dict[str, Any] = {
        "headers": {"authorization": "Bearer ${env:API_TOKEN}", "x-tenant": "4"},
        "params": {"key": "${env:API_TOKEN}", "size": "9"},
    }
    text, n_calls = refused(Reply({"error": "no"}, status=status), **fields)
    assert n_calls == 1
    assert text.startswith(
        f"source 'items', page 1: the answer must be a success, and was {status}"
    )
    assert remedy in text.replace('\'{"error": "no"}\'', "{'error': 'no'}")


def test_the_exact_words_of_a_refusal_without_a_key() -> None:
    assert refused(Reply(data=b"", status=401))[0] == (
        "source 'items', page 1: the answer must be a success, and was 401 Unauthorized; "
        'give it a header, such as authorization: "Bearer ${env:API_TOKEN}"'
    )


def test_what_a_refusal_says_is_cut_and_cannot_write_to_a_terminal() -> None:
    text, _ = refused(Reply(data=b"\x1b[31mred\r\nnew line " + b"x" * 5000, status=400))
    assert "\x1b" not in text and "\n" not in text
    assert len(text) < 500


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_what_passes_by_itself_is_tried_again_and_ends_in_the_bound(status: int) -> None:
    text, n_calls = refused(Reply(status=status), retries=3)
    assert n_calls == 4
    assert f"in one of 4 tries, and did not: in the last one the status was {status}; " in text


def test_no_retries_means_one_try() -> None:
    assert refused(Reply(status=503), retries=0)[1] == 1


def test_retry_after_is_kept_to_up_to_two_minutes() -> None:
    waits = iter(["7", "100000", None])
    clock = FakeClock()

    def respond(_call: Call) -> Reply:
        wait = next(waits)
        return Reply([]) if wait is None else Reply(status=429, headers={"retry-after": wait})

    with api(respond) as made:
        rows(place(made.url, clock=clock, rate_per_s=1e9))
    assert clock.sleeps == [7.0, 120.0]


def test_the_rate_is_kept_by_retries_and_redirects_too() -> None:
    replies = iter([Reply(status=302, headers={"location": "/b"}), Reply([]), Reply([])])
    clock = FakeClock()
    with api(lambda _call: next(replies)) as made:
        rows(place(made.url, clock=clock, rate_per_s=2.0))
    assert clock.sleeps == [0.5]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(data=b"<html>", headers={"content-type": "text/html"}), "calls itself 'text/html'"),
        (Reply(data=b"[1", headers={"content-type": ""}), "calls itself ''"),
        (Reply(data=b'{"a":'), "calls itself JSON and is none"),
        (Reply(data=b"[" * 1_000_000), "must nest at most 64"),
        (Reply(data=b'{"a":' * 1_000_000), "must nest at most 64"),
        (Reply(data=b"xx", headers={"content-encoding": "gzip"}), "cannot be decoded"),
        (Reply(data=b"xx", headers={"content-encoding": "br"}), "comes as 'br'"),
        (Reply({"items": []}), "must be the list of records, and is an object"),
        (Reply([1]), "record 0 is a number"),
        (Reply(status=304), "was 304 Not Modified"),
    ],
)
def test_what_is_no_table_is_told_at_once(reply: Reply, told: str) -> None:
    text, n_calls = refused(reply)
    assert told in text
    assert text.startswith("source 'items', page 1: ")
    assert n_calls == 1


def test_no_content_is_no_record() -> None:
    with api(always(Reply(data=b"", status=204))) as made:
        assert rows(place(made.url, records="data.items")) == []


def test_an_empty_answer_is_no_empty_page_and_is_asked_for_again() -> None:
    replies = iter([Reply([{"id": 1}]), Reply(data=b""), Reply([{"id": 2}]), Reply([])])
    with api(lambda _call: next(replies)) as made:
        assert rows(place(made.url, pages={"by": "number"})) == [{"id": "1"}, {"id": "2"}]
    assert [call.query["page"] for call in made.calls] == ["1", "2", "2", "3"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(data=b""),
        Reply(data=b" \n"),
        Reply(data=b"", status=202),
        Reply(data=gzip.compress(b""), headers={"content-encoding": "gzip"}),
    ],
)
def test_answers_that_stay_empty_end_in_an_error(reply: Reply) -> None:
    text, n_calls = refused(reply, retries=2)
    assert n_calls == 3
    assert f"in the last one the status was {reply.status} and the answer had no body; " in text


def test_a_bomb_is_refused_by_what_it_becomes() -> None:
    bomb = gzip.compress(b'["' + b" " * 70_000_000 + b'"]')
    text, n_calls = refused(Reply(data=bomb, headers={"content-encoding": "gzip"}))
    assert "at most 67,108,864 bytes once decoded" in text
    assert n_calls == 1


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    whole = as_json([{"id": 1}])
    replies = iter(
        [
            Reply(chunks=[whole[:5]], headers={"content-length": str(len(whole))}),
            Reply(status=0),
            Reply(chunks=[b"zz"], headers={"content-length": "", "transfer-encoding": "chunked"}),
            Reply(data=whole),
        ]
    )
    with api(lambda _call: next(replies)) as made:
        assert rows(place(made.url)) == [{"id": "1"}]
    assert len(made.calls) == 4


def end_of(respond: Callable[[Api, Call], Reply], **fields: Any) -> tuple[str, int]:
    """As `refused`, of a server that may hold on to its answers."""
    holder: list[Api] = []
    with api(lambda call: respond(holder[0], call)) as made:
        holder.append(made)
        with pytest.raises(DataError) as caught:
            rows(place(made.url, timeout=0.2, retries=1, **fields))
    return str(caught.value), len(made.calls)


def test_an_api_that_never_answers_ends_with_a_clear_error() -> None:
    text, n_calls = end_of(lambda made, _call: Reply(chunks=made.hang()))
    assert n_calls == 2
    assert text.startswith("source 'items', page 1: http://127.0.0.1:")
    assert "in one of 2 tries, and did not: in the last one no whole answer within 0.2 s" in text


def test_a_body_that_drips_ends_in_time() -> None:
    def respond(made: Api, _call: Call) -> Reply:
        return Reply(chunks=made.drip(b" ", every_s=0.02), headers={"content-length": "9999"})

    assert "no whole answer within 0.2 s" in end_of(respond)[0]


def test_headers_that_drip_end_in_time() -> None:
    def respond(made: Api, _call: Call) -> Reply:
        return Reply(status=-1, chunks=made.drip(b"x", every_s=0.02))

    assert "no whole answer within 0.2 s" in end_of(respond)[0]


def test_a_place_where_nobody_listens() -> None:
    with api(always(Reply([]))) as made:
        pass
    with pytest.raises(DataError, match=r"the connection failed \(.*refused"):
        rows(place(made.url, retries=1))


def test_redirects_are_followed_with_the_secrets_on_the_same_host_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_TOKEN", "t-123456")
    headers = {"authorization": "Bearer ${env:API_TOKEN}", "x-tenant": "4"}
    with api(always(Reply([{"id": 1}]))) as other:

        def respond(call: Call) -> Reply:
            target = "/b" if call.path == "/a" else f"{other.url}/c"
            return Reply(status=307, headers={"location": target})

        with api(respond) as made:
            assert rows(place(f"{made.url}/a", headers=headers)) == [{"id": "1"}]
    assert [call.headers.get("authorization") for call in made.calls] == ["Bearer t-123456"] * 2
    (last,) = other.calls
    assert last.path == "/c"
    assert "authorization" not in last.headers
    assert last.headers["x-tenant"] == "4"


def test_a_refusal_after_a_redirect_says_that_secrets_stayed_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_TOKEN", "t-123456")
    with api(always(Reply(status=401))) as other:
        reply = Reply(status=302, headers={"location": other.url})
        text, _ = refused(reply, headers={"authorization": "${env:API_TOKEN}"})
    assert "a redirect to another host left the secret headers behind" in text


@pytest.mark.parametrize("location", ["/items", "/x{n}"])
def test_redirects_end(location: str) -> None:
    made_up = iter(range(99))

    def respond(_call: Call) -> Reply:
        return Reply(status=301, headers={"location": location.format(n=next(made_up))})

    with api(respond) as made, pytest.raises(DataError, match="at most 5 redirects"):
        rows(place(f"{made.url}/items"))
    assert len(made.calls) <= 6


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("file:///etc/passwd", "must begin with https:// or http://, not 'file:'"),
        ("gopher://127.0.0.1:70/1", "must begin with https:// or http://"),
        ("http://[::1", "a redirect must lead to an address"),
        ("", "was 302 Found"),
    ],
)
def test_redirects_lead_to_http_alone(location: str, told: str) -> None:
    text, n_calls = refused(Reply(status=302, headers={"location": location}))
    assert told in text
    assert text.startswith("source 'items', page 1: ")
    assert n_calls == 1


def test_private_addresses_are_refused_unless_the_source_allows_them() -> None:
    with (
        api(always(Reply([]))) as made,
        pytest.raises(DataError, match=r"^source 'items', page 1: sources read public addresses"),
    ):
        rows(place(made.url, allow_private=False))
    assert made.calls == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://a/x", "items", "http:///items"])
def test_addresses_that_are_not_http_are_refused_by_the_plan(url: str) -> None:
    for act in (lambda made: made.plan(None), lambda made: made.sample()):
        with pytest.raises(DataError, match=r"^source 'items': an address must"):
            act(place(url))


def test_certificates_are_checked_and_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    world = World(clock=FakeClock(), resolve=resolve)
    downgrade = threading.Event()

    def respond(_call: Call) -> Reply:
        if downgrade.is_set():
            return Reply(status=302, headers={"location": "http://api.test/items"})
        return Reply([{"id": 1}])

    with api(respond, context=authority.server("api.test")) as made:
        port = httpx.URL(made.url).port
        assert rows(HttpPlace(source(f"https://api.test:{port}/"), world)) == [{"id": "1"}]
        with pytest.raises(DataError, match="certificate must be valid for its name") as caught:
            rows(HttpPlace(source(f"https://other.test:{port}/"), world))
        assert "Hostname mismatch" in str(caught.value)
        downgrade.set()
        with pytest.raises(DataError, match="must not lead from https to http"):
            rows(HttpPlace(source(f"https://api.test:{port}/"), world))
    assert len(made.calls) == 2


def test_limits_are_those_of_the_world() -> None:
    limits = Limits(page_bytes=10, depth=2, columns=1)
    with (
        api(always(Reply([{"abcdef": 1}]))) as made,
        pytest.raises(DataError, match="at most 10 bytes"),
    ):
        rows(HttpPlace(source(made.url), World(clock=FakeClock(), limits=limits)))


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("https://a/x", "https://a:443/y", True),
        ("http://a", "http://a:80", True),
        ("http://a", "https://a", True),
        ("https://a", "http://a", False),
        ("http://a:8080", "https://a", False),
        ("https://a", "https://b.a", False),
        ("https://A.test", "https://a.test", True),
    ],
)
def test_places_that_share_secrets(one: str, other: str, wanted: bool) -> None:
    assert is_same_place(httpx.URL(one), httpx.URL(other)) is wanted
