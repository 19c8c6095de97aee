"""A split that is killed in the middle: ``killed_label.py FOLDER STEP N``, after N buckets."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tenfold.data.bucketed import label_in_buckets, many_rows


class _Killer:
    """Kills this process when a step has done so many buckets."""

    def __init__(self, step: str, n_done: int) -> None:
        self._step, self._left = step, n_done

    def say(self, text: str) -> None:
        """Nothing is shown."""

    @contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Count the buckets of the fatal step."""

        def advance(n_done: int) -> None:
            if name == self._step:
                self._left -= n_done
                if self._left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        yield advance


if __name__ == "__main__":
    folder, step, n_done = sys.argv[1:]
    keys, rule = many_rows()
    killer = _Killer(step, int(n_done))
    label_in_buckets(keys, rule, n_buckets=8, progress=killer, folder=Path(folder))
