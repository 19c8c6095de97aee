"""The URL of a database: references become values where it is opened, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tenfold.errors import ProjectError
from tenfold.project.secrets import (
    find_references,
    masked,
    resolve_secrets,
    split_user,
    without_references,
)

__all__ = ["Address", "find_address", "shown"]

_DEFAULT_DRIVERS = {
    "postgresql": "postgresql+psycopg",  # SQLAlchemy 2.0 would take psycopg2
    "postgres": "postgresql+psycopg",  # what hosting services hand out
    "sqlite": "sqlite+pysqlite",
}


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """A URL with its secrets in it; lives as long as one connection is made, has no ``repr``.

    Attributes:
        url: for SQLAlchemy.
        secrets: the values that must be in no message.
    """

    url: URL
    secrets: tuple[str, ...]

    def scrub(self, text: str) -> str:
        """The text without the secrets."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def find_address(text: str, *, folder: Path) -> Address:
    """The URL with every reference replaced by its value, as it is: nothing has to be escaped.

    Args:
        text: ``url`` of the project file.
        folder: where a relative SQLite path starts.

    Raises:
        ProjectError: it is no database URL, or a reference leads nowhere.
    """
    if find_references(text) == (text,):  # the whole URL is the secret, escaped as URLs are
        value = resolve_secrets(text)
        url = _parsed(value, text)
        values = [value]
    else:
        plain, words = _with_words(text)
        url = _parsed(plain, text)
        found = {word: resolve_secrets(reference) for word, reference in words.items()}
        values = list(found.values())
        url = _with_values(url, found)
    url = url.set(drivername=_DEFAULT_DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() == "sqlite":
        url = url.set(database=_sqlite_path(url, text, folder))
    secrets = {*values, url.password or ""} - {""}
    return Address(url, tuple(secrets))


def shown(text: str) -> str:
    """The URL for messages: references stay, and a password that is none is hidden.

    >>> shown("postgresql://me:${env:PW}@db/shop"), shown("postgresql://me:pw@db/shop")
    ('postgresql://me:${env:PW}@db/shop', 'postgresql://me:***@db/shop')
    """
    bare, name, password = split_user(text)
    if without_references(password):
        password = "***"  # noqa: S105  (it hides one)
    head, found, rest = bare[: len(masked(bare).partition("?")[0])].partition("://")
    user = ":".join(filter(None, (name, password)))
    return f"{head}{found}{user}{'@' if user else ''}{rest}"


def _with_words(text: str) -> tuple[str, dict[str, str]]:
    """The text with a word in each reference's place, since signs of theirs end parts of a URL."""
    words = {f"tenfoldref{n}end": ref for n, ref in enumerate(find_references(text))}
    for word, reference in words.items():
        text = text.replace(reference, word, 1)
    return text, words


def _parsed(plain: str, text: str) -> URL:
    try:
        return make_url(plain)
    except (ArgumentError, ValueError):
        raise ProjectError(
            f"url must be one of SQLAlchemy's, like postgresql+psycopg://user:${{env:PW}}@host/db "
            f"with a port in digits if any, and {shown(text)!r} is not; correct it"
        ) from None


def _with_values(url: URL, values: dict[str, str]) -> URL:
    def put(part: str) -> str:
        for word, value in values.items():
            part = part.replace(word, value)
        return part

    def put_query(part: str | tuple[str, ...]) -> str | tuple[str, ...]:
        return put(part) if isinstance(part, str) else tuple(map(put, part))

    return url.set(
        username=None if url.username is None else put(url.username),
        password=None if url.password is None else put(url.password),
        host=None if url.host is None else put(url.host),
        database=None if url.database is None else put(url.database),
        query={key: put_query(part) for key, part in url.query.items()},
    )


def _sqlite_path(url: URL, text: str, folder: Path) -> str:
    name = url.database or ""
    if name.startswith("file:"):
        name = name.removeprefix("file:").partition("?")[0]
    if url.get_driver_name() != "pysqlite" or name in ("", ":memory:"):
        raise ProjectError(
            f"a SQLite url must name a file, as sqlite:///folder/file.db does, and {shown(text)!r} "
            "does not; correct it"
        )
    return str(folder / Path(name).expanduser())
