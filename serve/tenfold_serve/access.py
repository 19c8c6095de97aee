"""Who may come in: bearer keys with roles, read again every second.

A project without keys is open, which is meant for loopback; one that has or had keys lets nobody in
without one, its health pages excepted. Keys are read from the state database by a thread, so a
revoked key is refused within two seconds and no request waits for the database. While the database
is away the keys known last stay in force; if none were ever read, nobody comes in.

A key is presented as ``Authorization: Bearer KEY``, or as the password of ``Basic``, which is how a
browser asks for it when somebody opens ``/docs``.
"""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from tenfold.settings import Settings
from tenfold.state import Key, Keys, KeySet, open_state
from tenfold_serve.http import Headers, HttpError

__all__ = ["Access", "KeyReader", "presented_key"]

log = logging.getLogger("tenfold.serve")

_PERIOD_S: Final = 1.0
_MAX_AUTHORIZATION: Final = 500
_CHALLENGE: Final = (
    (b"www-authenticate", b'Bearer realm="tenfold"'),
    (b"www-authenticate", b'Basic realm="tenfold", charset="UTF-8"'),
    (b"connection", b"close"),
)
_CLOSE: Final = ((b"connection", b"close"),)


class KeyReader:
    """Reads a project's keys; connects when it is first asked, and again after a failure.

    Args:
        settings: where the state database is.
        project: whose keys.
    """

    def __init__(self, settings: Settings, project: str) -> None:
        self._settings = settings
        self._project = project
        self._keys: Keys | None = None

    def __call__(self) -> Sequence[Key]:
        """The keys, all that the project ever had."""
        if self._keys is None:
            self._keys = Keys(open_state(self._settings).engine)
        return self._keys.list(self._project)


class Access:
    """Decides whether a request may pass. The event loop asks; one thread reads the keys.

    Args:
        read: the project's keys, all that it ever had; None: there is no database and no key.
        required: a key is needed even if the project has none (it listens beyond loopback).
        period_s: how often keys are read.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[Key]] | None = None,
        *,
        required: bool = False,
        period_s: float = _PERIOD_S,
    ) -> None:
        self._read = read
        self._required = required
        self._period_s = period_s
        self._keys: KeySet | None = KeySet() if read is None else None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)
        self._away = False

    def start(self) -> None:
        """Read the keys now, and then again and again."""
        if self._read is not None:
            self.refresh()
            self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def refresh(self) -> None:
        """Read the keys once; never raises."""
        if self._read is None:
            return
        try:
            self._keys = KeySet(self._read())
        except Exception as error:
            if not self._away:  # told once, until it is back
                log.warning(
                    "keys cannot be read, those known last stay in force",
                    exc_info=error,
                )
            self._away = True
        else:
            self._away = False

    def check(self, headers: Headers, role: str) -> None:
        """Let a request pass, or not.

        Args:
            headers: of the request.
            role: what it needs.

        Raises:
            HttpError: 401 without a valid key, 403 for a key with other roles, 503 while the keys
                were never read.
        """
        keys = self._keys
        if keys is None:
            raise HttpError(
                503,
                "keys",
                "the keys could not be read yet; ask again in a second",
                headers=((b"retry-after", b"1"), *_CLOSE),
                drain=True,
            )
        if keys.empty and not self._required:
            return
        roles = keys.roles(presented_key(headers))
        if roles is None:
            raise HttpError(
                401,
                "key",
                "a valid key is needed: Authorization: Bearer KEY; "
                "`tenfold keys add PROJECT` makes one",
                headers=_CHALLENGE,
                drain=True,
            )
        if role not in roles:
            raise HttpError(
                403,
                "role",
                f"the key has the roles {', '.join(roles)}, and this needs {role}",
                headers=_CLOSE,
                drain=True,
            )

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            self.refresh()


def presented_key(headers: Headers) -> str:
    """The key of a request; empty if there is none.

    >>> presented_key({b"authorization": b"Bearer tenfold_1"})
    'tenfold_1'
    """
    value = headers.get(b"authorization", b"")
    if len(value) > _MAX_AUTHORIZATION:
        return ""
    scheme, _, rest = value.partition(b" ")
    rest = rest.strip()
    if scheme.lower() == b"basic":
        try:
            rest = base64.b64decode(rest, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return ""
    elif scheme.lower() != b"bearer":
        return ""
    return rest.decode("latin-1")
