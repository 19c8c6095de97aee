"""A secret by value is refused wherever a source may hold one, and no message repeats it."""

from __future__ import annotations

import json
import string
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tenfold.errors import ProjectError
from tenfold.project import load_project
from tenfold.project.secrets import (
    find_secret,
    holds_secret,
    holds_value,
    is_guarded_name,
    is_secret_name,
    masked,
    shown_url,
    split_user,
    without_references,
)
from tenfold.project.sources import DeltaSource, FileSource, HttpSource, PluginSource, SqlSource
from tests.tenfold.project.test_sources import HEAD, refusal

CANARY = "CANARY7f3a"
CANARIES = st.text(string.ascii_letters + string.digits + "/@?:+-_.~", min_size=1, max_size=20).map(
    lambda text: "Q7" + text + "7Q"
)
"""No text of a message or of a project file begins and ends like these."""

HTTP, FILE = {"type": "http", "url": "https://h/x"}, {"path": "t.csv"}
DELTA = {"type": "delta", "path": "s3://b/t"}
ICEBERG: dict[str, Any] = {"type": "iceberg", "table": "a.b"}
REFUSED: list[dict[str, Any]] = [
    {**HTTP, "url": "https://a/b?api_key=%s"},
    {**HTTP, "url": "https://a/b?page=1&x-access-token=%s&z=2"},
    {**HTTP, "url": "https://a/b?apiKey=%s"},
    {**HTTP, "url": "https://a/b?api%%5Fkey=%s"},
    {**HTTP, "url": "https://a/b#access_token=%s"},
    {**HTTP, "url": "${env:BASE}/items?token=%s"},
    {**HTTP, "url": "https://a/b?token=${env:T}%s"},
    {**HTTP, "url": "https://a/b?next=https%%3A%%2F%%2Fh%%2F%%3Ftoken%%3D%s"},
    {**HTTP, "url": "https://a/b?next=https://u:%s@h/"},
    {**HTTP, "url": "https://u:%s@h/x"},
    {**HTTP, "url": "https://u:pa/%s@h/x"},
    {**HTTP, "url": "https://u:12/%s@h/x"},
    {**HTTP, "url": "https://u:p?%s@h/x"},
    {**HTTP, "url": "https://ann@example.org:12/%s@h/x"},
    {**HTTP, "url": "https://u:${env:P}/%s@h/x"},
    {**HTTP, "url": "HTTPS://%s@h/x"},
    {**HTTP, "url": "https://%s:@h/x"},
    {**HTTP, "url": "${env:SCHEME}://%s@h/x"},
    {**HTTP, "url": "https:/u:%s@h/x"},
    {**HTTP, "headers": {"authorization": "Bearer %s ${env:X}"}},
    {**HTTP, "headers": {"authorization": "${env:X}%s"}},
    {**HTTP, "headers": {"cookie": "session=%s; other=${env:X}"}},
    {**HTTP, "params": {"sig": "%s${file:/run/sig}"}},
    {**FILE, "path": "https://h/x.csv?token=%s"},
    {**FILE, "path": "https://%s@h/x.csv"},
    {**FILE, "path": "https://u:pa/%s@h/x.csv"},
    {**FILE, "path": "s3://b/t.csv?secret_key=%s"},
    {**FILE, "path": "s3://me:%s@b/t.csv"},
    {**FILE, "path": "s3://me:a/%s@b/t.csv"},
    {**FILE, "path": "az://b/t.csv?account=a&sas_token=%s"},
    {**DELTA, "path": "https://h/t?token=%s"},
    {**DELTA, "path": "https://h/t?sv=1&sig=%s"},
    {**DELTA, "options": {"connection": "AccountName=me;AccountKey=%s"}},
    {**ICEBERG, "catalog": {"uri": "https://h?token=%s"}},
    {**ICEBERG, "catalog": {"uri": "https://%s@h"}},
    {"type": "sql", "table": "t", "url": "postgresql://u:a/%s@h/d"},
    {"type": "sql", "table": "t", "url": "postgresql://u@x:%s@h/d"},
    {"type": "sql", "table": "t", "url": "postgresql://h/d?passwd=%s"},
    {"type": "sql", "table": "t", "url": "mssql+pyodbc:///?odbc_connect=UID%%3Du%%3BPWD%%3D%s"},
]
PLUGIN_REFUSED: list[Any] = [
    {"api_key": CANARY},
    {"auth": {"password": CANARY}},
    {"token": {"value": CANARY}},
    {"tokens": [CANARY]},
    {"servers": [{"name": "a"}, {"client_secret": [f"${{env:A}}{CANARY}"]}]},
    {"url": f"https://u:{CANARY}@h"},
    {"urls": [f"https://h?token={CANARY}"]},
    {"password": 78787878},
]


def filled(value: Any, secret: str) -> Any:
    """The source with the secret where ``%s`` stands."""
    if isinstance(value, dict):
        return {key: filled(inner, secret) for key, inner in value.items()}
    return value % secret if "%" in value else value


@pytest.mark.parametrize("source", REFUSED, ids=str)
def test_a_secret_by_value_is_refused_where_the_file_is_read(
    tmp_path: Path, source: dict[str, Any]
) -> None:
    told = refusal(tmp_path, f"  sources: {json.dumps([filled(source, CANARY)])}")
    assert "must not hold" in told[0]
    assert "stored with every model; write '${env:NAME}' or '${file:PATH}' in its place" in told[0]
    assert CANARY not in "".join(told)


