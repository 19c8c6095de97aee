"""Ends a piece of work at any of its steps in the state database, as a kill would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

__all__ = ["Bomb", "Killed", "killing"]


class Killed(BaseException):
    """No handler of errors stops it; open transactions roll back, as they do after a kill."""


class Bomb:
    """Counts steps and goes off at one of them, once; every step of this process counts.

    A step is a statement before it runs, or a commit before it is made.
    """

    def __init__(self, step: int) -> None:
        self._left = step
        self.went_off = False

    def tick(self, *_: Any) -> None:
        """One more step."""
        self._left -= 1
        if self._left == 0:
            self.went_off = True
            raise Killed


@contextmanager
def killing(step: int) -> Iterator[Bomb]:
    """What runs inside ends before its given step, counted from 1, or runs to its end."""
    bomb = Bomb(step)
    for name in ("before_cursor_execute", "commit"):
        event.listen(Engine, name, bomb.tick)
    try:
        yield bomb
    except Killed:
        pass
    finally:
        for name in ("before_cursor_execute", "commit"):
            event.remove(Engine, name, bomb.tick)
