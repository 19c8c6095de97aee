"""The share of requests that the challenger answers: one small fact in the state database.

The command line writes it, the supervisor of the endpoint reads it; neither knows the other.
"""

from __future__ import annotations

from tenfold.state import State

__all__ = ["read_canary", "write_canary"]


def read_canary(state: State, project: str) -> int:
    """The challenger's share in percent, 0 to 100; 0 if none was ever set."""
    body = state.get_checkpoint(_key(project))
    return 0 if body is None else int(body)


def write_canary(state: State, project: str, percent: int) -> None:
    """Set the challenger's share in percent.

    Raises:
        ValueError: not in 0 to 100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"a share is 0 to 100 percent, not {percent}")
    state.put_checkpoint(_key(project), str(percent).encode())


def _key(project: str) -> str:
    return f"canary/{project}"
