"""What the endpoint answered: a request as it leaves, and blocks of them turned on their side.

A request copies its row into the block of its model while it is in the cache of the core, and
keeps nothing else: on a replica with 2,400 requests/s a row cost 2.7 us to turn a tenth of a second
later, from objects that had gone cold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tenfold.features.columnpath import Columns
from tenfold.schema import Kind, Schema

if TYPE_CHECKING:
    from tenfold_serve.arms import Arm

__all__ = [
    "ANOTHERS_CALL",
    "IN_CODES",
    "Answers",
    "Block",
    "Call",
    "Entry",
    "Floats",
    "LoggedArm",
    "kept_columns",
]

Floats = npt.NDArray[np.float64]

IN_CODES: Final = (Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN, Kind.DATETIME)
"""Kinds whose codes are their values; of the others the log keeps what came."""


class LoggedArm(Protocol):
    """What the recorder needs to know about a model that answers."""

    @property
    def name(self) -> str:
        """``champion`` or ``challenger``."""

    @property
    def version(self) -> int:
        """The model's version."""

    @property
    def digest(self) -> str:
        """The model's digest."""

    @property
    def schema(self) -> Schema:
        """The model's schema."""

    def count(self, codes: Floats, scores: Floats) -> npt.NDArray[np.int64]:
        """Rows counted into the frozen bins, ``(n_cells,)``."""


class Call(NamedTuple):
    """A call of a model that scored several requests together.

    Attributes:
        seconds: that it took.
        n_rows: of all its requests.
    """

    seconds: float
    n_rows: int


ANOTHERS_CALL = Call(0.0, 0)
"""Of a request whose call another of its requests tells of."""


class Entry(NamedTuple):
    """One answered request.

    Attributes:
        ids: prediction ids, one per row.
        rows: the rows as they came, parsed, or their columns; nobody changes them any more.
        codes: float64 ``(n_rows, n_columns)``.
        scores: float64 ``(n_rows, k)``.
        values: what was answered, one per row: classes as strings, or numbers.
        arm: the model that answered.
        at_ms: milliseconds since 1970.
        seconds: that the model took to read and score the rows; of a call that it shared, its rows'
            part.
        beside: the champion, where a canary answered.
        call: that it shared; None if it had one of its own.
        n_bytes: of the body that the rows came in; as values they take up to ten times as much.
    """

    ids: Sequence[str]
    rows: Sequence[Mapping[str, Any]] | Columns
    codes: Floats
    scores: Floats
    values: Sequence[str | float]
    arm: LoggedArm
    at_ms: int
    seconds: float = 0.0
    beside: Arm | None = None
    call: Call | None = None
    n_bytes: int = 0


_LARGE_BYTES: Final = 4096
"""Of a row: it is kept without the columns that the log does not take from it."""


def kept_columns(arm: LoggedArm) -> tuple[str, ...]:
    """Columns of which codes do not tell all: the rows are kept for them until they are logged."""
    return tuple(column.name for column in arm.schema.features if column.kind not in IN_CODES)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one model answered, by field.

    Attributes:
        arm: the model.
        sizes: rows of each request, int64 ``(n_requests,)``.
        at_ms: of each request, int64 ``(n_requests,)``.
        seconds: of each request, float64 ``(n_requests,)``.
        calls: that requests shared, each with the request's place.
        compared: requests with a champion beside.
        rows: of each request, as they came; empty where the codes tell all.
        ids: prediction ids, one per row.
        values: what was answered, one per row.
        codes: float64 ``(n_rows, n_columns)``.
        scores: float64 ``(n_rows, k)``.
    """

    arm: LoggedArm
    sizes: npt.NDArray[np.int64]
    at_ms: npt.NDArray[np.int64]
    seconds: Floats
    calls: Sequence[tuple[int, Call]]
    compared: Sequence[Entry]
    rows: Sequence[Sequence[Mapping[str, Any]] | Columns]
    ids: Sequence[str]
    values: Sequence[str | float]
    codes: Floats
    scores: Floats

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Answers:
        """Of requests that one model answered, at least one."""
        entries = list(entries)
        block = Block(entries[0], capacity=sum(len(entry.ids) for entry in entries))
        for entry in entries:
            block.add(entry)
        return block.answers()


class Block:
    """Rows that one model answered, filled while it answers.

    Args:
        entry: its first, not yet in it; tells the model and how wide codes and scores are.
        capacity: rows that it has room for.
        first: rows that were answered before it, by whatever model.
    """

    __slots__ = (
        "_at_ms",
        "_calls",
        "_codes",
        "_compared",
        "_ids",
        "_rows",
        "_scores",
        "_seconds",
        "_sizes",
        "_values",
        "arm",
        "capacity",
        "first",
        "keeps",
        "n_bytes",
        "n_rows",
    )

    def __init__(self, entry: Entry, *, capacity: int, first: int = 0) -> None:
        self.arm = entry.arm
        self.capacity = capacity
        self.first = first
        self.n_rows = 0
        self.n_bytes = 0
        self.keeps = kept_columns(entry.arm)
        self._codes = np.empty((capacity, entry.codes.shape[1]))
        self._scores = np.empty((capacity, entry.scores.shape[1]))
        self._sizes: list[int] = []
        self._at_ms: list[int] = []
        self._seconds: list[float] = []
        self._calls: list[tuple[int, Call]] = []
        self._compared: list[Entry] = []
        self._rows: list[Sequence[Mapping[str, Any]] | Columns] = []
        self._ids: list[str] = []
        self._values: list[str | float] = []

    @property
    def n_requests(self) -> int:
        """Requests in it."""
        return len(self._sizes)

    def add(self, entry: Entry) -> None:
        """Copy a request of this model, for which there is room.

        Raises:
            ValueError: its codes or scores have another form than those before; it is not in.
        """
        n_rows = len(entry.ids)
        start, end = self.n_rows, self.n_rows + n_rows
        self._codes[start:end] = entry.codes
        self._scores[start:end] = entry.scores
        if entry.call is not None:
            self._calls.append((len(self._sizes), entry.call))
        if entry.beside is not None:
            self._compared.append(entry)
        if self.keeps:
            large = entry.n_bytes > _LARGE_BYTES * n_rows
            self._rows.append(_only(self.keeps, entry.rows) if large else entry.rows)
        self._ids += entry.ids
        self._values += entry.values
        self._at_ms.append(entry.at_ms)
        self._seconds.append(entry.seconds)
        self._sizes.append(n_rows)
        self.n_rows = end

    def answers(self) -> Answers:
        """All of it, by field; nothing is added any more."""
        return Answers(
            self.arm,
            np.array(self._sizes, dtype=np.int64),
            np.array(self._at_ms, dtype=np.int64),
            np.array(self._seconds),
            self._calls,
            self._compared,
            self._rows,
            self._ids,
            self._values,
            self._codes[: self.n_rows],
            self._scores[: self.n_rows],
        )


def _only(
    names: Sequence[str], rows: Sequence[Mapping[str, Any]] | Columns
) -> Sequence[Mapping[str, Any]] | Columns:
    if isinstance(rows, Columns):
        kept = {name: cells for name, cells in rows.cells.items() if name in names}
        return Columns(kept, rows.n_rows)
    return [{name: row.get(name) for name in names} for row in rows]
