"""A real PostgreSQL and real SQLite files, each test with a database of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from tenfold.data.sql import SqlPlace
from tenfold.project.sources import SqlSource
from tests.postgres import running_postgres

PASSWORD = "canary-p@ss/w:rd%41"
"""Of the role ``reader``; has every sign that means something in a URL."""
_NUMBERS = count()


@dataclass(frozen=True)
class Database:
    """A database and what a test does to it beside us."""

    url: str
    folder: Path

    @property
    def kind(self) -> str:
        return self.url.partition(":")[0].partition("+")[0]

    def run(self, *statements: str) -> None:
        """Run statements of the owner, each for good."""
        engine = sa.create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the owner sees."""
        engine = sa.create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

    def insert(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows."""
        engine = sa.create_engine(self.url, poolclass=NullPool)
        target = sa.table(table, *[sa.column(name) for name in rows[0]])
        with engine.begin() as connection:
            connection.execute(target.insert(), list(rows))

    def place(self, *, rows_per_stream: int = 250_000, **fields: Any) -> SqlPlace:
        """The place of a source with these fields; of the owner, unless a URL is given."""
        spec = SqlSource.model_validate({"type": "sql", "url": self.url, **fields})
        made = SqlPlace.of(spec, folder=self.folder)
        return SqlPlace(made.spec, made.folder, rows_per_stream)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """One server for the run, with a role ``reader`` that has a password."""
    with running_postgres(hba=["host all reader 127.0.0.1/32 scram-sha-256"]) as url:
        admin = Database(url.replace("postgresql:", "postgresql+psycopg:"), Path())
        doubled = PASSWORD.replace("%", "%%")
        admin.run(f"CREATE ROLE reader LOGIN PASSWORD '{doubled}'")
        yield admin.url


@pytest.fixture
def postgres(server_url: str, tmp_path: Path) -> Database:
    name = f"test_{next(_NUMBERS)}"
    Database(server_url, tmp_path).run(f"CREATE DATABASE {name}")
    return Database(f"{server_url.rpartition('/')[0]}/{name}", tmp_path)


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'shop.db'}", tmp_path)
    database.run("CREATE TABLE _made (x INTEGER)")
    return database


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """Either; tests write only what both understand."""
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def reader_url(postgres: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same database for the role ``reader``, whose password is a reference."""
    monkeypatch.setenv("TENFOLD_TEST_PASSWORD", PASSWORD)
    return postgres.url.replace("tenfold@", "reader:${env:TENFOLD_TEST_PASSWORD}@")
