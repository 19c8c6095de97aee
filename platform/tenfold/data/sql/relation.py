"""What a source reads from: a table or the query as a subquery, with its columns and their kinds.

Names are looked up before they are used and then quoted by SQLAlchemy; none is ever pasted in.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tenfold.data.sql.session import Session
from tenfold.data.sql.statement import one_select
from tenfold.data.sql.values import Kind
from tenfold.errors import DataError
from tenfold.project.sources import SqlSource

__all__ = ["Relation", "find_relation"]

_KINDS: dict[str, Kind] = {
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "oid": "integer",
    "float4": "real",
    "float8": "float",
    "numeric": "decimal",
    "bool": "boolean",
    "date": "date",
    "timestamp": "time",
    "timestamptz": "instant",
    "uuid": "text",
    "citext": "text",
    "jsonpath": "text",
}
"""PostgreSQL's types by name."""

_SECOND = re.compile(r":\d+$")
_TEXT_FAMILIES = frozenset("SETDINVX")
"""``pg_type.typcategory``: strings, enums, intervals, other times, network addresses, other
numbers such as money, bits and untyped constants; all others are not flat."""


@dataclass(frozen=True)
class Relation:
    """A table or a subquery that was looked at.

    Attributes:
        name: of the source, for messages.
        dialect: SQLAlchemy's name of the database's kind.
        origin: what is selected from.
        kinds: of every column, in order; a refused one is not here.
        refused: the type of every column that is not flat.
    """

    name: str
    dialect: str
    origin: sa.FromClause
    kinds: dict[str, Kind]
    refused: dict[str, str]

    def column(self, name: str, field: str) -> sa.ColumnElement[Any]:
        """One column, to compare with.

        Args:
            name: of the column.
            field: of the project file that names it.

        Raises:
            DataError: there is no such column.
        """
        self.must_have([name], field)
        return self.origin.c[name]

    def must_have(self, names: Iterable[str], field: str) -> None:
        """Refuse names that are none.

        Raises:
            DataError: names the ones that are close.
        """
        known = [*self.kinds, *self.refused]
        for name in names:
            if name not in known:
                raise DataError(
                    f"source {self.name!r}: {field} must name a column, and {name!r} is none; "
                    f"{_near(name, known)}"
                )

    def select(self, wanted: tuple[str, ...]) -> tuple[sa.Select[Any], dict[str, Kind]]:
        """The statement that reads the columns, all if none is named, and their kinds.

        Raises:
            DataError: there is no such column, or one that is not flat.
        """
        self.must_have(wanted, "columns")
        names = list(wanted or [*self.kinds, *self.refused])
        bad = [f"{name!r} ({self.refused[name]})" for name in names if name in self.refused]
        if bad:
            raise DataError(
                f"source {self.name!r}: columns must hold numbers, texts, booleans or times, and "
                f"{', '.join(bad)} does not; name the others in 'columns', or cast it in a query: "
                "encode(bytes, 'hex'), json ->> 'key', list[1]"
            )
        kinds = {name: self.kinds[name] for name in names}
        read = [self._read(name, kind).label(name) for name, kind in kinds.items()]
        return sa.select(*read).select_from(self.origin), kinds

    def _read(self, name: str, kind: Kind) -> sa.ColumnElement[Any]:
        column = self.origin.c[name]
        if kind == "real":
            return sa.cast(column, sa.Double)  # the very value, not its shortest text
        if kind in ("text", "decimal", "date", "time", "instant"):
            return sa.cast(column, sa.Text)
        return column


def find_relation(session: Session, spec: SqlSource) -> Relation:
    """Look at what the source reads from.

    Raises:
        DataError: there is no such table, the query is not one SELECT, or it names a column twice.
    """
    if spec.query is not None:
        query = one_select(spec.query, name=spec.name)
        # Colons are text, not parameters; the line feed ends a comment.
        body = sa.text(query.replace("\\", "\\\\").replace(":", "\\:") + "\n")
        described = session.columns(_star(body.columns().subquery("q")))
        _must_differ([name for name, _ in described], spec)
        origin: sa.FromClause = body.columns(*[sa.column(name) for name, _ in described]).subquery(
            "q"
        )
    else:
        table, schema = _find_table(session, spec)
        described = session.columns(_star(sa.table(table, schema=schema)))
        origin = sa.table(table, *[sa.column(name) for name, _ in described], schema=schema)
    kinds, refused = _kinds(session, described)
    return Relation(spec.name, session.dialect, origin, kinds, refused)


def _star(origin: sa.FromClause) -> sa.Select[Any]:
    return sa.select(sa.literal_column("*")).select_from(origin).limit(0)


def _must_differ(names: list[str], spec: SqlSource) -> None:
    # SQLite makes ``id:1`` of the second ``id`` of a subquery.
    plain = [_SECOND.sub("", name) if _SECOND.sub("", name) in names else name for name in names]
    twice = sorted({name for name in plain if plain.count(name) > 1})
    if twice:
        raise DataError(
            f"source {spec.name!r}: the query's columns must have different names, and "
            f"{', '.join(map(repr, twice))} comes twice; rename with AS"
        )


def _find_table(session: Session, spec: SqlSource) -> tuple[str, str | None]:
    text = str(spec.table)
    inspector = session.inspector()
    if inspector.has_table(text):
        return text, None
    schema, dot, table = text.partition(".")
    schemas = inspector.get_schema_names() if dot else []
    if schema in schemas and inspector.has_table(table, schema=schema):
        return table, schema
    if dot and schema not in schemas:
        raise DataError(
            f"source {spec.name!r}: table must be one that the database has, and it has no schema "
            f"{schema!r}; {_near(schema, schemas)}"
        )
    within = schema if dot else None
    known = [*inspector.get_table_names(within), *inspector.get_view_names(within)]
    raise DataError(
        f"source {spec.name!r}: table must be one that the database has, and {text!r} is none; "
        f"{_near(table if dot else text, known)}"
    )


def _kinds(
    session: Session, described: list[tuple[str, Any]]
) -> tuple[dict[str, Kind], dict[str, str]]:
    if session.dialect != "postgresql":
        return {name: "any" for name, _ in described}, {}
    types = sa.table(
        "pg_type",
        *[sa.column(name) for name in ("oid", "typname", "typcategory")],
        schema="pg_catalog",
    )
    codes = {int(code) for _, code in described}
    asked = sa.select(sa.cast(types.c.oid, sa.BigInteger), types.c.typname, types.c.typcategory)
    rows = session.rows(asked.where(types.c.oid.in_(codes)))
    words = {code: (str(word), str(category)) for code, word, category in rows}
    kinds: dict[str, Kind] = {}
    refused: dict[str, str] = {}
    for name, code in described:
        word, category = words[int(code)]
        if word in _KINDS:
            kinds[name] = _KINDS[word]
        elif category in _TEXT_FAMILIES:
            kinds[name] = "text"
        else:
            refused[name] = f"{word.removeprefix('_')}[]" if category == "A" else word
    return kinds, refused


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    some = sorted(known)[:10]
    return f"there are {', '.join(map(repr, some))}" if some else "there is none that can be seen"
