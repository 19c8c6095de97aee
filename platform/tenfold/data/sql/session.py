"""One read-only transaction of a database, each of its statements bounded in time.

===========  ==================================================================================
PostgreSQL   ``READ ONLY``, ``REPEATABLE READ`` (one state for all statements of a connection),
             ``statement_timeout`` for every statement and every fetch, a server-side cursor
SQLite       the file opened with ``mode=ro``, ``query_only``, views not trusted with unsafe
             functions, a progress handler that ends a statement or a fetch in time
MySQL,       ``READ ONLY`` transactions and the server's own limit for the time of a SELECT
MariaDB
Oracle       ``SET TRANSACTION READ ONLY``; no limit of time
all others   a transaction that is rolled back at its end; give them a login that can only read
===========  ==================================================================================

Only the first two are run by the tests. Every transaction is rolled back at its end, whatever it
did. None stops a function that acts outside of it (one that ends another's session, say): a login
that can only read does.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from tenfold.data.source import BLOCK_BYTES
from tenfold.data.sql.address import Address, find_address, shown
from tenfold.data.sql.faults import explain
from tenfold.errors import DataError
from tenfold.project.sources import SqlSource

__all__ = ["Session", "open_session"]

_CONNECT_S = 15.0
"""Longest wait for a connection: the other end is a data center, not a disk."""
_STEPS = 10_000
"""SQLite's instructions between two looks at the clock: about a tenth of a millisecond."""
_FIRST_ROWS = 64
_MOST_ROWS = 20_000
"""Rows of one fetch: few at first, since a row may be a megabyte; then by what they weigh."""


class Session:
    """An open transaction; of one thread."""

    def __init__(self, connection: sa.Connection, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    @property
    def dialect(self) -> str:
        """SQLAlchemy's name of the database's kind."""
        return self._connection.dialect.name

    def inspector(self) -> sa.Inspector:
        """What tables there are."""
        self._deadline.start()
        return sa.inspect(self._connection)

    def rows(self, statement: sa.Executable) -> list[tuple[Any, ...]]:
        """All rows of a statement that gives few."""
        self._deadline.start()
        return [tuple(row) for row in self._connection.execute(statement)]

    def columns(self, statement: sa.Executable) -> list[tuple[str, Any]]:
        """Name and the driver's type code of every column that a statement gives."""
        self._deadline.start()
        result = self._connection.execute(statement)
        cursor = result.cursor
        described = [] if cursor is None else list(cursor.description or ())
        result.close()
        return [(str(column[0]), column[1]) for column in described]

    def tables(
        self, statement: sa.Executable, make: Callable[[Sequence[Sequence[Any]]], pa.Table]
    ) -> Iterator[pa.Table]:
        """The rows of a statement that may give millions, by a server-side cursor if there is one.

        Args:
            statement: a SELECT.
            make: rows to a table.
        """
        self._deadline.start()
        result = self._connection.execute(statement, execution_options={"stream_results": True})
        n_rows = _FIRST_ROWS
        try:
            while rows := result.fetchmany(n_rows):
                table = make(rows)
                yield table
                wanted = 2 * BLOCK_BYTES * len(rows) // max(1, table.nbytes)
                n_rows = max(1, min(wanted, 4 * n_rows, _MOST_ROWS))
                self._deadline.start()
        finally:
            result.close()


class _Deadline:
    """When the running statement of SQLite ends; other databases keep the time themselves."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self.start()

    def start(self) -> None:
        """A statement or a fetch begins."""
        self._at = time.monotonic() + self._timeout_s

    def over(self) -> int:
        """What SQLite asks: 1 ends the statement."""
        return int(time.monotonic() > self._at)


@contextmanager
def open_session(spec: SqlSource, folder: Path) -> Iterator[Session]:
    """Connect, read only; whatever the database refuses within is told as DataError.

    Raises:
        DataError: the database cannot be reached or refuses; a driver is not installed.
        ProjectError: the URL is none, or a secret it refers to is not there.
    """
    address = find_address(spec.url, folder=folder)
    deadline = _Deadline(spec.timeout)
    engine = _engine(address, spec, deadline)
    try:
        with engine.connect() as connection:
            _make_read_only(connection, spec.timeout)
            yield Session(connection, deadline)
    except SQLAlchemyError as error:
        url = shown(spec.url)
        raise explain(
            error, name=spec.name, url=url, timeout_s=spec.timeout, scrub=address.scrub
        ) from None
    finally:
        engine.dispose()


def _engine(address: Address, spec: SqlSource, deadline: _Deadline) -> sa.Engine:
    url = address.url
    options: dict[str, Any] = {"poolclass": NullPool, "hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        if not path.is_file():
            raise DataError(
                f"source {spec.name!r}: the SQLite file {path} must be there, and is not; correct "
                "'url' (a relative path starts in the project file's folder)"
            )
        return sa.create_engine(
            "sqlite+pysqlite://",
            creator=lambda: _open_sqlite(path, spec.timeout, deadline),
            **options,
        )
    try:
        if url.get_driver_name() in ("psycopg", "psycopg2"):
            options["connect_args"] = _libpq(spec.timeout, given=set(url.query))
        return sa.create_engine(url, **options)
    except ModuleNotFoundError as error:
        extra = "tenfold[postgres]" if url.get_backend_name() == "postgresql" else error.name
        raise DataError(
            f"source {spec.name!r}: {url.drivername} needs the driver {error.name!r}, which is not "
            f"installed; install {extra}"
        ) from None
    except NoSuchModuleError:
        raise DataError(
            f"source {spec.name!r}: {url.drivername!r} must be a kind of database that SQLAlchemy "
            "knows; correct 'url', or install the package that brings it"
        ) from None


def _open_sqlite(path: Path, timeout_s: float, deadline: _Deadline) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.set_progress_handler(deadline.over, _STEPS)
    return connection


def _libpq(timeout_s: float, *, given: set[str]) -> dict[str, Any]:
    """What libpq is told, unless the URL says otherwise: a dead peer must not hold us for ever."""
    wanted = {
        "connect_timeout": max(2, round(min(timeout_s, _CONNECT_S))),  # libpq's least is 2
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,  # ms
        "client_encoding": "utf8",
        "application_name": "tenfold",
    }
    return {key: value for key, value in wanted.items() if key not in given}


def _make_read_only(connection: sa.Connection, timeout_s: float) -> None:
    name = connection.dialect.name
    if name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        settings = {
            "statement_timeout": str(max(1, round(timeout_s * 1000))),  # ms
            "datestyle": "ISO, YMD",
            "timezone": "UTC",
        }
        put = [sa.func.set_config(key, value, True) for key, value in settings.items()]  # noqa: FBT003
        connection.execute(sa.select(*put))
    elif name == "sqlite":
        connection.exec_driver_sql("BEGIN")  # one state for all statements
    elif name in ("mysql", "mariadb"):
        maria = name == "mariadb" or getattr(connection.dialect, "is_mariadb", False)
        limit = f"max_statement_time = {timeout_s:.3f}"
        if not maria:
            limit = f"max_execution_time = {max(1, round(timeout_s * 1000))}"
        connection.exec_driver_sql(f"SET SESSION {limit}")
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.rollback()  # the next transaction is the first of that kind
    elif name == "oracle":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
