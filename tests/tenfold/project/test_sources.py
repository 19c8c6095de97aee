from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tenfold.errors import ProjectError
from tenfold.project import Project, load_project
from tenfold.project.sources import FileSource, HttpSource, SqlSource

HEAD = "name: p\nproblem: {task: binary, target: y}\ndata:\n"


def load(tmp_path: Path, data: str) -> Project:
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + data)
    return load_project(path)


def refusal(tmp_path: Path, data: str) -> list[str]:
    with pytest.raises(ProjectError) as caught:
        load(tmp_path, data)
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"path": "x/Big Table.csv"}, "Big Table"),
        ({"path": "logs/", "name": "logs"}, "logs"),
        ({"path": "https://host/data/sales.csv"}, "sales"),
        ({"path": "s3://b/sales.csv?endpoint_override=127.0.0.1:9"}, "sales"),
    ],
)
def test_a_file_is_named_after_itself(source: dict[str, Any], name: str) -> None:
    assert FileSource.model_validate(source).name == name


def test_other_places_are_named_after_what_they_read() -> None:
    sql = {"type": "sql", "url": "sqlite:///x.db"}
    assert SqlSource.model_validate({**sql, "table": "shop.orders"}).name == "orders"
    assert SqlSource.model_validate({**sql, "query": "select 1"}).name == "table"
    http = {"type": "http", "url": "https://api.example/v1/rates?x=1"}
    assert HttpSource.model_validate(http).name == "rates"


def test_every_type_loads_and_comes_back(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        """
  sources:
    - path: orders.csv
    - {type: sql, name: clients, url: "postgresql+psycopg://u:${env:PW}@db/shop", table: clients}
    - type: http
      url: https://api.example/v1/rates
      headers: {authorization: "Bearer ${env:TOKEN}"}
      pages: {by: cursor, cursor: next}
    - {type: delta, path: lake/events, version: 3}
    - {type: iceberg, table: shop.items, catalog: {type: sql, uri: "sqlite:///c.db"}}
  joins:
    - {source: clients, on: client_id}
    - {source: rates, on: {currency: code}, how: asof, time: {left: at, right: since}}
""",
    )
    assert [source.type for source in project.data.sources] == [
        "file", "sql", "http", "delta", "iceberg",
    ]  # fmt: skip
    assert project.data.joins[0].on == {"client_id": "client_id"}
    assert Project.from_dict(project.to_dict()).to_dict() == project.to_dict()


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (
            "{type: sqll, url: x}",
            "p.yaml:4: data.sources[0]: must have a type out of file, sql, http, delta, iceberg, "
            "not 'sqll'; did you mean 'sql'?",
        ),
        (
            "{type: sql, url: 'sqlite:///x', tabel: t}",
            "p.yaml:4: data.sources[0].tabel: must be a known key in 'data.sources[0]'; "
            "did you mean 'table'?",
        ),
        (
            "{type: sql, url: 'sqlite:///x'}",
            "p.yaml:4: data.sources[0]: must have either 'table' or 'query'; found a section",
        ),
        (
            "{type: sql, url: 'postgresql://u:hunter2@h/d', table: t}",
            "p.yaml:4: data.sources[0].url: must not hold a password, since the project file is "
            "stored with every model; write '${env:NAME}' or '${file:PATH}' in its place",
        ),
        (
            "{type: http, url: 'https://h/x', headers: {Authorization: Bearer hunter2}}",
            "p.yaml:4: data.sources[0].headers: must not hold the value of 'Authorization', since "
            "the project file is stored with every model; write '${env:NAME}' or '${file:PATH}' in "
            "its place",
        ),
        (
            "5",
            "p.yaml:4: data.sources[0]: must be a section of 'key: value' lines; found 5; "
            "indent its keys below it",
        ),
    ],
)
def test_a_wrong_source_is_told_by_its_line(tmp_path: Path, source: str, line: str) -> None:
    (told,) = refusal(tmp_path, f"  sources: [{source}]\n")
    assert "hunter2" not in told
    assert told.startswith(line.split("; found")[0])


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ("{type: http, url: 'https://h/x', params: {api_key: hunter2}}", "params"),
        ("{type: http, url: 'https://h/x', headers: {X-Auth-Token: hunter2}}", "headers"),
        ("{type: delta, path: s3://b/t, options: {aws_secret_access_key: hunter2}}", "options"),
        (
            "{type: iceberg, table: a.b, catalog: {uri: x, s3.secret-access-key: hunter2}}",
            "catalog",
        ),
        ("{type: http, url: 'https://${env:U}:hunter2@h/x'}", "url"),
    ],
)
def test_secrets_by_any_name_are_refused(tmp_path: Path, source: str, field: str) -> None:
    (told,) = refusal(tmp_path, f"  sources: [{source}]\n")
    assert f"data.sources[0].{field}: must not hold" in told
    assert "hunter2" not in told


