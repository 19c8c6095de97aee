"""Nothing injects, nothing is written, no secret is left anywhere."""

from __future__ import annotations

import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tenfold.canonical import canonical_json
from tenfold.data.drivers import InProcess
from tenfold.data.pull import PullPlan, pull
from tenfold.data.sql.session import open_session
from tenfold.errors import DataError
from tenfold.progress import SILENT
from tests.tenfold.data.sql.conftest import PASSWORD, Database

NAMES = ["x; DROP TABLE y", 'y" --', "y'; DROP TABLE y; --", "(SELECT 1)", "y, y AS z", "main.y; x"]
COLUMNS = ['a" OR 1=1--', "a; DROP TABLE y", "1", "*", "a)", "count(*)", "(SELECT max(a) FROM y)"]


@pytest.fixture
def shop(database: Database) -> Database:
    """Table y with three rows, which every test here must leave as they are."""
    database.run("CREATE TABLE y (a INTEGER)", "INSERT INTO y VALUES (1), (2), (3)")
    return database


@pytest.fixture(autouse=True)
def _unchanged(request: pytest.FixtureRequest) -> Any:
    """Whatever was tried, the data is as it was."""
    names = [name for name in ("shop", "postgres", "sqlite") if name in request.fixturenames]
    shop: Database | None = request.getfixturevalue("shop") if "shop" in names else None
    yield
    if shop is not None:
        assert sorted(shop.rows("SELECT a FROM y")) == [(1,), (2,), (3,)]


def everything(place: Any) -> list[Any]:
    """What a place gives by each of its doors."""
    plan = place.plan(None)
    tables = [table for stream in place.streams(plan) for table in stream.batches()]
    return [place.sample(), *tables]


def test_a_table_is_looked_up_and_never_pasted(shop: Database) -> None:
    for name in NAMES:
        with pytest.raises(DataError, match="table must be one that the database has"):
            everything(shop.place(table=name))


@pytest.mark.parametrize("field", ["columns", "shard_by", "incremental"])
@pytest.mark.parametrize("origin", [{"table": "y"}, {"query": "SELECT a FROM y"}])
def test_a_column_is_looked_up_and_never_pasted(
    shop: Database, field: str, origin: dict[str, str]
) -> None:
    for name in COLUMNS:
        value: Any = {"columns": [name], "shard_by": name, "incremental": {"column": name}}[field]
        with pytest.raises(DataError, match=r"must name a column, and .* is none; (did you|there)"):
            everything(shop.place(**origin, **{field: value}))


def test_values_that_look_like_statements_are_values(shop: Database, tmp_path: Path) -> None:
    trap = "9'; DROP TABLE y; --%s :x \\"
    shop.run("CREATE TABLE traps (w VARCHAR(40), n INTEGER)")
    shop.insert("traps", [{"w": trap, "n": 1}])
    place = shop.place(table="traps", incremental={"column": "w"})
    for n_rows in (1, 2):
        stored = pull(place, tmp_path / "pull", driver=InProcess(), progress=SILENT)
        assert sum(shard.read().n_records for shard in stored.shards()) == n_rows
        shop.insert("traps", [{"w": trap, "n": 2}])


def test_what_is_no_single_select_is_not_even_sent(shop: Database) -> None:
    for query in (
        "SELECT 1; DELETE FROM y",
        "SELECT 1) AS q; COMMIT; DELETE FROM y; --",
        "DELETE FROM y RETURNING a",
        "UPDATE y SET a = 0",
    ):
        with pytest.raises(DataError, match="must be one"):
            shop.place(query=query)


def test_a_select_that_writes_fails(shop: Database) -> None:
    for query in (
        "WITH gone AS (DELETE FROM y RETURNING a) SELECT a FROM gone",
        "WITH more AS (INSERT INTO y VALUES (9) RETURNING a) SELECT a FROM more",
        "SELECT a INTO z FROM y",
        "SELECT a FROM y FOR UPDATE",
    ):
        with pytest.raises(DataError, match=r"must only read|must be one that the database knows"):
            everything(shop.place(query=query))


def test_a_session_cannot_write_whatever_is_sent(shop: Database) -> None:
    place = shop.place(table="y")
    for statement in ("DELETE FROM y", "INSERT INTO y VALUES (9)", "CREATE TABLE z (a INTEGER)"):
        with (
            pytest.raises(DataError, match="a source must only read, and the query wants to write"),
            open_session(place.spec, place.folder) as session,
        ):
            session.rows(sa.text(statement))