def test_the_same_places_take_references() -> None:
    HttpSource.model_validate(
        {
            **HTTP,
            "url": "https://u:${env:P}@h/x?api_key=${env:K}#access_token=${file:/run/t}",
            "headers": {
                "authorization": "Bearer ${env:X}",
                "cookie": "${env:C}",
                "x-key": "${env:K}",
            },
            "params": {"sig": "${file:/run/sig}", "token": "${env:A}${env:B}"},
        }
    )
    FileSource.model_validate({"path": "az://b/t.csv?account=a&sas_token=${env:S}"})
    DeltaSource.model_validate({**DELTA, "path": "https://${env:T}@h/t?sv=1&sig=${env:S}"})
    odbc = "mssql+pyodbc:///?odbc_connect=UID%3Du%3BPWD%3D${env:P}"
    SqlSource.model_validate({"type": "sql", "table": "t", "url": odbc})


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(source={**HTTP, "url": "https://a/b?next=https://u:%s@h/"}, canary="Q7?7Q")
@given(source=st.sampled_from(REFUSED), canary=CANARIES)
def test_no_message_repeats_a_secret(tmp_path: Path, source: dict[str, Any], canary: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + f"  sources: {json.dumps([filled(source, canary)])}")
    try:
        load_project(path)
    except ProjectError as error:
        told = "".join(traceback.format_exception(error))
        assert canary not in told
        assert canary[:4] not in str(error)
    else:
        # a token with such a sign is read as the host, as in https://host/me@home
        assert any(sign in canary for sign in "/?")
        assert any(f"{mark}%s{end}@" in str(source) for mark in ("//", "=") for end in ("", ":"))


@settings(max_examples=300, deadline=None)
@example(password="Q7@x/7Q", user="u")
@given(password=CANARIES, user=st.sampled_from(["u", "me.you", "${env:U}"]))
def test_no_password_is_shown_whatever_its_signs(password: str, user: str) -> None:
    url = f"https://{user}:{password}@host/items?page=1"
    assert holds_secret(url)
    assert shown_url(url) == "https://host/items"
    assert split_user(url) == ("https://host/items?page=1", user, password)


@pytest.mark.parametrize("options", PLUGIN_REFUSED, ids=str)
def test_options_of_another_package_are_judged_at_every_depth(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="must not hold") as caught:
        PluginSource.model_validate({"type": "file", "options": options})
    (fault,) = caught.value.errors()
    assert CANARY not in fault["msg"]
    assert "78787878" not in fault["msg"]


def test_plain_options_of_another_package_and_references_pass() -> None:
    options = {
        "auth": {"password": "${env:P}", "header": "Bearer ${env:T}"},
        "tokens": ["${env:A}", "${file:/run/b}"],
        "max_tokens": 512,
        "tokenizer": "words",
        "use_token": True,
        "query": "SELECT * FROM t WHERE key=5; SELECT 1",
        "urls": ["https://h/x?page=1", "postgresql://reader@h/d"],
        "depth": {"n": 3, "names": [["a"], None]},
    }
    assert PluginSource.model_validate({"type": "file", "options": options}).options == options


@pytest.mark.parametrize(
    "url",
    [
        "https://api.test/me@home?email=me@home",
        "https://h:8080/items?page=1&sort=name",
        "https://[::1]:80/x",
        "https://[::1]/x@y",
        "https://${env:TOKEN}@h/x",
        "https://u:${env:A}${env:B}@h:80/x@y",
        "https://u:${file:/run/a?b@c#d}@h/x?token=${env:T}&sig=",
        "${env:BASE}/items?x=1",
        "${env:BASE}",
        "s3://AKIA0@b/t.csv",
        "s3://b/t.csv?access_key=AKIA0",
        "s3://AKIA0:${env:S}@b/a/@x/y:1@2.csv",
        "abfss://box@account.dfs.core.windows.net/t",
        "postgresql://reader@h:5432/d",
        "sqlite:////data/a:b@c.db",
        "data/key=5/token=1/*.csv",
        "https://h/key=5/x.csv",
    ],
)
def test_addresses_without_a_secret_pass(url: str) -> None:
    assert find_secret(url) == ""


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://a/b?api_key=x", "the value of 'api_key'"),
        ("https://u:x@h", "a password"),
        ("https://h:8080/x@y", "a password (an '@' that ends none is written '%40')"),
        ("https://x@h", "a token in the user's place"),
        ("https://h/x?access_key=x", "the value of 'access_key'"),
        ("https://h/x?pwd=x", "a password"),
    ],
)
def test_what_is_found_is_told_in_words(url: str, found: str) -> None:
    assert find_secret(url) == found


def test_a_value_that_is_wrong_in_another_way_is_not_repeated_either(tmp_path: Path) -> None:
    for field in (
        f"url: 'https://h/{CANARY}{'x' * 5000}'",
        f"url: 'https://h', params: token={CANARY}",
        f"url: 'https://h', headers: [{CANARY}]",
    ):
        told = refusal(tmp_path, f"  sources: [{{type: http, {field}}}]\n")
        assert CANARY not in "".join(told)


@pytest.mark.parametrize("name", ["Authorization", "sslpassword", "aws_secret_access_key", "auth"])
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)
    assert is_guarded_name(name)


def test_words_for_the_kind_and_references_are_no_value() -> None:
    for text in ("${env:X}", "Bearer ${env:X}", "basic ${file:/a b}", "${env:A}${env:B}", ""):
        assert not holds_value(text)
    for text in ("x", "Bearer x", "Bearer x${env:X}", "${env:X} x", "Bearer Bearer ${env:X}"):
        assert holds_value(text)
    assert without_references("a${env:X}b${file:/c}") == "ab"
    assert len(masked("a${env:X}b")) == len("a${env:X}b")
