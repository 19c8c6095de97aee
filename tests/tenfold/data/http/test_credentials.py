from __future__ import annotations

import base64
import traceback
from pathlib import Path

import pytest

from tenfold.data.http.credentials import is_secret_header, resolved, shown_url
from tenfold.errors import DataError, ProjectError
from tests.tenfold.data.http.world import source

ENV = {"TOKEN": "s3cret-token", "P": "p@ss/w:rd%41", "BASE": "https://me:hush-hush@api.test/v1"}


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_references_become_values_in_headers_params_and_addresses(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k-123456\n")
    spec = source(
        "https://api.test/${env:TOKEN}/items",
        params={"key": f"${{file:{tmp_path / 'key'}}}", "size": "5"},
        headers={"Authorization": "Bearer ${env:TOKEN}", "X-Tenant": "42"},
    )
    made = resolved(spec, ENV)
    assert str(made.url) == "https://api.test/s3cret-token/items"
    assert made.params == {"key": "k-123456", "size": "5"}
    assert made.headers["authorization"] == "Bearer s3cret-token"
    assert made.headers["x-tenant"] == "42"
    assert made.secret_headers == {"authorization"}


def test_own_headers_take_the_place_of_ours() -> None:
    made = resolved(source("https://a", headers={"Accept": "application/vnd.x+json"}), {})
    assert made.headers["accept"] == "application/vnd.x+json"
    assert sorted(made.headers) == ["accept", "accept-encoding", "user-agent"]


@pytest.mark.parametrize(
    ("url", "user"),
    [
        ("https://me:${env:P}@api.test/v1", "me:p@ss/w:rd%41"),
        ("https://m%65:${env:P}@api.test/v1", "me:p@ss/w:rd%41"),
        ("${env:BASE}", "me:hush-hush"),
    ],
)
def test_a_user_in_the_address_becomes_a_header(url: str, user: str) -> None:
    made = resolved(source(url), ENV)
    assert str(made.url) == "https://api.test/v1"
    assert made.headers["authorization"] == basic(user)
    assert "authorization" in made.secret_headers
    assert made.hide(f"you sent {basic(user)}") == "you sent Basic (header authorization)"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.test/items?key=abc#x", "https://api.test/items"),
        ("https://me:${env:P}@api.test/${env:T}?a=${env:X}", "https://api.test/${env:T}"),
        ("https://${file:/run/a?b@c#d}@api.test/x", "https://api.test/x"),
        ("https://api.test/${file:/run/a?b@c#d}/x", "https://api.test/${file:/run/a?b@c#d}/x"),
        ("https://api.test/me@home", "https://api.test/me@home"),
        ("${env:BASE}/items?x=1", "${env:BASE}/items"),
        ("https://u:pa/ss@api.test/x", "https://api.test/x"),
        ("https://u:p?ss@api.test/x", "https://api.test/x"),
        ("https://u:12/ss@api.test/x", "https://api.test/x"),
        ("https:/u:pass@api.test/x", "https:/api.test/x"),
    ],
)
def test_the_address_that_people_see(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_values_are_hidden_in_every_spelling_and_never_printed() -> None:
    spec = source(
        "https://me:${env:P}@api.test/",
        params={"key": "${env:TOKEN}"},
        headers={"x-api-key": "Key ${env:TOKEN}", "x-session": "plain-text"},
    )
    made = resolved(spec, ENV)
    text = "p@ss/w:rd%41 p%40ss%2Fw%3Ard%2541 s3cret-token Key s3cret-token plain-text"
    hidden = made.hide(text)
    for value in ("p@ss", "p%40ss", "s3cret", "plain-text"):
        assert value not in hidden
        assert value not in repr(made)
    assert made.hide("nothing to hide") == "nothing to hide"


def test_short_values_are_not_hidden() -> None:
    spec = source("https://a", params={"n": "${env:N}"})
    assert resolved(spec, {"N": "1"}).hide("page 1") == "page 1"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("Authorization", "x", True),
        ("X-Auth-Token", "x", True),
        ("x-api-key", "x", True),
        ("Cookie", "x", True),
        ("accept", "${env:A}", True),
        ("accept", "application/json", False),
        ("x-tenant", "42", False),
    ],
)
def test_headers_for_the_own_host_alone(name: str, value: str, wanted: bool) -> None:
    assert is_secret_header(name, value) is wanted


@pytest.mark.parametrize("value", ["two\nlines-abc", "abc-é", " blank-abc", "abc-\x00"])
def test_a_header_that_cannot_be_is_refused_without_its_value(value: str) -> None:
    spec = source("https://a", headers={"authorization": "${env:TOKEN}"})
    with pytest.raises(DataError, match="'authorization' must be one line") as caught:
        resolved(spec, {"TOKEN": value})
    told = "".join(traceback.format_exception(caught.value))
    assert "abc" not in told


def test_a_name_that_no_header_can_have_is_refused() -> None:
    with pytest.raises(DataError, match="the header 'x y' must be"):
        resolved(source("https://a", headers={"x y": "1"}), {})


@pytest.mark.parametrize("url", ["https://0177.0.0.1/", "https://a:x/", "https://[::1/x"])
def test_an_address_that_cannot_be_read_is_told(url: str) -> None:
    with pytest.raises(DataError, match="must be an address such as"):
        resolved(source(url), {})


def test_a_reference_that_leads_nowhere_is_told_by_its_name() -> None:
    with pytest.raises(ProjectError, match="NOWHERE is not set"):
        resolved(source("https://a", headers={"authorization": "${env:NOWHERE}"}), {})
