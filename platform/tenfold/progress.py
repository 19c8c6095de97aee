"""How long work tells of itself: one small protocol, and the one that keeps silent.

The command line shows it on standard error; jobs and tests pass `SILENT`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["SILENT", "Advance", "Progress"]

Advance = Callable[[int], None]
"""Call with the number of units done since the last call."""


class Progress(Protocol):
    """What a step tells. Called from the driver's main thread only."""

    def say(self, text: str) -> None:
        """One line that is worth reading later."""

    def step(self, name: str, *, total: int | None = None) -> AbstractContextManager[Advance]:
        """A step that takes a while; ``total`` units if that is known."""


class _Silent:
    def say(self, text: str) -> None:
        """Nothing is shown."""

    @contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        """Nothing is shown."""
        yield lambda _n: None


SILENT: Progress = _Silent()
