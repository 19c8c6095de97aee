"""Which rows a pull reads by their watermark.

The window is decided once, in the plan, and travels as JSON. It has an upper end, so that rows that
come while streams are read (at different times) wait for the next pull. Its lower end may lie a
little too low, never too high: rows that were pulled already are told by their hashes.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from tenfold.data import parse
from tenfold.data.sql.bound import Bound
from tenfold.data.sql.relation import Relation
from tenfold.data.sql.session import Session
from tenfold.data.sql.values import Kind
from tenfold.data.watermark import Mark
from tenfold.errors import DataError

__all__ = ["Window", "find_window"]

_ORDERS: dict[Kind, str] = {
    "integer": "number",
    "float": "number",
    "real": "number",
    "decimal": "number",
    "date": "time",
    "time": "time",
    "instant": "time",
}
_ZONED = re.compile(r"(?<=\d)(Z|[+-]\d{2}(:?\d{2})?)$")


@dataclass(frozen=True, slots=True)
class Window:
    """Rows by their watermark.

    Attributes:
        column: the watermark.
        kind: what it holds.
        lower: the least one, or None for all.
        upper: the largest one.
    """

    column: str
    kind: Kind
    lower: Bound | None
    upper: Bound

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Window:
        """The inverse of `to_json`."""
        lower = None if raw["lower"] is None else Bound(**raw["lower"])
        return cls(raw["column"], raw["kind"], lower, Bound(**raw["upper"]))

    def to_json(self) -> dict[str, Any]:
        """For the plan."""
        return asdict(self)

    def condition(self, relation: Relation) -> sa.ColumnElement[bool]:
        """The rows; those without a watermark are part of the first pull.

        Raises:
            DataError: the column is gone.
        """
        column = _comparable(relation, self.column, self.kind)
        below = column <= self.upper.bind()
        if self.lower is None:
            return sa.or_(below, column.is_(None))
        return sa.and_(column >= self.lower.bind(), below)


def find_window(
    session: Session, relation: Relation, column: str, since: Mark | None
) -> Window | None:
    """The window from a mark to the largest watermark there is now; None if there is no row.

    Raises:
        DataError: the watermark cannot be one: of an unordered type, of several kinds, texts that
            do not sort as what they say, never set.
    """
    relation.must_have([column], "incremental.column")
    kind = relation.kinds.get(column)
    if kind is None or kind == "boolean":
        raise _no_watermark(relation, column, f"is of type {relation.refused.get(column, kind)}")
    if relation.dialect == "sqlite":
        _must_be_of_one_kind(session, relation, column)
    lower, upper = _ends(session, relation, column)
    if lower is None or upper is None:
        return None
    order = _ORDERS.get(upper.kind) or _order_of_texts(session, relation, column, lower, upper)
    if since is not None and since.order != order:
        raise _no_watermark(relation, column, f"was a {since.order} before and is a {order} now")
    return Window(column, kind, None if since is None else Bound.below(upper.kind, since), upper)


def _ends(session: Session, relation: Relation, column: str) -> tuple[Bound | None, Bound | None]:
    """The least and the largest watermark; None twice if there is no row."""
    kind = relation.kinds[column]
    comparable = _comparable(relation, column, kind)
    ends: list[sa.ColumnElement[Any]] = [sa.func.min(comparable), sa.func.max(comparable)]
    if kind in ("decimal", "date", "time", "instant"):
        ends = [sa.cast(end, sa.Text) for end in ends]
    seen = sa.select(*ends, sa.func.count()).select_from(relation.origin)
    low, high, n_rows = session.rows(seen)[0]
    if not n_rows:
        return None, None
    if high is None:
        raise _no_watermark(relation, column, "has no value in any row")
    found = [Bound.seen(kind, value) for value in (low, high)]
    for bound, value in zip(found, (low, high), strict=True):
        if bound is None:
            raise _no_watermark(relation, column, f"holds {type(value).__name__}")
        try:
            bound.value()
        except (ValueError, OverflowError):
            raise _no_watermark(relation, column, f"has the value {bound.text!r}") from None
    return found[0], found[1]


def _comparable(relation: Relation, name: str, kind: Kind) -> sa.ColumnElement[Any]:
    """The column as it compares by value: a text by its code points, a real as its double."""
    column = relation.column(name, "incremental.column")
    if kind == "real":
        return sa.cast(column, sa.Double)
    if kind == "text":
        return sa.collate(sa.cast(column, sa.Text), "C")
    if relation.dialect == "sqlite":
        return sa.collate(column, "BINARY")
    return column


def _must_be_of_one_kind(session: Session, relation: Relation, column: str) -> None:
    """SQLite keeps any value in any column, and sorts all numbers before all texts."""
    kinds = sa.func.typeof(relation.origin.c[column])
    rows = session.rows(sa.select(kinds).select_from(relation.origin).distinct())
    words = {str(row[0]) for row in rows} - {"null"}
    if len(words) > 1 and words != {"integer", "real"}:
        raise _no_watermark(relation, column, f"holds {' and '.join(sorted(words))}")


def _order_of_texts(
    session: Session, relation: Relation, column: str, lower: Bound, upper: Bound
) -> str:
    """How texts compare; those that say numbers or times must be written so that they sort so."""
    if relation.dialect not in ("postgresql", "sqlite"):
        raise _no_watermark(relation, column, "is a text, which each database sorts in its own way")
    ends = pa.array([lower.text, upper.text])
    if parse.parse_numbers(ends)[1].all():
        order, forms = "number", ["_" * len(upper.text)]
        uniform = upper.text.isdigit()
    elif parse.parse_datetimes(ends)[1].all():
        order, forms = "time", _forms(upper.text)
        uniform = True
    else:
        return "text"
    texts = _comparable(relation, column, relation.kinds[column])
    other = sa.select(sa.func.count()).select_from(relation.origin)
    for form in forms:
        other = other.where(texts.not_like(form))
    if uniform and not session.rows(other)[0][0]:
        return order
    raise _no_watermark(
        relation,
        column,
        f"holds {order}s as texts of several forms, such as {upper.text!r}, which do not sort as "
        f"{order}s",
    )


def _forms(text: str) -> list[str]:
    """LIKE patterns of the texts that sort as times beside this one: same form, same zone."""
    zone = _ZONED.search(text, 10)  # behind the date
    if zone is not None:
        return [re.sub(r"\d", "_", text[: zone.start()]) + zone[0]]
    whole = re.sub(r"\d", "_", text.partition(".")[0])
    return [whole, *[f"{whole}.{'_' * n_digits}" for n_digits in range(1, 10)]]


def _no_watermark(relation: Relation, column: str, why: str) -> DataError:
    return DataError(
        f"source {relation.name!r}: a watermark must be a number, a time or a text that sorts as "
        f"it grows, and {column!r} {why}; choose another incremental.column, or make one in a query"
    )
