"""What a library says of a failure, as part of a sentence of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["reason_of"]

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_BACKTRACE = re.compile(r"\n\s+0: .*", re.DOTALL)
_MOST = 300
"""Characters: the first lines of a chain of causes say what happened."""


def reason_of(error: BaseException, hide: Mapping[str, str] | None = None) -> str:
    """The message of an error in one line, without colors, backtraces and secrets.

    Args:
        error: of any library.
        hide: secret values and what is shown in their place.

    >>> reason_of(OSError("no\\n  such key k3y\\n   0: <unknown>"), {"k3y": "${env:KEY}"})
    'no such key ${env:KEY}'
    """
    text = " ".join(_BACKTRACE.sub("", _COLOR.sub("", str(error))).replace("↳", ":").split())
    for secret, shown in (hide or {}).items():
        text = text.replace(secret, shown)
    text = text or type(error).__name__
    return text if len(text) <= _MOST else text[:_MOST] + "…"
