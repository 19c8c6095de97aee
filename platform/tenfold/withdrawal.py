"""Taking a canary back: its traffic, its alias and the reason in one transaction.

So whoever is killed in the middle has done all of it or nothing, and twice does it once.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import delete, update

from tenfold.registry import Registry
from tenfold.state import tables
from tenfold.state.database import now_text
from tenfold.traffic import Canary, canary_body, canary_key, read_canary

__all__ = ["WITHDRAWN", "guard_key", "last_withdrawal", "withdraw_canary"]

WITHDRAWN: Final = "canary_withdrawn"
"""Kind of the journal's row."""


def guard_key(project: str) -> str:
    """Where the evidence about a canary is kept in the state database."""
    return f"guard/{project}"


def withdraw_canary(registry: Registry, project: str, version: int, body: dict[str, Any]) -> bool:
    """Give a canary no traffic, clear the challenger alias and journal why.

    Args:
        registry: where both are.
        project: whose.
        version: of the canary.
        body: of the journal's row.

    Returns:
        False if it is no canary any more (its share was taken, or it was promoted), or somebody
        changed its share just now; then nothing was done. Look again.

    Raises:
        StoreError: the database is away; nothing was done.
    """
    state = registry.state
    canary = read_canary(state, project)
    if canary is None or not canary.share_of(version):
        return False
    table = tables.checkpoints
    # The write first: SQLite refuses a transaction that reads, waits for a writer and then writes.
    statement = (
        update(table)
        .where(table.c.key == canary_key(project), table.c.body == canary_body(canary))
        .values(body=canary_body(Canary(version, 0)), at=now_text())
    )
    with state.engine.connect() as connection, connection.begin() as transaction:
        if connection.execute(statement).rowcount != 1 or not registry.withdraw(
            connection, project, version
        ):
            transaction.rollback()
            return False
        # Evidence that is at its level must not meet the same canary, were it given traffic again.
        connection.execute(delete(table).where(table.c.key == guard_key(project)))
        state.journal.append(project, WITHDRAWN, body, within=connection)
    return True


def last_withdrawal(registry: Registry, project: str) -> dict[str, Any] | None:
    """The newest journal row of a canary that was taken back: its body; None if none ever was."""
    rows = registry.state.journal.tail(project, 1, kind=WITHDRAWN)
    return {**rows[0].body, "at": rows[0].at} if rows else None
