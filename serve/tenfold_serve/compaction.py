"""The small files of a log are joined, in a process of its own that runs where a core is idle.

::

    python -m tenfold_serve.compaction FOLDER TARGET_BYTES

A commit a second leaves a file a second. They are joined by levels: every hundred commits what is
no larger than 1 MiB, every 1,600 what is no larger than 16, every 25,600 what is no larger than 128
(`target_bytes`). At a commit of one row a second a row is then written again some forty times in
twenty days, at one of 300 kB three times (simulated, packed as delta does). To join all that is
small with all that was joined before, up to delta's own 100 MB, is what ``optimize`` does by
default: every hundred commits of one row each it would write up to 100 MB again, and keep what it
replaced for a day. Each round ends with a checkpoint, which commits do not make.

It has a process of its own since it takes seconds of a core (1,600 MB in a thousand files: 19 s,
0.5 GB of memory). In the supervisor's thread a promotion waited as long; in another one of the
keeper, requests did: the scheduler sees a core that is taken, also by somebody who gives way, and
puts those who answer together on the other one. Where only idle work runs it sees an idle core
(Linux, ``SCHED_IDLE``). A commit of the keeper's that falls between a compaction's commit and its
sync waits for the disk to have what was joined.
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
from tenfold_serve.log_end import entry_path, newest_checkpoint, versions
from tenfold_serve.log_table import LogTable
from tenfold_serve.process import only_when_idle

__all__ = ["Compactor", "main", "target_bytes"]

log = logging.getLogger("tenfold.serve")

_COMMITS_A_ROUND: Final = 100
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

    Rounds follow the numbers of a table's commits, so they go on where an earlier keeper stopped.
    A round that fails is told to the log; what it was to join is left to a later one of its level.

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
        commits_a_round: int = _COMMITS_A_ROUND,
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
        self._versions: dict[Path, int] = {}  # the newest commit of each table
        self._rounds: dict[Path, int] = {}  # the newest round of each table that was begun
        self._turns: dict[Path, int] = {}  # and which of all that one was
        self._n_begun = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._folder = Path()  # of the child's table
        self._began_s = 0.0
        self._too_long = False

    @property
    def is_running(self) -> bool:
        """Whether a child runs, or its end was not looked at yet."""
        return self._child is not None

    def follow(self, folders: Iterable[Path]) -> None:
        """Look after the child that runs, and begin a round that is due.

        Args:
            folders: of the tables; one need not be there.

        Raises:
            OSError: no process can be started, or no file written.
        """
        if self._child is not None:
            self._look(self._child)
        if self._child is not None:
            return
        for folder in sorted(folders, key=self._turn):
            number = self._number(folder)
            if number is not None and number > self._rounds.setdefault(folder, number - 1):
                self._start(folder, number)
                return

    def stop(self) -> None:
        """End the child, if there is one, and wait for that: no row is lost."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def _turn(self, folder: Path) -> int:
        """Those whose last round was begun longest ago come first."""
        return self._turns.get(folder, 0)

    def _number(self, folder: Path) -> int | None:
        """Of the newest round of a table; None before the first."""
        number = (self._newest(folder) + 1) // self._commits_a_round
        if number and number < self._rounds.get(folder, 0):
            del self._rounds[folder]  # another table in its place
        return number or None

    def _newest(self, folder: Path) -> int:
        """The number of a table's newest commit, -1 before the first."""
        log = folder / "_delta_log"
        version = self._versions.get(folder, -1)
        if version < 0 or not entry_path(log, version).exists():
            version = newest_checkpoint(log)
            if not entry_path(log, version).exists():
                version = max(versions(log), default=-1)
        while entry_path(log, version + 1).exists():
            version += 1
        self._versions[folder] = version
        return version

    def _start(self, folder: Path, number: int) -> None:
        size = target_bytes(self._rounds[folder] + 1, number)
        self._rounds[folder] = number
        self._n_begun += 1
        self._turns[folder] = self._n_begun
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
        self._folder, self._began_s, self._too_long = folder, self._clock(), False

    def _look(self, child: subprocess.Popen[bytes]) -> None:
        code = child.poll()
        if code is None:
            if self._clock() - self._began_s > self._longest_s:
                self._too_long = True
                child.kill()  # its end is looked at in a later step
            return
        self._child = None
        if not code:
            return
        why = f"exit {code}: {self._output.read_text(errors='replace').strip()[-_TAIL_CHARACTERS:]}"
        if self._too_long:
            why = f"it took longer than {self._longest_s:g} s and was ended"
        log.warning(
            "small files of %s were not joined: %s; nothing is lost, a later round joins them",
            self._folder, why,
        )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Join the files of one table and make a checkpoint, durable.

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
