"""A preparation that is killed in the middle: ``killed_prepare.py PROJECT HOME STEP N``.

Killed when a step has done N pieces; where the step is called ``after``, N seconds after the start.
A child process of the tests: SIGKILL cannot be tried in the process that asserts.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tenfold.data import InProcess, prepare
from tenfold.project import load_project
from tenfold.settings import Settings


class _Killer:
    """Kills this process when a step has done so many pieces."""

    def __init__(self, step: str, n_done: float) -> None:
        self._step, self._left = step, n_done
        if step == "after":
            timer = threading.Timer(n_done, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()

    def say(self, text: str) -> None:
        """Nothing is shown."""

    @contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Count the pieces of the fatal step."""

        def advance(n_done: int) -> None:
            if name == self._step:
                self._left -= n_done
                if self._left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        yield advance


if __name__ == "__main__":
    project, home, step, n_done = sys.argv[1:]
    prepare(
        load_project(Path(project)),
        settings=Settings.from_env({"TENFOLD_HOME": home}),
        drivers=lambda _: InProcess(n_threads=1),
        progress=_Killer(step, float(n_done)),
    )
