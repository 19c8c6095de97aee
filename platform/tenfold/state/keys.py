"""Keys of the endpoint: made, hashed, listed, rotated, revoked. The state database keeps them.

A key reads ``tenfold_{id}_{secret}``: eight hex digits that may be shown, and 256 random bits that
are shown once. Only the SHA-256 of the secret is kept: of so many random bits nobody finds the
secret by trying, so a slow hash would only slow down requests.

A project that never had a key is open (on loopback). One that had one stays closed, also after its
last key was revoked: rows are marked, never removed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, Row, insert, select, update

from tenfold.errors import UserError
from tenfold.state import tables
from tenfold.state.database import now_text

__all__ = ["ROLES", "Key", "KeySet", "Keys", "split_key"]

ROLES: Final = ("predict", "feedback", "operate")
"""What a key may do: ask for predictions, send labels, read the metrics."""

_FORM: Final = re.compile(r"tenfold_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_NOBODY: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Key:
    """One key, without its secret.

    Attributes:
        id: eight hex digits, the key's name.
        project: whose endpoint it opens.
        roles: some of `ROLES`.
        note: who has it, in words.
        digest: SHA-256 of the secret, as hex.
        created: ISO 8601, UTC.
        ends: from when on it is refused, ISO 8601, UTC; None: it does not end.
    """

    id: str
    project: str
    roles: tuple[str, ...]
    note: str
    digest: str
    created: str
    ends: str | None

    def valid(self, now: str) -> bool:
        """Whether it opens anything at that time (ISO 8601, UTC, as `now_text`)."""
        return self.ends is None or now < self.ends

    def to_dict(self) -> dict[str, Any]:
        """The key as it may be shown: without the digest."""
        return {
            "id": self.id,
            "roles": list(self.roles),
            "note": self.note,
            "created": self.created,
            "ends": self.ends,
            "valid": self.valid(now_text()),
        }


class KeySet:
    """The keys of a project at one moment; a value that threads share.

    Attributes:
        empty: whether the project never had a key.

    >>> digest = hashlib.sha256(b"x" * 43).hexdigest()
    >>> keys = KeySet([Key("0123abcd", "adult", ("predict",), "", digest, "2031", None)])
    >>> keys.roles("tenfold_0123abcd_" + "x" * 43), keys.roles("tenfold_0123abcd_" + "y" * 43)
    (('predict',), None)
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = {key.id: (key, bytes.fromhex(key.digest)) for key in keys}
        self.empty = not self._keys

    def roles(self, text: str) -> tuple[str, ...] | None:
        """What a presented key may do; None if it opens nothing.

        Known and unknown keys take the same time: one hash, one comparison of all bytes.
        """
        name, secret = split_key(text)
        key, digest = self._keys.get(name, (None, _NOBODY))
        same = hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), digest)
        if key is None or not same or not (key.ends is None or key.valid(now_text())):
            return None
        return key.roles


def split_key(text: str) -> tuple[str, str]:
    """Name and secret of a presented key; empty texts if it has not the form of one."""
    found = _FORM.fullmatch(text)
    return ("", "") if found is None else (found[1], found[2])


class Keys:
    """The keys in the state database. Safe from several processes.

    Args:
        engine: of the state database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, project: str, roles: Collection[str], *, note: str = "") -> tuple[Key, str]:
        """Make a key; returns it with its text, which is shown once and kept nowhere.

        Raises:
            UserError: a role is none, or the note is long or not printable.
        """
        wanted = tuple(role for role in ROLES if role in roles)
        if not wanted or len(wanted) != len(set(roles)):
            raise UserError(f"a key has one or more of the roles {', '.join(ROLES)}, not {roles}")
        if len(note) > 100 or not note.isprintable():
            raise UserError("a note has at most 100 printable characters")
        name, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        key = Key(
            id=name,
            project=project,
            roles=wanted,
            note=note,
            digest=hashlib.sha256(secret.encode()).hexdigest(),
            created=now_text(),
            ends=None,
        )
        values = {**_values(key), "roles": " ".join(wanted)}
        with self._engine.begin() as connection:
            connection.execute(insert(tables.keys).values(**values))
        return key, f"tenfold_{name}_{secret}"

    def list(self, project: str) -> list[Key]:
        """All keys that a project ever had, oldest first."""
        table = tables.keys
        query = select(table).where(table.c.project == project).order_by(table.c.created)
        with self._engine.connect() as connection:
            return [_key(row) for row in connection.execute(query)]

    def rotate(self, project: str, name: str, *, overlap_s: float) -> tuple[Key, str]:
        """Make another key with the same roles; the old one ends after the overlap.

        Returns:
            The new key and its text.

        Raises:
            UserError: there is no such key, or it has ended.
        """
        old = self._require(project, name)
        if not old.valid(now_text()):
            raise UserError(f"key {name} has ended and cannot be rotated; add a new one")
        made = self.add(project, old.roles, note=old.note)
        self._end(old, datetime.now(UTC) + timedelta(seconds=overlap_s))
        return made

    def revoke(self, project: str, name: str) -> Key:
        """End a key now; one that has ended stays as it is.

        Raises:
            UserError: there is no such key.
        """
        key = self._require(project, name)
        if key.valid(now_text()):
            self._end(key, datetime.now(UTC))
        return self._require(project, name)

    def _require(self, project: str, name: str) -> Key:
        found = {key.id: key for key in self.list(project)}
        if name not in found:
            known = ", ".join(found) or "none"
            raise UserError(f"project {project!r} has no key {name[:40]!r}; it has {known}")
        return found[name]

    def _end(self, key: Key, moment: datetime) -> None:
        text = moment.strftime(_TIME)
        ends = text if key.ends is None else min(text, key.ends)
        table = tables.keys
        change = update(table).where(table.c.id == key.id, table.c.project == key.project)
        with self._engine.begin() as connection:
            connection.execute(change.values(ends=ends))


def _values(key: Key) -> dict[str, Any]:
    names = ("id", "project", "note", "digest", "created", "ends")
    return {name: getattr(key, name) for name in names}


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        project=row.project,
        roles=tuple(row.roles.split()),
        note=row.note,
        digest=row.digest,
        created=row.created,
        ends=row.ends,
    )
