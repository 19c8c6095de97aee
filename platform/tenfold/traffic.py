"""What a challenger may do: answer a share of the requests, score in the shadow. Two small facts in
the state database.

The command line writes them, the supervisor of the endpoint reads them; neither knows the other.
They are given to a version, not to whoever is the challenger: a later challenger starts with none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, select

from tenfold.canonical import canonical_json
from tenfold.schema import Schema
from tenfold.state import State, tables

__all__ = [
    "Canary",
    "Shadow",
    "canary_body",
    "canary_key",
    "columns_not_asked",
    "end_canary",
    "read_canary",
    "read_shadow",
    "write_canary",
    "write_shadow",
]


@dataclass(frozen=True, slots=True)
class Canary:
    """A version and its share of the requests in percent, 0 to 100."""

    version: int
    percent: int

    def share_of(self, version: int | None) -> int:
        """The percent that a version gets: its own share, or nothing.

        >>> Canary(3, 10).share_of(3), Canary(3, 10).share_of(4), Canary(3, 10).share_of(None)
        (10, 0, 0)
        """
        return self.percent if version == self.version else 0


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that scores what the champion answers, off the path of the answers.

    Attributes:
        version: of the registry.
        since_ms: when it was asked for, milliseconds since 1970; rows answered before are not
            scored.
    """

    version: int
    since_ms: int

    def of(self, version: int | None) -> Shadow | None:
        """Itself while its version is the challenger, else None.

        >>> Shadow(3, 0).of(3) is not None, Shadow(3, 0).of(4), Shadow(3, 0).of(None)
        (True, None, None)
        """
        return self if version == self.version else None


def read_canary(state: State, project: str) -> Canary | None:
    """The share that was given last; None if none ever was."""
    body = state.get_checkpoint(canary_key(project))
    return None if body is None else Canary(**json.loads(body))


def write_canary(state: State, project: str, canary: Canary) -> None:
    """Give a version a share; the one before loses its own.

    Raises:
        ValueError: the share is not in 0 to 100.
    """
    if not 0 <= canary.percent <= 100:
        raise ValueError(f"a share is 0 to 100 percent, not {canary.percent}")
    state.put_checkpoint(canary_key(project), canary_body(canary))


def read_shadow(state: State, project: str) -> Shadow | None:
    """The shadow that was asked for last; None if there was none, or it was ended."""
    body = state.get_checkpoint(f"shadow/{project}")
    found = None if body is None else json.loads(body)
    return None if found is None else Shadow(**found)


def write_shadow(state: State, project: str, shadow: Shadow | None) -> None:
    """Ask for a shadow in place of the one before, or with None end it."""
    body = None if shadow is None else asdict(shadow)
    state.put_checkpoint(f"shadow/{project}", canonical_json(body))


def columns_not_asked(champion: Schema, challenger: Schema) -> str:
    """Why a challenger cannot score what a champion answered; empty if it can.

    Requests carry what the champion reads, and nothing else reaches the log.

    >>> from tenfold.schema import Column, Kind
    >>> one, two = Column("age", Kind.NUMBER), Column("sex", Kind.CATEGORY)
    >>> columns_not_asked(Schema((one, two)), Schema((two,)))
    ''
    >>> columns_not_asked(Schema((one,)), Schema((one, two))).split(",")[0]
    "the challenger reads 'sex'"
    """
    known = {column.name for column in champion.features}
    absent = [column.name for column in challenger.features if column.name not in known]
    if not absent:
        return ""
    return (
        f"the challenger reads {', '.join(map(repr, absent[:5]))}, which requests of the champion "
        "do not carry, so it cannot score in shadow; compare the two offline, with tenfold retrain "
        "or tenfold predict"
    )


def end_canary(connection: Connection, project: str, version: int) -> None:
    """Take the share of a version within the caller's transaction; another version's stays."""
    table = tables.checkpoints
    here = table.c.key == canary_key(project)
    body = connection.execute(select(table.c.body).where(here)).scalar()
    if body is not None and Canary(**json.loads(body)).version == version:
        connection.execute(delete(table).where(here, table.c.body == body))


def canary_key(project: str) -> str:
    """Where a share is kept in the state database."""
    return f"canary/{project}"


def canary_body(canary: Canary) -> bytes:
    """As it is kept; equal shares are equal bytes."""
    return canonical_json(asdict(canary))
