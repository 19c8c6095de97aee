"""Where the time of a start goes, told when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Startup"]


class Startup:
    """Steps of a start, each with its seconds. One thread.

    Args:
        now_s: seconds; for tests.

    >>> seconds = iter([10.0, 12.5, 12.75])
    >>> startup = Startup(now_s=lambda: next(seconds))
    >>> startup.done("ray")
    >>> startup.done("serve")
    >>> startup.steps_s
    {'ray': 2.5, 'serve': 0.25}
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._before = now_s()
        self._steps: dict[str, float] = {}

    def done(self, step: str) -> None:
        """A step ends here, and the next begins."""
        now = self._now_s()
        self._steps[step] = round(now - self._before, 2)
        self._before = now

    @property
    def steps_s(self) -> dict[str, float]:
        """Seconds by step, in their order."""
        return dict(self._steps)
