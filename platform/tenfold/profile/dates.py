"""Dates: columns known only after the event, and a time that nobody has declared."""

from __future__ import annotations

from collections.abc import Iterator

from tenfold.profile.finding import Finding, Law, Level
from tenfold.profile.profile import Profile
from tenfold.profile.survey import Survey
from tenfold.profile.words import as_value
from tenfold.schema import Kind, Role, Schema

__all__ = ["dated_after", "undeclared_time"]

LATER_SHARE = 0.01
"""Less than that is mistyped dates rather than a column of the future."""


def dated_after(survey: Survey) -> Iterator[Finding]:
    """Dates later than the time of their row: at prediction time they lie ahead."""
    for name, (both, late) in survey.later.items():
        if not late:
            continue
        certain = late >= LATER_SHARE * both
        advice = (
            "it may be filled in after the outcome; leave it out unless it is known at prediction "
            "time"
            if certain
            else "check whether they are errors"
        )
        yield Finding(
            Level.ERROR if certain else Level.WARNING,
            name,
            Law.DATED_AFTER,
            f"column {name!r} is later than the time of its row ({survey.axis.column!r}) in "
            f"{late} of {both} rows: {advice}",
        )


def undeclared_time(schema: Schema, profile: Profile, *, ordered: bool) -> Iterator[Finding]:
    """Date-time features of a table whose project names no time."""
    if ordered or any(column.role is Role.TIME for column in schema.columns):
        return
    for column in schema.features:
        if column.kind is not Kind.DATETIME or not profile.numbers[column.name].count:
            continue
        number = profile.numbers[column.name]
        first, last = (as_value(v, kind="datetime") for v in (number.minimum, number.maximum))
        yield Finding(
            Level.NOTE,
            column.name,
            Law.UNDECLARED_TIME,
            f"column {column.name!r} holds dates from {first} to {last} and no time is declared: "
            "if the model will judge later rows than it has learned from, declare it as data.time",
        )
