"""Whether a query of the project file is one SELECT: looked at before anything is sent."""

from __future__ import annotations

import re

from tenfold.errors import DataError

__all__ = ["one_select"]

_LEAD = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_FIRST = re.compile(r"(?:select|with)\b", re.IGNORECASE)
_PLAIN = re.compile(r"'[^']*'|\"[^\"]*\"")
_UNSURE = ("\\", "$", "/*", "--", "`", "[", "#", "q'", "Q'")
"""What ends or begins a text or a comment in some database and not in another: beside a semicolon
one could not say on which side of a quote it stands."""


def one_select(query: str, *, name: str) -> str:
    """The query, if it can only be one statement that reads.

    A semicolon may stand only within plain quotes, where no database sees the end of a statement.
    That it truly only reads is the read-only transaction's care: functions may do what they like.

    Args:
        query: of the project file.
        name: of the source, for the message.

    Raises:
        DataError: it is something else.

    >>> one_select(" select ';' as x from t ", name="t")
    "select ';' as x from t"
    >>> one_select("DELETE FROM t", name="t")
    Traceback (most recent call last):
    tenfold.errors.DataError: source 't': the query must be one SELECT (or WITH … SELECT), and it
    begins with 'DELETE FROM t'; only reading is possible
    """
    text = query.strip()
    body = text[_LEAD.match(text).end() :]  # type: ignore[union-attr]  # it matches nothing too
    if not _FIRST.match(body):
        raise DataError(
            f"source {name!r}: the query must be one SELECT (or WITH … SELECT), and it begins with "
            f"{body[:20]!r}; only reading is possible"
        )
    if "\0" in text:
        raise DataError(f"source {name!r}: the query must be text, and it holds a NUL; remove it")
    if ";" in text:
        _refuse_second(text, name)
    _refuse_open(_PLAIN.sub("''", text), name)
    return text


def _refuse_second(text: str, name: str) -> None:
    unsure = [mark for mark in _UNSURE if mark in text]
    if ";" not in _PLAIN.sub("", text):
        if not unsure:
            return
        raise DataError(
            f"source {name!r}: a query with a semicolon in quotes must have no {unsure[0]!r}, "
            "since databases differ in where such a text ends; write one of them as chr(59) or "
            "leave out comments"
        )
    place = text.index(";")
    raise DataError(
        f"source {name!r}: the query must be one statement without a semicolon, and it goes on "
        f"with {text[place : place + 20]!r}; remove it"
    )


def _refuse_open(bare: str, name: str) -> None:
    """A parenthesis that closes more than was opened would end the subquery it is read within."""
    if any(mark in bare for mark in _UNSURE):
        return  # the database tells; it sees one statement in any case
    depth = 0
    for sign in bare:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
    if depth:
        more, less = ("opened", "closed") if depth > 0 else ("closed", "opened")
        raise DataError(
            f"source {name!r}: every parenthesis of the query must be opened and closed, and one "
            f"is {more} and not {less}; correct it"
        )
