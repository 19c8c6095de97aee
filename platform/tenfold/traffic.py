"""The share of requests that a challenger answers: one small fact in the state database.

The command line writes it, the supervisor of the endpoint reads it; neither knows the other. The
share is given to a version, not to whoever is the challenger: a later challenger starts with none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from tenfold.canonical import canonical_json
from tenfold.state import State

__all__ = ["Canary", "read_canary", "write_canary"]


@dataclass(frozen=True, slots=True)
class Canary:
    """A version and its share of the requests in percent, 0 to 100."""

    version: int
    percent: int

    def share_of(self, version: int | None) -> int:
        """The percent that a version gets: its own share, or nothing.

        >>> Canary(3, 10).share_of(3), Canary(3, 10).share_of(4), Canary(3, 10).share_of(None)
        (10, 0, 0)
        """
        return self.percent if version == self.version else 0


def read_canary(state: State, project: str) -> Canary | None:
    """The share that was given last; None if none ever was."""
    body = state.get_checkpoint(_key(project))
    return None if body is None else Canary(**json.loads(body))


def write_canary(state: State, project: str, canary: Canary) -> None:
    """Give a version a share; the one before loses its own.

    Raises:
        ValueError: the share is not in 0 to 100.
    """
    if not 0 <= canary.percent <= 100:
        raise ValueError(f"a share is 0 to 100 percent, not {canary.percent}")
    state.put_checkpoint(_key(project), canonical_json(asdict(canary)))


def _key(project: str) -> str:
    return f"canary/{project}"
