"""A finding: one thing that a person should know about a table, in words and numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = ["Finding", "Law", "Level"]


class Level(StrEnum):
    """How much it matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Law(StrEnum):
    """Which expectation about a table is broken."""

    LEAKAGE = "leakage"
    MISSING_IS_TARGET = "missing-is-target"
    MISSING = "missing"
    MISSING_TOGETHER = "missing-together"
    CONSTANT = "constant"
    NEAR_UNIQUE = "near-unique"
    HIGH_CARDINALITY = "high-cardinality"
    SKEW = "skew"
    OUTLIERS = "outliers"
    IMBALANCE = "imbalance"
    TWINS = "twins"
    LEFT_OUT = "left-out"
    SHIFT = "shift"
    IDENTIFIER = "identifier"
    ROW_ORDER = "row-order"
    DATED_AFTER = "dated-after"
    UNDECLARED_TIME = "undeclared-time"
    BLANKS = "blanks"
    MARKERS = "missing-markers"
    NUMBERS_IN_TEXT = "numbers-in-text"
    DUPLICATES = "duplicates"
    NEAR_DUPLICATES = "near-duplicates"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know.

    Attributes:
        level: how much it matters.
        column: where; None for the whole table.
        law: which expectation is broken.
        message: what was seen, with numbers, and what to do.
    """

    level: Level
    column: str | None
    law: Law
    message: str

    def to_dict(self) -> dict[str, str | None]:
        """The finding as JSON values."""
        return asdict(self)
