"""Configurations in a thread of this process, which is left behind when one of them hangs.

A search that is shorter than sessions take to start, and that of a retrain, have no process that
could be killed. A fit that never asks whether to stop (a hang in native code, a loop of a plug-in)
goes on in its thread and is forgotten: the search ends in time, or goes on in another thread. What
was left behind keeps its core and its memory until the process ends, which does not wait for it.
Only native code that holds Python's lock cannot be left: while it hangs nothing else runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from tenfold.training.evaluate import Config, Outcome, Workspace, evaluate

__all__ = ["LEAVE_AFTER_S", "Watched"]

LEAVE_AFTER_S = 5.0
"""A configuration that does not stop when it is asked to is left after this. Longer than a session
has: one that is only slow ends by then, and one that is left keeps its core."""

Stop = Callable[[], bool] | None
_Asked = SimpleQueue[tuple[Config, Stop] | None]
_Told = SimpleQueue[Outcome | BaseException]


class Watched:
    """A session of this process: one configuration after another, none for longer than allowed.

    Args:
        workspace: makes a place to work; called in the thread that works there, once, and again
            after a hang: what a hanging fit may still write to is not used any more.
    """

    def __init__(self, workspace: Callable[[], Workspace]) -> None:
        self._workspace = workspace
        self._asked: _Asked | None = None
        self._told: _Told = SimpleQueue()

    def evaluate(self, config: Config, *, stop: Stop, within_s: float) -> Outcome | None:
        """What came of a configuration; None if it hangs.

        Args:
            config: what to try.
            stop: is asked by those who ask.
            within_s: seconds after which it is left behind.
        """
        if self._asked is None:
            self._asked, self._told = SimpleQueue(), SimpleQueue()
            threading.Thread(
                target=_work,
                args=(self._workspace, self._asked, self._told),
                name="tenfold-search",
                daemon=True,  # the end of the process must not wait for what hangs
            ).start()
        self._asked.put((config, stop))
        try:
            told = self._told.get(timeout=within_s)
        except Empty:
            self.close()
            return None
        if isinstance(told, BaseException):
            self.close()
            raise told
        return told

    def close(self) -> None:
        """Let the thread end behind what it does now; the next configuration gets another."""
        if self._asked is not None:
            self._asked.put(None)
            self._asked = None


def _work(workspace: Callable[[], Workspace], asked: _Asked, told: _Told) -> None:
    try:
        work = workspace()
        while (one := asked.get()) is not None:
            config, stop = one
            told.put(evaluate(work, config, stop=stop))
    except BaseException as fault:  # noqa: BLE001 - whoever waits for an answer must get it
        told.put(fault)
