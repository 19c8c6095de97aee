"""What a database refuses, in our words: law, values, remedy, and no secret."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from tenfold.errors import DataError

__all__ = ["explain"]

_STATES: tuple[tuple[str, str], ...] = (
    ("28", "login"),
    ("3D000", "database"),
    ("57014", "timeout"),
    ("42501", "denied"),
    ("25006", "writes"),
    ("53300", "busy"),
    ("42", "query"),
    ("22", "value"),
    ("40", "again"),
    ("57P", "lost"),
    ("08", "lost"),
)
"""Beginnings of SQLSTATE codes (SQL:2023, PostgreSQL appendix A), the first that fits."""

_WRITES = re.compile("data-modifying|readonly database|read-only transaction", re.IGNORECASE)
"""Said with more than one code."""

_WORDS: tuple[tuple[str, str], ...] = (
    (r"password|authentication|no pg_hba|role \".*\" does not exist|access denied", "login"),
    (r"database \".*\" does not exist|unknown database", "database"),
    (r"resolve host|name or service not known|nodename nor servname|unknown host", "host"),
    (r"connection (?:attempt )?time|timeout expired", "silent"),
    (r"refused|unreachable|could not connect", "refused"),
    (r"interrupted|statement timeout|execution time exceeded", "timeout"),
    (r"permission denied", "denied"),
    (r"database is locked", "busy"),
    (r"not a database|malformed", "damaged"),
    (r"unable to open", "file"),
    (r"decode", "text"),
    (r"no such|syntax error|ambiguous|misuse|unrecognized token", "query"),
    (r"closed|terminat|eof|reset by", "lost"),
)
"""Words of drivers that give no code; the first that fits."""

_TEXTS: dict[str, str] = {
    "login": "the login must be right, and {url} says: {words}; correct user or password",
    "database": "the database must be there, and {url} says: {words}; correct its name in 'url'",
    "host": "the host of {url} must be known, and it is not: {words}; correct the name",
    "silent": "{url} must answer a connection in time, and does not; correct host and port, or let "
    "it be reached from here",
    "refused": "{url} must take connections, and says: {words}; correct host and port, or start it",
    "timeout": "one statement may take {timeout_s:g} s, and took longer; raise 'timeout', index "
    "the columns of 'shard_by' and 'incremental', or make the query smaller",
    "denied": "the login must be allowed to read, and {url} says: {words}; grant it SELECT",
    "writes": "a source must only read, and the query wants to write: {words}; leave that out",
    "busy": "{url} must have room for us, and says: {words}; try again when others are done",
    "query": "the statement must be one that the database knows, and it says: {words}; correct "
    "'table' or 'query'",
    "value": "the query must hold for every row, and the database says: {words}; guard or cast the "
    "value in the query",
    "text": "text must be in the database's encoding, and it is not: {words}; read that column "
    "as hex(column) in a query, or leave it out with 'columns'",
    "again": "{url} stopped the reading for the sake of others: {words}; run the command again",
    "lost": "the connection to {url} must last, and was lost: {words}; run the command again, it "
    "goes on where it stopped",
    "damaged": "{url} must be a whole database file, and is not: {words}; repair it",
    "file": "the file of {url} must be there and readable, and is not; correct the path or its "
    "permissions",
    "other": "{url} must answer, and says: {words}; see its log",
}
_LONGEST = 300
"""Characters of a database's own words that are repeated: some repeat the statement."""


def explain(
    error: SQLAlchemyError, *, name: str, url: str, timeout_s: float, scrub: Callable[[str], str]
) -> DataError:
    """The error for the user; SQLAlchemy's own text (statement, parameters) is left out.

    Args:
        error: of a statement or a connection.
        name: of the source.
        url: as it may be shown.
        timeout_s: the longest time of one statement, in seconds.
        scrub: takes secrets out of a text.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    lines = scrub(str(original)).strip().splitlines() or [type(original).__name__]
    words = (lines[0] + _detail(lines[1:]))[:_LONGEST].rstrip(" ;.")
    text = _TEXTS[_kind(original, scrub(str(original)))]
    return DataError(f"source {name!r}: {text.format(url=url, words=words, timeout_s=timeout_s)}")


def _kind(original: object, text: str) -> str:
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    if _WRITES.search(text):
        return "writes"
    if isinstance(state, str):
        return next((kind for start, kind in _STATES if state.startswith(start)), "other")
    found = (kind for pattern, kind in _WORDS if re.search(pattern, text, re.IGNORECASE))
    return next(found, "other")


def _detail(lines: list[str]) -> str:
    """A hint of the database, which names what it knows; details, which may hold values, stay."""
    hints = [line.partition(":")[2].strip() for line in lines if line.startswith("HINT:")]
    return f" ({hints[0]})" if hints else ""
