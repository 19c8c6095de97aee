"""A pull in a process of its own: ``killed_pull.py SPEC FOLDER ROWS_PER_STREAM N``.

After N streams it kills itself; with 0 it ends well and prints its rows and its peak memory in KiB.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tenfold.data.drivers import InProcess
from tenfold.data.pull import pull
from tenfold.data.sql import SqlPlace
from tenfold.project.sources import SqlSource


class _Killer:
    """Kills this process when so many streams are done."""

    def __init__(self, n_done: int) -> None:
        self._left = n_done

    def say(self, text: str) -> None:
        """Nothing is shown."""

    @contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Count the streams."""

        def advance(n_done: int) -> None:
            self._left -= n_done
            if n_done and self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        yield advance


if __name__ == "__main__":
    spec, folder, rows_per_stream, n_done = sys.argv[1:]
    source = SqlSource.model_validate_json(Path(spec).read_text())
    stored = pull(
        SqlPlace(source, Path(folder).parent, int(rows_per_stream)),
        Path(folder),
        driver=InProcess(n_threads=1),
        progress=_Killer(int(n_done) or -1),
    )
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(sum(shard.shard.read().n_records for shard in stored.shards()), peak_kib)
