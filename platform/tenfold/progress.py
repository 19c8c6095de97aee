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

    def step(
        self, name: str, *, total: int | None = None, seconds: float | None = None
    ) -> AbstractContextManager[Advance]:
        """A step that takes a while; ``total`` units, or at most so many ``seconds``, if that is
        known."""

    def show(self, text: str, *, worth_a_line: bool) -> None:
        """How the step under way stands: drawn in the place of what was shown before where that can
        be done, elsewhere a line of its own if it is worth one."""


class _Silent:
    def say(self, text: str) -> None:
        """Nothing is shown."""

    def show(self, text: str, *, worth_a_line: bool) -> None:
        """Nothing is shown."""

    @contextmanager
    def step(
        self, name: str, *, total: int | None = None, seconds: float | None = None
    ) -> Iterator[Advance]:
        """Nothing is shown."""
        yield lambda _n: None


SILENT: Progress = _Silent()
