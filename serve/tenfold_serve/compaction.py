"""The small files of a log are joined, in a process of its own that runs where a core is idle.

::

    python -m tenfold_serve.compaction FOLDER TARGET_BYTES

A commit a second leaves a file a second. They are joined by levels, so that a row is written again
a few times and no more: every hundred commits what is smaller than 1 MiB, every 1,600 what is
smaller than 16, every 25,600 what is smaller than 128 (`target_bytes`). To join all that is small
with all that was joined before, up to delta's own 100 MB, is what ``optimize`` does by default;
every hundred commits of one row each it then writes up to 100 MB again, and keeps what it replaced
for seven days.

It has a process of its own since it takes a second or more of a core. In the supervisor's thread a
promotion waited as long; in another one of the keeper, requests did: the scheduler sees a core that
is taken, also by somebody who gives way, and puts those who answer together on the other one.
Where only idle work runs it sees an idle core (Linux, ``SCHED_IDLE``).
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Final

from tenfold.errors import StoreError
from tenfold_serve.log_table import LogTable
from tenfold_serve.process import only_when_idle

__all__ = ["COMMITS_A_ROUND", "Compactor", "main", "target_bytes"]

log = logging.getLogger("tenfold.serve")

COMMITS_A_ROUND: Final = 100
_LEVELS: Final = ((256, 128 << 20), (16, 16 << 20), (1, 1 << 20))
"""Every so many rounds, files smaller than this."""
_LONGEST_S: Final = 3600.0
_TAIL_CHARACTERS: Final = 500


def target_bytes(first: int, last: int) -> int:
    """Files smaller than this are joined in some rounds: the highest level that is due in one.

    Args:
        first: number of the first round, at least 1.
        last: number of the last; usually the same.

    >>> [target_bytes(n, n) >> 20 for n in (1, 15, 16, 17, 256)], target_bytes(14, 17) >> 20
    ([1, 1, 16, 1, 128], 16)
    """
    return next(size for every, size in _LEVELS if last // every > (first - 1) // every)


class Compactor:
    """Has tables compacted, one at a time. Used from one thread; it never waits for a child.

    A table's rounds follow its version, so they go on where an earlier keeper stopped. A round that
    fails is told to the log; the next one tries again.

    Args:
        output: file that a child's words go to.
        commits_a_round: versions of a table between two rounds.
        command: what is run, before folder and size; for tests.
        longest_s: a child that takes longer is ended.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        output: Path,
        *,
        commits_a_round: int = COMMITS_A_ROUND,
        command: Sequence[str] | None = None,
        longest_s: float = _LONGEST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._commits_a_round = commits_a_round
        self._command = command or [sys.executable, "-m", "tenfold_serve.compaction"]
        self._longest_s = longest_s
        self._clock = clock
        self._rounds: dict[Path, int] = {}  # the newest that was begun, or before this keeper
        self._child: subprocess.Popen[bytes] | None = None
        self._began_s = 0.0

    @property
    def is_running(self) -> bool:
        """Whether a child runs, or its end was not looked at yet."""
        return self._child is not None

    def follow(self, tables: Iterable[LogTable]) -> None:
        """Look after the child that runs, and begin what is due.

        Args:
            tables: those that this process commits to.
        """
        if self._child is not None:
            self._look(self._child)
        if self._child is not None:
            return
        for table in tables:
            if table.version < 0:  # not looked at yet
                continue
            number = table.version // self._commits_a_round
            before = self._rounds.setdefault(table.folder, max(0, number - 1))
            if number > before:
                self._rounds[table.folder] = number
                self._start(table.folder, target_bytes(before + 1, number))
                return

    def stop(self) -> None:
        """End the child, if there is one: the table stays as it was, or is as it wanted it."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def _start(self, folder: Path, size: int) -> None:
        self._output.parent.mkdir(parents=True, exist_ok=True)
        output: IO[bytes]
        with self._output.open("wb") as output:
            self._child = subprocess.Popen(
                [*self._command, str(folder), str(size)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        only_when_idle(self._child.pid)  # from its first instruction: most of it is imports
        self._began_s = self._clock()

    def _look(self, child: subprocess.Popen[bytes]) -> None:
        code = child.poll()
        if code is None:
            if self._clock() - self._began_s > self._longest_s:
                log.warning("a compaction took longer than %g s and was ended", self._longest_s)
                self.stop()
            return
        self._child = None
        if code:
            said = self._output.read_text(errors="replace").strip()[-_TAIL_CHARACTERS:]
            log.warning("files of a log were not joined (exit %d): %s", code, said)


def main(arguments: Sequence[str] | None = None) -> None:
    """Join the files of one table, durable.

    Raises:
        SystemExit: it could not be done, and why.
    """
    folder, size = sys.argv[1:] if arguments is None else arguments
    try:
        LogTable(Path(folder)).compact(int(size))
    except StoreError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
