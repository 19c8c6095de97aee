"""The small files of a log are joined, in a process of its own that runs where a core is idle.

::

    python -m tenfold_serve.compaction FOLDER TARGET_BYTES

A commit a second leaves a file a second. They are joined by levels: every hundred commits what is
no larger than 1 MiB, every 1,600 what is no larger than 16, every 25,600 what is no larger than 128
(`target_bytes`). At a commit of one row a second a row is then written again some forty times in
twenty days, at one of 300 kB three times (simulated, packed as delta does). To join all that is
small with all that was joined before, up to delta's own 100 MB, is what ``optimize`` does by
default: every hundred commits of one row each it would write up to 100 MB again, and keep what it
replaced for seven days.

It has a process of its own since it takes seconds of a core (1,600 MB in a thousand files: 19 s,
0.5 GB of memory). In the supervisor's thread a promotion waited as long; in another one of the
keeper, requests did: the scheduler sees a core that is taken, also by somebody who gives way, and
puts those who answer together on the other one. Where only idle work runs it sees an idle core
(Linux, ``SCHED_IDLE``).
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Final

from tenfold.canonical import json_or_none
from tenfold.errors import StoreError
from tenfold_serve.log_table import LogTable
from tenfold_serve.process import only_when_idle

__all__ = ["COMMITS_A_ROUND", "Compactor", "main", "target_bytes"]

log = logging.getLogger("tenfold.serve")

COMMITS_A_ROUND: Final = 100
_LEVELS: Final = ((256, 128 << 20), (16, 16 << 20), (1, 1 << 20))
"""Every so many rounds, files no larger than this."""
_LONGEST_S: Final = 4 * 3600.0
_TAIL_CHARACTERS: Final = 500


def target_bytes(first: int, last: int) -> int:
    """Files no larger than this are joined in some rounds: the highest level that is due in one.

    Args:
        first: number of the first round, at least 1.
        last: number of the last, at least the first; usually the same.

    >>> [target_bytes(n, n) >> 20 for n in (1, 15, 16, 17, 256)], target_bytes(14, 17) >> 20
    ([1, 1, 16, 1, 128], 16)
    """
    return next(size for every, size in _LEVELS if last // every > (first - 1) // every)


class Compactor:
    """Has tables compacted, one at a time. Used from one thread; it never waits for a child.

    Rounds follow a table's versions, as its checkpoints tell them, so they go on where an earlier
    keeper stopped. A round that fails is told to the log; the next one does its work, too.

    Args:
        output: file that a child's words go to.
        commits_a_round: commits of a table between two rounds.
        command: what is run, before folder and size; for tests.
        longest_s: a child that takes longer is ended.
        clock: seconds, for tests.
        lower: makes a child give way, for tests.
    """

    def __init__(
        self,
        output: Path,
        *,
        commits_a_round: int = COMMITS_A_ROUND,
        command: Sequence[str] | None = None,
        longest_s: float = _LONGEST_S,
        clock: Callable[[], float] = time.monotonic,
        lower: Callable[[int], object] = only_when_idle,
    ) -> None:
        self._output = output
        self._commits_a_round = commits_a_round
        self._command = command or [sys.executable, "-m", "tenfold_serve.compaction"]
        self._longest_s = longest_s
        self._clock = clock
        self._lower = lower
        self._begun: dict[Path, int] = {}  # the newest round of each table that was begun
        self._done: dict[Path, int] = {}  # and that went well, or was before this keeper
        self._child: subprocess.Popen[bytes] | None = None
        self._round: tuple[Path, int] | None = None
        self._began_s = 0.0

    @property
    def is_running(self) -> bool:
        """Whether a child runs, or its end was not looked at yet."""
        return self._child is not None

    def follow(self, folders: Iterable[Path]) -> None:
        """Look after the child that runs, and begin the round that is most overdue.

        Args:
            folders: of the tables; one need not be there.

        Raises:
            OSError: no process can be started, or no file written.
        """
        if self._child is not None:
            self._look(self._child)
        if self._child is not None:
            return
        due = [(*self._overdue(folder), folder) for folder in folders]
        n_rounds, number, folder = max(due, key=lambda one: one[0], default=(0, 0, Path()))
        if n_rounds > 0:
            self._start(folder, number)

    def stop(self) -> None:
        """End the child, if there is one, and wait for that: no row is lost."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def _overdue(self, folder: Path) -> tuple[int, int]:
        """Rounds since the newest that was begun, and the number of the one that is due."""
        number = _n_commits(folder) // self._commits_a_round
        if number < self._begun.get(folder, 0):  # another table in its place
            del self._begun[folder], self._done[folder]
        before = max(0, number - 1)
        self._done.setdefault(folder, before)
        return number - self._begun.setdefault(folder, before), number

    def _start(self, folder: Path, number: int) -> None:
        self._begun[folder] = number
        size = target_bytes(self._done[folder] + 1, number)
        self._output.parent.mkdir(parents=True, exist_ok=True)
        output: IO[bytes]
        with self._output.open("wb") as output:
            self._child = subprocess.Popen(
                [*self._command, str(folder), str(size)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._lower(self._child.pid)  # from its first instruction: most of it is imports
        self._round = folder, number
        self._began_s = self._clock()

    def _look(self, child: subprocess.Popen[bytes]) -> None:
        code = child.poll()
        if code is None:
            if self._clock() - self._began_s > self._longest_s:
                child.kill()  # its end is looked at in a later round
            return
        self._child = None
        if code:
            said = self._output.read_text(errors="replace").strip()[-_TAIL_CHARACTERS:]
            log.warning("files of a log were not joined (exit %d): %s", code, said)
        elif self._round is not None:
            folder, number = self._round
            self._done[folder] = number


def _n_commits(folder: Path) -> int:
    """Commits of a table until its newest checkpoint, which delta makes every hundred; 0 for no
    table or no checkpoint yet."""
    told = json_or_none(folder / "_delta_log" / "_last_checkpoint")
    version = (told or {}).get("version")
    return version + 1 if isinstance(version, int) else 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Join the files of one table, durable.

    Raises:
        SystemExit: it could not be done, and why.
    """
    folder, size = sys.argv[1:] if arguments is None else arguments
    try:
        LogTable(Path(folder)).compact(int(size), thorough=int(size) > _LEVELS[-1][1])
    except StoreError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
