"""Ranges of a whole-number key, each with about as many rows as the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from tenfold.data.sql.relation import Relation
from tenfold.data.sql.session import Session
from tenfold.errors import DataError

__all__ = ["KeyRange", "find_ranges"]

_MOST_RANGES = 10_000
"""Streams of one pull: beyond, ranges grow instead."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Rows of a key from ``low`` to below ``high``; no ``low`` means the rows without a key.

    Attributes:
        column: the key.
        low: first value.
        high: first value of the next range, or the last value of all.
        closed: whether ``high`` is part of the range: it is the last one.
    """

    column: str
    low: int | None = None
    high: int = 0
    closed: bool = False

    def to_json(self) -> dict[str, Any]:
        """For the plan."""
        return asdict(self)

    def condition(self, relation: Relation) -> sa.ColumnElement[bool]:
        """The rows of the range.

        Raises:
            DataError: the column is gone.
        """
        key = relation.column(self.column, "shard_by")
        if self.low is None:
            return key.is_(None)
        low, high = (
            sa.bindparam(None, value, type_=sa.BigInteger()) for value in (self.low, self.high)
        )
        return sa.and_(key >= low, key <= high if self.closed else key < high)


def find_ranges(
    session: Session,
    relation: Relation,
    column: str,
    *,
    where: sa.ColumnElement[bool],
    n_rows: int,
    rows_each: int,
) -> list[KeyRange]:
    """Cut the rows by their key; the cuts are every so-manieth key, so gaps do not matter.

    Args:
        session: of the plan.
        relation: what is read.
        column: the key. One that is not unique may make a range larger.
        where: the rows that are read at all.
        n_rows: how many these are.
        rows_each: rows of a range, at least; unique keys give exactly these.

    Raises:
        DataError: there is no such column, or it holds something but whole numbers.
    """
    key = relation.column(column, "shard_by")
    kind = relation.kinds.get(column, relation.refused.get(column, ""))
    if kind not in ("integer", "any"):
        raise _no_key(relation, column, f"is of type {kind}")
    if relation.dialect == "sqlite":
        kinds = sa.select(sa.func.typeof(key)).select_from(relation.origin).where(where).distinct()
        words = sorted({str(row[0]) for row in session.rows(kinds)} - {"integer", "null"})
        if words:
            raise _no_key(relation, column, f"holds {' and '.join(words)}")
    seen = sa.select(sa.func.max(key), sa.func.count(key)).select_from(relation.origin)
    last, n_keys = session.rows(seen.where(where))[0]
    nulls = [KeyRange(column)] if n_keys < n_rows else []
    if last is None:
        return nulls
    cuts = _cuts(session, relation, key, where, max(rows_each, -(-n_rows // _MOST_RANGES)))
    values = [*cuts, last]
    if any(not isinstance(value, int) or isinstance(value, bool) for value in values):
        raise _no_key(relation, column, f"holds {type(last).__name__}")
    ranges = [KeyRange(column, low, high) for low, high in pairwise(cuts)]
    return [*ranges, KeyRange(column, cuts[-1], last, closed=True), *nulls]


def _cuts(
    session: Session,
    relation: Relation,
    key: sa.ColumnElement[Any],
    where: sa.ColumnElement[bool],
    step: int,
) -> Sequence[Any]:
    """The first key of every ``step`` rows in the order of the key, without repetition."""
    number = sa.func.row_number().over(order_by=key) - 1
    ranked = (
        sa.select(key.label("k"), number.label("n"))
        .select_from(relation.origin)
        .where(where, key.is_not(None))
        .subquery("ranked")
    )
    cuts = sa.select(ranked.c.k).where(ranked.c.n % step == 0).distinct().order_by(ranked.c.k)
    return [row[0] for row in session.rows(cuts)]


def _no_key(relation: Relation, column: str, why: str) -> DataError:
    return DataError(
        f"source {relation.name!r}: shard_by must be a column of whole numbers, and {column!r} "
        f"{why}; choose another column or leave shard_by out"
    )
