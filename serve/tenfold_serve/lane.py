"""A lane beside the event loop: one thread, a short queue, and an end to every wait.

Work that hangs costs its thread and nothing else: who waits for it stops waiting, those behind it
and those that come later are told at once, until it returns, if it ever does.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from tenfold_serve.http import HttpError
from tenfold_serve.worker import Done, Worker

__all__ = ["MAX_OPEN", "Crowded", "Lane", "Late"]

MAX_OPEN: Final = 8
"""Requests that are in a lane at a time. Each takes one of the places that HAProxy gives a replica
(64), and those are the champion's, too."""

_RETRY: Final = ((b"retry-after", b"1"),)


class Late(HttpError):
    """Work was not back in time, or is behind work that was not. Who asked has another answer."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            503,
            "late",
            f"the version that was asked for did not answer within {limit_s:g} s; "
            "ask without its number",
            headers=_RETRY,
        )


class Crowded(HttpError):
    """Quick work came faster than one thread does it: nobody's fault."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "late",
            f"{MAX_OPEN} requests are before this one; ask again in a second",
            headers=_RETRY,
        )


@dataclass(slots=True)
class _Open:
    """Work that was handed over and may not have ended."""

    limit_s: float
    begun_s: float = math.inf  # when the thread took it
    given_up: bool = False  # while it ran
    found: Future[Done] = field(default_factory=Future)

    @property
    def hangs(self) -> bool:
        return self.given_up or time.monotonic() - self.begun_s >= self.limit_s


class Lane:
    """Does work of one kind in a thread of its own. One event loop calls it.

    Args:
        name: of the thread, for people.
    """

    def __init__(self, name: str) -> None:
        self._worker = Worker(name)
        self._open: deque[_Open] = deque()

    def hangs(self) -> bool:
        """Whether work is in the thread that nobody waits for any more."""
        while self._open and self._open[0].found.done():
            self._open.popleft()
        return bool(self._open) and self._open[0].hangs

    async def run(self, work: Callable[[], object], *, limit_s: float) -> Done:
        """Have work done.

        Args:
            work: called once in the thread, or never where its turn does not come in time.
            limit_s: seconds that may pass, waiting included.

        Raises:
            Late: they have passed, or the work before it hangs.
            Crowded: too much is before it.
            Exception: what the work raises.
        """
        if self.hangs():
            raise Late(limit_s)
        if len(self._open) >= MAX_OPEN:
            raise Crowded
        mine = _Open(limit_s)

        def timed() -> object:
            mine.begun_s = time.monotonic()
            return work()

        mine.found = self._worker.begin(timed)
        self._open.append(mine)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(mine.found), limit_s)
        except TimeoutError as error:
            if _raised(mine.found):
                raise  # the work's own
            mine.given_up = mine.begun_s < math.inf
            if self.hangs():
                self._clear()
            raise Late(limit_s) from error
        except asyncio.CancelledError:
            if mine.found.cancelled() and not _leaving():
                raise Late(limit_s) from None  # its turn would not have come
            raise

    def _clear(self) -> None:
        """What waits behind work that hangs need not wait."""
        for each in self._open:
            each.found.cancel()


def _raised(found: Future[Done]) -> bool:
    """Whether the work itself raised a `TimeoutError`."""
    ended = found.done() and not found.cancelled()
    return ended and isinstance(found.exception(), TimeoutError)


def _leaving() -> bool:
    """Whether whoever asked is gone."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
