"""Opening the state database: SQLite by default, PostgreSQL by URL, one set of statements."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, delete, event, insert, select, update
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable

from tenfold.errors import StoreError, UserError
from tenfold.settings import Settings
from tenfold.state import tables
from tenfold.state.journal import Journal

__all__ = ["State", "now_text", "open_state"]

_BUSY_TIMEOUT_S = 30
"""How long a SQLite writer waits for another one; commits here take milliseconds."""


_CREATE_ATTEMPTS = 5


def now_text() -> str:
    """Now, UTC, ISO 8601 with microseconds and fixed width, so that texts sort as times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class State:
    """A connected state database. Threads may share one; processes open their own.

    Attributes:
        engine: the SQLAlchemy engine.
        journal: append-only record of what was decided and why.

    Whatever is done through the engine raises StoreError where the database or its disk refuses.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.journal = Journal(engine)

    def put_checkpoint(self, key: str, body: bytes) -> None:
        """Replace the checkpoint of that name, durable when this returns.

        Args:
            key: at most 200 characters.
            body: any bytes; the monitor keeps its own under 200 kB.
        """
        table = tables.checkpoints
        values = {"body": body, "at": now_text()}
        with self.engine.begin() as connection:
            done = connection.execute(update(table).where(table.c.key == key).values(**values))
            if done.rowcount:
                return
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(table).values(key=key, **values))
        except IntegrityError:  # somebody inserted it in between: theirs is replaced by ours
            with self.engine.begin() as connection:
                connection.execute(update(table).where(table.c.key == key).values(**values))

    def get_checkpoint(self, key: str) -> bytes | None:
        """The checkpoint of that name, or None."""
        table = tables.checkpoints
        with self.engine.connect() as connection:
            body = connection.execute(select(table.c.body).where(table.c.key == key)).scalar()
        return None if body is None else bytes(body)

    def drop_checkpoint(self, key: str) -> None:
        """Forget the checkpoint of that name; no error if there is none."""
        table = tables.checkpoints
        with self.engine.begin() as connection:
            connection.execute(delete(table).where(table.c.key == key))

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


def open_state(settings: Settings) -> State:
    """Open the state database and create what is missing in it.

    Raises:
        UserError: the URL is no database URL, or its driver is not installed.
        StoreError: the database does not answer, or its file cannot be written.
    """
    try:
        url = make_url(settings.state_url)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        sqlite = url.get_backend_name() == "sqlite"
        if sqlite and url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        # NullPool: a connection is opened where it is used, so forks and threads share nothing. A
        # running endpoint opens two or three a second for each project, 1 ms each on SQLite.
        engine = create_engine(url, poolclass=NullPool)
    except ModuleNotFoundError as error:
        raise UserError(
            f"TENFOLD_STATE needs a database driver that is not installed ({error.name}); "
            "for PostgreSQL install tenfold[postgres]"
        ) from error
    except ArgumentError as error:
        raise UserError(
            f"TENFOLD_STATE must be a database URL like postgresql://…: {error}"
        ) from error
    except OSError as error:
        raise StoreError(f"the state database's folder cannot be made: {error}") from error
    if sqlite:
        event.listen(engine, "connect", _make_sqlite_durable)
    _create_tables(engine)
    event.listen(engine, "handle_error", _raise_store_error)
    return State(engine)


def _create_tables(engine: Engine) -> None:
    """Create what is missing; another process may be doing the same, so a lost race is retried."""
    for attempt in range(_CREATE_ATTEMPTS):
        try:
            with engine.begin() as connection:
                for table in tables.metadata.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))
                    for index in table.indexes:
                        connection.execute(CreateIndex(index, if_not_exists=True))
            return
        except SQLAlchemyError as error:
            if attempt == _CREATE_ATTEMPTS - 1:
                raise _store_error(engine, error) from error


_OURS = (IntegrityError, ProgrammingError, DataError)
"""Faults of a statement, not of the database: the first decides races, the others are mistakes."""


def _raise_store_error(context: ExceptionContext) -> None:
    """Say what the machine refused, for every statement, commit and connection of the engine.

    The one place where a database's faults become ours: registry, journal, checkpoints and whoever
    else uses the engine need no handling of their own.

    Raises:
        StoreError: the disk is full or read-only, the file is damaged, the server is away.
    """
    fault = context.sqlalchemy_exception
    if not isinstance(fault, DBAPIError) or isinstance(fault, _OURS) or context.engine is None:
        return
    raise _store_error(context.engine, fault) from fault


def _store_error(engine: Engine, error: SQLAlchemyError) -> StoreError:
    shown = engine.url.render_as_string(hide_password=True)
    words = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    remedy = "free space on its disk" if "full" in words else "let it be reached and written to"
    return StoreError(
        f"the state database {shown} must take what is decided, and says: {words}; {remedy} "
        "or point TENFOLD_STATE at another one, then run the command again"
    )


def _make_sqlite_durable(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_S * 1000}")
    cursor.close()
