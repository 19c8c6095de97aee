"""About how large a statement's rows are, without reading them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement, Executable

from tenfold.data.sql.session import Session

__all__ = ["estimate_bytes"]


class _Explain(Executable, ClauseElement):
    """PostgreSQL's plan of a statement, which is not run."""

    inherit_cache = False

    def __init__(self, statement: sa.Select[Any]) -> None:
        self.statement = statement


@compiles(_Explain, "postgresql")
def _compile(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"


def estimate_bytes(
    session: Session, statement: sa.Select[Any], sample: Callable[[], pa.Table]
) -> int:
    """Bytes of all rows: PostgreSQL's estimate, else the count by the weight of the first ones.

    Args:
        session: open.
        statement: what would be read.
        sample: gives the first rows.

    Raises:
        DataError: the database refuses, or takes too long to count.
    """
    if session.dialect == "postgresql":
        found = session.rows(_Explain(statement))[0][0]
        top = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        return int(top["Plan Rows"]) * int(top["Plan Width"])
    first = sample()
    if not first.num_rows:
        return 0
    n_rows = session.rows(sa.select(sa.func.count()).select_from(statement.subquery()))[0][0]
    return int(n_rows * first.nbytes / first.num_rows)
