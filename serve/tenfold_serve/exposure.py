"""Whether an endpoint can be reached from elsewhere; one that can needs keys."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from typing import Final

from tenfold.cluster.connect import LOOPBACK
from tenfold.errors import UserError
from tenfold.settings import Settings
from tenfold.state import Keys, open_state
from tenfold.state.database import now_text

__all__ = [
    "EVERYWHERE",
    "LISTENS_ON",
    "REQUIRE_KEYS",
    "beyond_loopback",
    "keys_required",
    "listens_on",
    "require_keys",
]

EVERYWHERE: Final = "0.0.0.0"  # noqa: S104  (what a user may ask for, with keys)

REQUIRE_KEYS: Final = "TENFOLD_REQUIRE_KEYS"
"""Environment variable by which the keeper tells its replicas that they listen beyond loopback."""

LISTENS_ON: Final = "TENFOLD_LISTENS_ON"
"""Environment variable by which the keeper tells its replicas the endpoint's host; loopback where
nobody says one."""


def beyond_loopback(host: str) -> bool:
    """Whether others than this machine can reach an IPv4 address.

    Raises:
        UserError: it is none.

    >>> beyond_loopback("127.0.0.1"), beyond_loopback("0.0.0.0")
    (False, True)
    """
    try:
        return not ipaddress.IPv4Address(host).is_loopback
    except ValueError as error:
        raise UserError(
            f"the host is an IPv4 address such as 127.0.0.1 or 0.0.0.0, not {host!r}"
        ) from error


def require_keys(projects: Sequence[str], settings: Settings) -> None:
    """Refuse to listen beyond loopback for a project that has no valid key.

    Raises:
        UserError: one has none.
    """
    keys = Keys(open_state(settings).engine)
    now = now_text()
    for project in projects:
        if not any(key.valid(now) for key in keys.list(project)):
            raise UserError(
                f"project {project!r} must have a key before it listens beyond loopback; run "
                "`tenfold keys add` first, or leave --host out"
            )


def listens_on() -> str:
    """The IPv4 address that doors of this process listen on."""
    return os.environ.get(LISTENS_ON, LOOPBACK)


def keys_required() -> bool:
    """Whether the keeper that started this process listens beyond loopback."""
    return os.environ.get(REQUIRE_KEYS) == "1"
