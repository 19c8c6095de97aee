"""A table or a SELECT of a database as a place to pull from.

What is promised: each stream reads one state of the database (PostgreSQL, SQLite, Oracle, MySQL).
The streams of one plan run in several processes, each with its own state, perhaps hours apart when
a killed pull goes on; no database lends one state that long. So a row that is there when the plan
is made and is left alone is pulled exactly once; one that is changed meanwhile may be pulled before
or after the change, or, if its key moves to another range, twice or not at all; and one that comes
meanwhile is left to the next pull if its watermark or key is larger than any in the plan.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from tenfold.canonical import sha256_hex
from tenfold.data.align import Alignment, align
from tenfold.data.pull import PullPlan
from tenfold.data.source import BLOCK_BYTES
from tenfold.data.sql.ranges import KeyRange, find_ranges
from tenfold.data.sql.relation import Relation, find_relation
from tenfold.data.sql.session import Session, open_session
from tenfold.data.sql.size import estimate_bytes
from tenfold.data.sql.statement import one_select
from tenfold.data.sql.values import to_table
from tenfold.data.sql.window import Window, find_window
from tenfold.data.watermark import Mark
from tenfold.errors import DataError
from tenfold.project.sources import SqlSource

__all__ = ["SqlPlace", "SqlStream"]

ROWS_PER_STREAM = 250_000
"""Rows of one range: seconds of work, so little is lost with a worker."""
_SAMPLE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class SqlStream:
    """One range of a key, or all rows; holds references to secrets, never their values.

    Attributes:
        spec: the source as the project file says.
        folder: where a relative SQLite path starts.
        part: which rows, as the plan says.
    """

    spec: SqlSource
    folder: Path
    part: dict[str, Any]

    def batches(self) -> Iterator[pa.Table]:
        """See `Stream`."""
        with open_session(self.spec, self.folder) as session:
            relation = find_relation(session, self.spec)
            window = self.part["window"]
            where = [] if window is None else [Window.from_json(window).condition(relation)]
            if self.part["range"] is not None:
                where.append(KeyRange(**self.part["range"]).condition(relation))
            yield from _read(session, relation, self.spec, where)


@dataclass(frozen=True, slots=True)
class SqlPlace:
    """See `Pullable`.

    Attributes:
        spec: the source as the project file says.
        folder: where a relative SQLite path starts.
        rows_per_stream: rows that a range of ``shard_by`` aims at.
    """

    spec: SqlSource
    folder: Path
    rows_per_stream: int = ROWS_PER_STREAM

    @classmethod
    def of(cls, spec: SqlSource, *, folder: Path) -> SqlPlace:
        """The place; nothing is connected yet.

        Raises:
            DataError: the query is not one SELECT, or the watermark is not among the columns.
        """
        if spec.query is not None:
            one_select(spec.query, name=spec.name)
        column = None if spec.incremental is None else spec.incremental.column
        if column is not None and spec.columns and column not in spec.columns:
            raise DataError(
                f"source {spec.name!r}: an incremental pull must read its watermark, and "
                f"{column!r} is not among 'columns'; add it there"
            )
        return cls(spec, folder.absolute())  # workers start elsewhere

    @property
    def name(self) -> str:
        """See `Pullable`."""
        return self.spec.name

    @property
    def watermark(self) -> str | None:
        """See `Pullable`."""
        return None if self.spec.incremental is None else self.spec.incremental.column

    def identity(self) -> dict[str, Any]:
        """The URL with its references, what is read, and nothing of how."""
        return {
            "type": "sql",
            "url": self.spec.url,
            "table": self.spec.table,
            "query": self.spec.query,
            "columns": list(self.spec.columns),
            "watermark": self.watermark,
        }

    def plan(self, since: Mark | None) -> PullPlan:
        """See `Pullable`; counts the rows, and sorts their keys where there is ``shard_by``."""
        with open_session(self.spec, self.folder) as session:
            relation = find_relation(session, self.spec)
            relation.select(self.spec.columns)  # refuses columns that cannot be read
            window = None
            if self.watermark is not None:
                window = find_window(session, relation, self.watermark, since)
            where = sa.true() if window is None else window.condition(relation)
            rows = sa.select(sa.func.count()).select_from(relation.origin).where(where)
            n_rows = int(session.rows(rows)[0][0])
            ranges = self._ranges(session, relation, where, n_rows)
        part = None if window is None else window.to_json()
        streams = [
            {"window": part, "range": None if cut is None else cut.to_json()} for cut in ranges
        ]
        return PullPlan(tuple(streams), self._lineage(n_rows, since, window))

    def streams(self, plan: PullPlan) -> Sequence[SqlStream]:
        """See `Pullable`."""
        return [SqlStream(self.spec, self.folder, part) for part in plan.streams]

    def sample(self) -> pa.Table:
        """See `Pullable`: at most 1,000 rows, and fewer where they are wide."""
        with open_session(self.spec, self.folder) as session:
            relation = find_relation(session, self.spec)
            return _first_rows(session, relation, self.spec)

    def size_hint(self) -> int:
        """See `Pullable`: PostgreSQL's own estimate, else rows by the size of the first ones."""
        try:
            with open_session(self.spec, self.folder) as session:
                relation = find_relation(session, self.spec)
                statement, _ = relation.select(self.spec.columns)
                return estimate_bytes(
                    session, statement, lambda: _first_rows(session, relation, self.spec)
                )
        except DataError:
            return 0  # the plan says it better

    def _ranges(
        self, session: Session, relation: Relation, where: sa.ColumnElement[bool], n_rows: int
    ) -> Sequence[KeyRange | None]:
        if self.spec.shard_by is None:
            return [None]
        return find_ranges(
            session,
            relation,
            self.spec.shard_by,
            where=where,
            n_rows=n_rows,
            rows_each=self.rows_per_stream,
        )

    def _lineage(self, n_rows: int, since: Mark | None, window: Window | None) -> dict[str, Any]:
        read: dict[str, Any] = {
            "type": "sql",
            "n_rows": n_rows,
            "at": datetime.now(UTC).isoformat(),
        }
        if self.spec.table is not None:
            read["table"] = self.spec.table
        else:
            read["query_sha256"] = sha256_hex(str(self.spec.query).encode())
        if window is not None:
            read["watermark"] = {
                "column": window.column,
                "above": None if since is None else since.text,
                "up_to": window.upper.text,
            }
        return read


def _read(
    session: Session,
    relation: Relation,
    spec: SqlSource,
    where: Sequence[sa.ColumnElement[bool]],
    *,
    limit: int | None = None,
) -> Generator[pa.Table]:
    statement, kinds = relation.select(spec.columns)
    statement = statement.where(*where).limit(limit)
    yield from session.tables(statement, lambda rows: to_table(rows, kinds, name=spec.name))


def _first_rows(session: Session, relation: Relation, spec: SqlSource) -> pa.Table:
    tables: list[pa.Table] = []
    with closing(_read(session, relation, spec, [], limit=_SAMPLE_ROWS)) as found:
        for table in found:
            tables.append(table)
            if sum(each.nbytes for each in tables) > 4 * BLOCK_BYTES:
                break
    if not tables:
        _, kinds = relation.select(spec.columns)
        return pa.table({name: pa.nulls(0) for name in kinds})
    to = Alignment.of({str(number): table.schema for number, table in enumerate(tables)})
    return pa.concat_tables([align(table, to) for table in tables])
