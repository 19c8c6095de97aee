"""``tenfold keys``: make, list, rotate and revoke the keys of a project's endpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tenfold.errors import UserError
from tenfold.settings import Settings
from tenfold.state import Keys, open_state

__all__ = ["add_key", "list_keys", "parse_overlap", "revoke_key", "rotate_key"]

_OVERLAP = re.compile(r"(\d{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_key(
    project: str, settings: Settings, *, roles: Sequence[str], note: str = ""
) -> dict[str, Any]:
    """Make a key.

    Returns:
        The key as it may be shown, and ``key``: its text, which is kept nowhere.

    Raises:
        UserError: a role is none.
    """
    key, text = _keys(settings).add(project, roles, note=note)
    return {"project": project, **key.to_dict(), "key": text}


def list_keys(project: str, settings: Settings) -> dict[str, Any]:
    """All keys of a project, those that have ended too."""
    return {"project": project, "keys": [key.to_dict() for key in _keys(settings).list(project)]}


def rotate_key(project: str, settings: Settings, *, name: str, overlap_s: float) -> dict[str, Any]:
    """Make a key that takes another's place; both are valid for the overlap.

    Raises:
        UserError: there is no such key, or it has ended.
    """
    key, text = _keys(settings).rotate(project, name, overlap_s=overlap_s)
    return {
        "project": project,
        **key.to_dict(),
        "key": text,
        "replaces": name,
        "overlap_s": overlap_s,
    }


def revoke_key(project: str, settings: Settings, *, name: str) -> dict[str, Any]:
    """End a key; a running endpoint refuses it within two seconds.

    Raises:
        UserError: there is no such key.
    """
    return {"project": project, **_keys(settings).revoke(project, name).to_dict()}


def parse_overlap(text: str) -> float:
    """Seconds of a time such as ``30s``, ``10m``, ``24h`` or ``7d``.

    Raises:
        UserError: it has another form.

    >>> parse_overlap("24h")
    86400.0
    """
    found = _OVERLAP.fullmatch(text)
    if found is None:
        raise UserError(f"an overlap is a time such as 30s, 10m, 24h or 7d, not {text!r}")
    return float(int(found[1]) * _SECONDS[found[2]])


def _keys(settings: Settings) -> Keys:
    return Keys(open_state(settings).engine)
