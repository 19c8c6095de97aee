"""The shadow of one project, as its supervisor sees it: started, watched, started again, ended.

`tenfold_serve.shadow` runs as a child in the keeper's process session, so whoever ends the session
ends it too. It is ended by SIGKILL: whatever it does is whole or has not happened, and a process
that hangs does not hear anything else. One that dies or says nothing for a while is started again,
after two minutes, then four, eight and so on up to half an hour, and after two again once one has
scored for ten: a start takes three seconds of a core, and one that dies of some row would else take
them again and again.
Every such failure is counted, and a new reason is journaled.

From its start on it runs only where a core is idle, and it rests so long that it takes half a
hundredth of all (`tenfold_serve.shadow`). Both are needed: a busy core beside them costs those who
answer, whatever the priority of what is busy. On two cores at 300 requests/s a loop that does
nothing, in the class that anything else preempts, doubled the 99th percentile (1.8 to 3.8 ms).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from tenfold.canonical import json_or_none
from tenfold.state import Journal
from tenfold.traffic import Shadow
from tenfold_serve.process import only_when_idle, waited_s
from tenfold_serve.shadow_config import ShadowConfig

__all__ = ["FAILED", "FIRST_PAUSE_S", "Shadowing"]

FAILED: Final = "shadow_failed"
_HUNG_S: Final = 60.0
"""Without a word: it speaks every two seconds, while it loads not at all, and may take as long as a
probe for that. While it waits for a core it is not silent: it gets none where all are busy."""
FIRST_PAUSE_S: Final = 120.0
"""Before another start; doubled by every failure."""
_MOST_PAUSE_S: Final = 1800.0
"""So that a cause that went away by itself is noticed while somebody may still look."""
_STEADY_S: Final = 600.0
"""Of scoring, after which the next failure is a first one: at most a start in ten minutes."""
_TAIL_CHARACTERS: Final = 500
_KEPT_VARIABLES: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""As in a probe: it gets no secrets."""
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Shadowing:
    """Used from one thread.

    Args:
        project: name of the project.
        live: folder of the live logs.
        folder: where the child's output and status go.
        journal: where failures are written down.
        command: what is run before the one argument, for tests; the real shadow by default.
        clock: seconds that only grow; for tests.
        hung_s: a child that says nothing for so long is ended, its waits for a core not counted.
        waited: how long a process has waited for a core, seconds; for tests.
        pause_s: how long after a first failure another is started.
    """

    def __init__(
        self,
        project: str,
        *,
        live: Path,
        folder: Path,
        journal: Journal,
        command: Sequence[str] = (sys.executable, "-m", "tenfold_serve.shadow"),
        clock: Callable[[], float] = time.monotonic,
        hung_s: float = _HUNG_S,
        pause_s: float = FIRST_PAUSE_S,
        waited: Callable[[int], float] = waited_s,
    ) -> None:
        self._project = project
        self._live = live
        self._told = folder / f"shadow-{project}.json"
        self._log = folder / f"shadow-{project}.log"
        self._journal = journal
        self._command = list(command)
        self._clock = clock
        self._hung_s = hung_s
        self._first_pause_s = self._pause_s = pause_s
        self._waited = waited
        self._config: ShadowConfig | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._known: dict[str, Any] = {}
        self._beat_s = 0.0
        self._waited_s = 0.0
        self._start_from_s = 0.0
        self._scoring_since_s: float | None = None
        self._failures = 0
        self._trouble = ""

    def follow(
        self,
        wish: Shadow | None,
        *,
        challenger: Mapping[str, Any] | None,
        champion: Mapping[str, Any] | None,
    ) -> None:
        """Make what runs what is wished for; called about once a second.

        Args:
            wish: what was asked for; None: no shadow.
            challenger: the wish's version, as `tenfold_serve.arms.arm_config` has it.
            champion: the model that answers, likewise; without one nothing is shadowed.
        """
        config = None
        if wish is not None and challenger is not None and champion is not None:
            config = ShadowConfig(
                project=self._project,
                live=self._live,
                told=self._told,
                since_ms=wish.since_ms,
                challenger=challenger,
                champion=champion,
            )
        if config != self._config:
            self._forget(config)
        if config is None:
            return
        if self._child is not None:
            self._look(self._child)
        if self._child is None and self._clock() >= self._start_from_s:
            self._start(config)

    def status(self) -> dict[str, Any] | None:
        """What people see, JSON values; None where no shadow was asked for."""
        if self._config is None:
            return None
        running = self._child is not None
        return {
            **self._known,
            "version": int(self._config.challenger["version"]),
            "champion": int(self._config.champion["version"]),
            "state": self._known["state"] if running else "waiting",
            "failures": self._failures,
            "trouble": self._trouble or self._known.get("trouble", ""),
        }

    def stop(self) -> None:
        """End the child, if there is one."""
        self._forget(None)

    def _start(self, config: ShadowConfig) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._told.unlink(missing_ok=True)
        environment = {k: os.environ[k] for k in _KEPT_VARIABLES if k in os.environ}
        output: IO[bytes]
        with self._log.open("wb") as output:
            self._child = subprocess.Popen(
                [*self._command, config.to_json()],
                env=environment | _ONE_THREAD,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        only_when_idle(self._child.pid)
        self._beat_s, self._waited_s = self._clock(), 0.0
        self._scoring_since_s = None
        self._known = self._known | {"state": "loading"}  # its figures go on, not its state

    def _look(self, child: subprocess.Popen[bytes]) -> None:
        """Whether the child lives and speaks."""
        code = child.poll()
        self._hear(child.pid)
        if code is not None:
            self._fail(self._why(code))
        elif self._silent_s(child.pid) > self._hung_s:
            self._fail(f"it said nothing for {self._hung_s:g} s and was ended")

    def _silent_s(self, pid: int) -> float:
        return self._clock() - self._beat_s - (self._waited(pid) - self._waited_s)

    def _hear(self, pid: int) -> None:
        said = json_or_none(self._told)
        if said is None or said.get("pid") != pid:
            return
        if any(said.get(name) != self._known.get(name) for name in ("pid", "beats")):
            self._beat_s, self._waited_s = self._clock(), self._waited(pid)
        if said.get("state") == "scoring":
            if self._scoring_since_s is None:
                self._scoring_since_s = self._clock()
            if said.get("rows", 0) > self._known.get("rows", 0):
                self._trouble = ""  # it works
        self._known = said

    def _why(self, code: int) -> str:
        if code < 0:
            return f"it died of {signal.Signals(-code).name}"
        lines = self._log.read_text(errors="replace").strip().splitlines()
        said = lines[-1][-_TAIL_CHARACTERS:] if lines else "it said nothing"
        return f"it ended with {code}: {said}"

    def _fail(self, reason: str) -> None:
        self._end()
        self._failures += 1
        text = f"the shadow of version {self._version} failed: {reason}"
        if text != self._trouble:
            self._journal.append(self._project, FAILED, {"reason": text, "version": self._version})
        self._trouble = text
        now, since = self._clock(), self._scoring_since_s
        if since is not None and now - since >= _STEADY_S:
            self._pause_s = self._first_pause_s
        self._start_from_s = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _MOST_PAUSE_S)

    @property
    def _version(self) -> int:
        return 0 if self._config is None else int(self._config.challenger["version"])

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def _forget(self, config: ShadowConfig | None) -> None:
        """Another pair, or none: nothing that was known counts for it."""
        self._end()
        self._told.unlink(missing_ok=True)
        self._config = config
        self._known = {}
        self._pause_s = self._first_pause_s
        self._start_from_s = 0.0
        self._failures = 0
        self._trouble = ""