def test_functions_of_postgresql_cannot_write(postgres: Database) -> None:
    postgres.run(
        "CREATE SEQUENCE numbers",
        "CREATE TABLE y (a INTEGER)",
        "CREATE FUNCTION touch() RETURNS INTEGER LANGUAGE SQL AS "
        "'INSERT INTO y VALUES (1) RETURNING a'",
    )
    for query in (
        "SELECT touch()",
        "SELECT nextval('numbers')",
        "SELECT set_config('transaction_read_only', 'off', false), touch()",
    ):
        with pytest.raises(DataError):
            everything(postgres.place(query=query))
    with suppress(DataError):  # PostgreSQL 15 lets this one pass, 16 does not
        everything(postgres.place(query="SELECT lo_create(0)"))
    assert postgres.rows("SELECT a FROM y") == []
    assert postgres.rows("SELECT is_called FROM numbers") == [(False,)]
    assert postgres.rows("SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]


def test_statements_end_in_time(postgres: Database) -> None:
    place = postgres.place(query="SELECT pg_sleep(60)::text AS x", timeout=0.3)
    with pytest.raises(DataError) as caught:
        place.sample()
    assert str(caught.value) == (
        "source 'table': one statement may take 0.3 s, and took longer; raise 'timeout', index the "
        "columns of 'shard_by' and 'incremental', or make the query smaller"
    )
    slow = (
        "SELECT n, CASE WHEN n > 100 THEN pg_sleep(60)::text END AS x "
        "FROM generate_series(1, 200) AS s(n)"
    )
    with pytest.raises(DataError, match=r"may take 0\.3 s"):  # a later fetch of the cursor
        postgres.place(query=slow, timeout=0.3).sample()


def test_statements_of_sqlite_end_in_time(sqlite: Database) -> None:
    endless = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT {} FROM s"
    with pytest.raises(DataError, match=r"may take 0\.3 s"):
        sqlite.place(query=endless.format("max(n) AS n"), timeout=0.3).sample()
    late = endless.format("n") + " WHERE n < 2000 OR n < 0"
    place = sqlite.place(query=late, timeout=0.3)
    (stream,) = place.streams(PullPlan(({"window": None, "range": None},)))
    batches = stream.batches()
    assert next(batches).num_rows == 64
    with pytest.raises(DataError, match=r"may take 0\.3 s"):
        list(batches)


def test_a_password_is_nowhere(
    postgres: Database, reader_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    postgres.run(
        "CREATE TABLE orders (id INTEGER, at INTEGER)",
        "INSERT INTO orders SELECT n, n FROM generate_series(1, 50) AS s(n)",
        "GRANT SELECT ON orders TO reader",
        "CREATE TABLE closed (id INTEGER)",
    )
    place = postgres.place(
        url=reader_url,
        table="orders",
        shard_by="id",
        incremental={"column": "at"},
        rows_per_stream=10,
    )
    store = tmp_path / "store"
    stored = pull(place, store, driver=InProcess(), progress=SILENT)
    assert sum(shard.read().n_records for shard in stored.shards()) == 50
    plan = place.plan(None)
    streams = place.streams(plan)
    texts = [repr(place), repr(streams), str(plan), repr(stored), caplog.text]
    told = [pickle.dumps(streams), pickle.dumps(place), canonical_json(place.identity())]
    for fields in (
        {"table": "closed"},
        {"table": "absent"},
        {"table": "orders", "columns": ["x"]},
        {"query": "SELECT 1/0 AS x"},
        {"query": "SELECT nothing"},
    ):
        with pytest.raises(DataError) as caught:
            everything(postgres.place(url=reader_url, **fields))
        texts.append(str(caught.value))
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    everything_told = b"\n".join([*told, *[text.encode() for text in texts]])
    for file in store.rglob("*"):
        everything_told += file.read_bytes() if file.is_file() else b""
    assert b"TENFOLD_TEST_PASSWORD" in everything_told
    for form in (PASSWORD, PASSWORD.replace("%", "%25"), "canary"):
        assert form.encode() not in everything_told


def test_a_wrong_password_is_told_without_it(
    postgres: Database, reader_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENFOLD_TEST_PASSWORD", "wrong-canary")
    with pytest.raises(DataError) as caught:
        postgres.place(url=reader_url, table="orders").plan(None)
    told = str(caught.value)
    assert told.startswith(f"source 'orders': the login must be right, and {reader_url} says: ")
    assert told.endswith("; correct user or password")
    assert "wrong-canary" not in told
