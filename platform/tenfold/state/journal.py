"""The journal: what was decided, when and why, one row each, never changed."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select

from tenfold.canonical import canonical_json
from tenfold.state import tables

__all__ = ["Entry", "Journal"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal row: ``kind`` names the decision, ``body`` holds its evidence."""

    id: int
    project: str
    at: str
    kind: str
    body: dict[str, Any]


class Journal:
    """Append and read. Safe from several processes: the database orders the rows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(
        self,
        project: str,
        kind: str,
        body: dict[str, Any],
        *,
        within: Connection | None = None,
    ) -> int:
        """Write one row, durable when this returns.

        Args:
            project: whose.
            kind: names the decision.
            body: its evidence.
            within: the caller's transaction, which then makes it durable.

        Raises:
            ValueError: the body holds NaN or an infinity.
        """
        row = {
            "project": project,
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "kind": kind,
            "body": canonical_json(body).decode(),
        }
        with self._engine.begin() if within is None else nullcontext(within) as connection:
            result = connection.execute(insert(tables.journal).values(**row))
            key = result.inserted_primary_key
        return int(key[0]) if key else 0

    def tail(self, project: str, n_rows: int = 20, *, kind: str | None = None) -> list[Entry]:
        """The newest rows of a project, oldest of them first."""
        table = tables.journal
        query = select(table).where(table.c.project == project)
        if kind is not None:
            query = query.where(table.c.kind == kind)
        query = query.order_by(table.c.id.desc()).limit(n_rows)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            Entry(
                id=row.id, project=row.project, at=row.at, kind=row.kind, body=json.loads(row.body)
            )
            for row in reversed(rows)
        ]

    def count(self, project: str, kind: str) -> int:
        """How many rows of a kind a project has."""
        table = tables.journal
        query = select(func.count()).where(table.c.project == project, table.c.kind == kind)
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())