def test_references_and_plain_values_are_taken(tmp_path: Path) -> None:
    source = "url: 'https://${env:U}:${env:P}@h/x', params: {page: '1', token: '${env:T}'}"
    project = load(tmp_path, f"  sources: [{{type: http, {source}}}]\n")
    assert project.data.sources[0].type == "http"


def test_joins_name_sources_once_and_leave_one(tmp_path: Path) -> None:
    two = "  sources: [{path: a.csv}, {path: b.csv}]\n"
    (told,) = refusal(tmp_path, two + "  joins: [{source: bb, on: id}]\n")
    assert told.endswith("must be the name of a source: a, b; found 'bb'; write 'b'")
    (told,) = refusal(tmp_path, two + "  joins: [{source: b, on: x}, {source: b, on: y}]\n")
    assert "must be joined once" in told
    told, *_ = refusal(tmp_path, two + "  joins: [{source: a, on: x}, {source: b, on: y}]\n")
    assert "must leave a source that the others are joined to" in told
    (told,) = refusal(tmp_path, two + "  joins: [{source: b, on: id, how: asof}]\n")
    assert "must name 'time' when, and only when, how is asof" in told


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@h/d",
        "postgresql://u:hun/ter@2@h/d",
        "postgresql://u:hunter2${env:PW}@h/d",
        "postgresql://h/d?sslmode=require&password=hunter2",
        "postgresql://h/d?PASSWORD=hunter2",
    ],
)
def test_a_database_s_password_is_seen_in_every_form(url: str) -> None:
    with pytest.raises(ValidationError, match="must not hold a password"):
        SqlSource.model_validate({"type": "sql", "url": url, "table": "t"})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:${env:PW}@h:5432/d",
        "postgresql://${env:U}:${file:/run/secrets/pw}@h/d?sslpassword=${env:PW}",
        "${env:DATABASE_URL}",
        "postgresql://u@h:5432/d?sslmode=require",
        "sqlite:////data/shop.db",
    ],
)
def test_references_and_urls_without_a_password_pass(url: str) -> None:
    assert SqlSource.model_validate({"type": "sql", "url": url, "table": "t"}).url == url


@pytest.mark.parametrize(
    "options",
    [
        {"AWS_SECRET_ACCESS_KEY": "abc"},
        {"s3.session-token": "abc"},
        {"account_key": "abc"},
        {"uri": "postgresql://me:abc@db/catalog"},
    ],
)
def test_options_of_a_lake_hold_no_secret_values(tmp_path: Path, options: dict[str, str]) -> None:
    for source in (
        f"{{type: delta, path: s3://b/t, options: {options}}}",
        f"{{type: iceberg, table: a.b, catalog: {options}}}",
    ):
        lines = refusal(tmp_path, f"  sources:\n    - {source}\n")
        assert "must not hold" in lines[0]
        assert "write '${env:NAME}'" in lines[0]
        assert "abc" not in lines[0]
    given = {key: value.replace("abc", "${env:X}") for key, value in options.items()}
    load(tmp_path, f"  sources:\n    - {{type: delta, path: s3://b/t, options: {given}}}\n")
