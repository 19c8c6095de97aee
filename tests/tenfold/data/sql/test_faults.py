"""What goes wrong with a database is told as law, values and remedy."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenfold.errors import DataError, ProjectError
from tests.tenfold.data.sql.conftest import Database


def refusal(database: Database, **fields: object) -> str:
    with pytest.raises(DataError) as caught:
        database.place(**{"table": "orders", **fields}).plan(None)
    return str(caught.value)


@pytest.fixture
def shop(database: Database) -> Database:
    database.run("CREATE TABLE orders (id INTEGER, price REAL)", "INSERT INTO orders VALUES (1, 2)")
    return database


def test_names_that_are_none_come_with_those_that_are_close(shop: Database) -> None:
    assert refusal(shop, table="order") == (
        "source 'order': table must be one that the database has, and 'order' is none; did you "
        "mean 'orders'?"
    )
    assert refusal(shop, columns=["pirce", "id"]) == (
        "source 'orders': columns must name a column, and 'pirce' is none; did you mean 'price'?"
    )
    assert refusal(shop, shard_by="key") == (
        "source 'orders': shard_by must name a column, and 'key' is none; there are 'id', 'price'"
    )
    assert refusal(shop, incremental={"column": "at"}) == (
        "source 'orders': incremental.column must name a column, and 'at' is none; there are 'id', "
        "'price'"
    )
    assert "has no schema 'shop'; there are" in refusal(shop, table="shop.orders")


def test_a_key_must_be_whole(shop: Database) -> None:
    told = refusal(shop, shard_by="price")
    assert told.startswith("source 'orders': shard_by must be a column of whole numbers, and ")
    assert told.endswith("; choose another column or leave shard_by out")


def test_a_query_that_the_database_does_not_know(shop: Database) -> None:
    for query in ("SELECT nothing FROM orders", "SELECT FROM WHERE", "SELECT * FROM absent"):
        told = refusal(shop, table=None, query=query)
        assert told.startswith(
            "source 'table': the statement must be one that the database knows, and it says: "
        )
        assert "[SQL" not in told
        assert "sqlalche.me" not in told


def test_a_query_names_each_column_once(shop: Database) -> None:
    told = refusal(shop, table=None, query="SELECT a.id, b.id FROM orders a, orders b")
    assert told == (
        "source 'table': the query's columns must have different names, and 'id' comes twice; "
        "rename with AS"
    )


def test_a_value_that_breaks_the_query(postgres: Database) -> None:
    postgres.run("CREATE TABLE t (x INTEGER)", "INSERT INTO t VALUES (0)")
    with pytest.raises(DataError) as caught:
        postgres.place(query="SELECT 1 / x AS y FROM t").sample()
    assert str(caught.value) == (
        "source 'table': the query must hold for every row, and the database says: division by "
        "zero; guard or cast the value in the query"
    )


def test_a_login_must_be_allowed_to_read(postgres: Database, reader_url: str) -> None:
    postgres.run("CREATE TABLE closed (id INTEGER)")
    assert refusal(postgres, url=reader_url, table="closed") == (
        f"source 'closed': the login must be allowed to read, and {reader_url} says: permission "
        "denied for table closed; grant it SELECT"
    )


def test_databases_roles_and_hosts_that_are_not_there(postgres: Database) -> None:
    base = postgres.url.rpartition("/")[0]
    told = refusal(postgres, url=f"{base}/absent")
    assert f"the database must be there, and {base}/absent says: " in told
    nobody = postgres.url.replace("tenfold@", "nobody@")
    assert f"the login must be right, and {nobody} says: " in refusal(postgres, url=nobody)
    unknown = "postgresql://tenfold@host.invalid/shop"
    told = refusal(postgres, url=unknown)
    assert told.startswith(f"source 'orders': the host of {unknown} must be known, and it is not: ")
    assert told.endswith("; correct the name")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_server_that_refuses_or_never_answers(postgres: Database, silent_port: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = refusal(postgres, url=f"postgresql://tenfold@127.0.0.1:{port}/shop")
    assert f"postgresql://tenfold@127.0.0.1:{port}/shop must take connections, and says: " in told
    silent = f"postgresql://tenfold@127.0.0.1:{silent_port}/shop"
    assert refusal(postgres, url=silent, timeout=1) == (
        f"source 'orders': {silent} must answer a connection in time, and does not; correct host "
        "and port, or let it be reached from here"
    )


def test_a_connection_that_is_lost(postgres: Database) -> None:
    query = "SELECT n, repeat('x', 1000) AS w FROM generate_series(1, 100000) AS s(n)"
    place = postgres.place(query=query)
    (stream,) = place.streams(place.plan(None))
    batches = stream.batches()
    next(batches)
    postgres.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'tenfold' AND datname = current_database()"
    )
    with pytest.raises(DataError, match=r"must last, and was lost: .*; run the command again, it"):
        list(batches)


def test_files_that_are_no_database(sqlite: Database, tmp_path: Path) -> None:
    assert refusal(sqlite, url="sqlite:///absent.db") == (
        f"source 'orders': the SQLite file {tmp_path / 'absent.db'} must be there, and is not; "
        "correct 'url' (a relative path starts in the project file's folder)"
    )
    (tmp_path / "text.db").write_text("this is no database at all, " * 100)
    assert refusal(sqlite, url="sqlite:///text.db") == (
        "source 'orders': sqlite:///text.db must be a whole database file, and is not: file is not "
        "a database; repair it"
    )


def test_text_that_is_none(sqlite: Database) -> None:
    sqlite.run("CREATE TABLE t (w TEXT)", "INSERT INTO t VALUES (CAST(x'FF' AS TEXT))")
    with pytest.raises(DataError, match="text must be in the database's encoding, and it is not"):
        sqlite.place(table="t").sample()


def test_a_locked_file_is_waited_for_and_then_told(sqlite: Database) -> None:
    import sqlite3

    with sqlite3.connect(sqlite.folder / "shop.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        told = refusal(sqlite, table="_made", timeout=0.2)
        other.execute("ROLLBACK")
    other.close()
    assert told == (
        f"source '_made': {sqlite.url} must have room for us, and says: database is locked; try "
        "again when others are done"
    )


def test_drivers_that_are_not_installed_are_named(sqlite: Database) -> None:
    assert refusal(sqlite, url="mysql+pymysql://u@h/d") == (
        "source 'orders': mysql+pymysql needs the driver 'pymysql', which is not installed; "
        "install pymysql"
    )
    assert refusal(sqlite, url="nosuch://u@h/d") == (
        "source 'orders': 'nosuch' must be a kind of database that SQLAlchemy knows; correct "
        "'url', or install the package that brings it"
    )
    program = (
        "import sys; from pathlib import Path\n"
        "sys.modules['psycopg'] = None\n"
        "from tenfold.data.sql import SqlPlace\n"
        "from tenfold.project.sources import SqlSource\n"
        "spec = SqlSource(type='sql', url='postgresql://u@h/d', table='t')\n"
        "try: SqlPlace.of(spec, folder=Path()).plan(None)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "DataError source 't': postgresql+psycopg needs the driver 'psycopg', which is not "
        "installed; install tenfold[postgres]\n"
    )


def test_a_url_that_is_none(sqlite: Database) -> None:
    with pytest.raises(ProjectError, match="url must be one of SQLAlchemy's"):
        sqlite.place(url="shop.db", table="t").plan(None)
