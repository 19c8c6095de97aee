"""Ports for what is started a moment later."""

from __future__ import annotations

import random
import socket
from typing import Final

from tenfold.errors import ClusterError

__all__ = ["free_port"]

_RANGE: Final = range(20_000, 30_000)
"""Above the ports that Ray gives its workers, below those that Serve gives replicas and systems to
whoever asks for any: one of these would be somebody else's by the time that it is used."""
_TRIES: Final = 200


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody has now, and that the system gives to nobody who does not ask for it.

    Raises:
        ClusterError: hundreds were looked at and all are taken.

    >>> free_port() in _RANGE
    True
    """
    for port in random.SystemRandom().sample(_RANGE, _TRIES):
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise ClusterError(
        f"{_TRIES} ports of {_RANGE.start} to {_RANGE.stop - 1} are all taken; stop what holds them"
    )
