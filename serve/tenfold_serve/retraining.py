"""One retrain at a time, as a child process of the keeper: ``python -m tenfold_jobs retrain``.

The child stays in the keeper's process session, so whoever ends the session ends it too. A retrain
that a crash interrupted has a ``retrain_started`` row in the journal and no end:
`Retraining.resume` closes it as failed, and the policy, whose evidence survives, decides again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from tenfold.state import Entry, Journal

__all__ = ["RetrainResult", "Retraining"]

_GATE_MISSED: Final = 3
_TAIL_CHARACTERS: Final = 1000
_STOP_S: Final = 10.0
_NICENESS: Final = 10
"""Of the child and all that it starts: answers come first where both want the same cores."""
_MAX_STARTS: Final = 200
"""Starts that the policy's cool-down looks at."""

STARTED: Final = "retrain_started"
DONE: Final = "retrain_done"
FAILED: Final = "retrain_failed"


@dataclass(frozen=True, slots=True)
class RetrainResult:
    """How a retrain ended; ``record`` is what the command printed, None if it failed."""

    record: dict[str, Any] | None
    reason: str


class Retraining:
    """The retrain of one project. Used from one thread.

    Args:
        project: name of the project.
        path: its project file.
        folder: where the child's output goes.
        journal: where starts and ends are written down.
        command: what is run, for tests; the jobs wing by default.
    """

    def __init__(
        self,
        project: str,
        *,
        path: Path,
        folder: Path,
        journal: Journal,
        command: list[str] | None = None,
    ) -> None:
        self._project = project
        self._journal = journal
        self._output = folder / f"retrain-{project}.json"
        self._log = folder / f"retrain-{project}.log"
        self._command = command or [
            sys.executable, "-m", "tenfold_jobs", "retrain", str(path), "--json",
        ]  # fmt: skip
        self._child: subprocess.Popen[bytes] | None = None
        self._files: list[IO[bytes]] = []
        # Asked for every second, and only this object writes such rows: read when they changed.
        self._starts: tuple[float, ...] | None = None
        self._counts: dict[str, int] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a child runs or its end was not looked at yet."""
        return self._child is not None

    def start(self, reason: str) -> None:
        """Start a retrain; does nothing while one runs."""
        if self._child is not None:
            return
        self._append(STARTED, {"reason": reason})
        self._output.parent.mkdir(parents=True, exist_ok=True)
        self._files = [self._output.open("wb"), self._log.open("wb")]
        self._child = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=self._files[0], stderr=self._files[1]
        )
        with suppress(ProcessLookupError):  # it has ended already; `poll` says how
            own = os.getpriority(os.PRIO_PROCESS, self._child.pid)
            os.setpriority(os.PRIO_PROCESS, self._child.pid, max(own, _NICENESS))

    def poll(self) -> RetrainResult | None:
        """The result once, when the child has ended; it is journaled."""
        if self._child is None or self._child.poll() is None:
            return None
        result = self._result(self._child.returncode)
        self._forget()
        if result.record is None:
            self._append(FAILED, {"reason": result.reason})
        else:
            body = {"reason": result.reason, **_kept(result.record)}
            self._append(DONE, body)
        return result

    def resume(self) -> None:
        """Close what an earlier keeper left open; call once, before the first `start`."""
        last = self._newest(STARTED)
        ends = [e.id for e in (self._newest(DONE), self._newest(FAILED)) if e is not None]
        if last is not None and last.id > max(ends, default=0):
            body = {"reason": "interrupted: the keeper stopped before it ended"}
            self._append(FAILED, body)

    def starts_s(self) -> tuple[float, ...]:
        """When the newest retrains began, seconds since 1970, oldest first."""
        if self._starts is None:
            rows = self._journal.tail(self._project, _MAX_STARTS, kind=STARTED)
            self._starts = tuple(datetime.fromisoformat(row.at).timestamp() for row in rows)
        return self._starts

    def counts(self) -> dict[str, int]:
        """Ended retrains by result, as the journal has them."""
        if self._counts is None:
            self._counts = {
                "done": self._journal.count(self._project, DONE),
                "failed": self._journal.count(self._project, FAILED),
            }
        return dict(self._counts)

    def stop(self) -> None:
        """End a running child and say so in the journal; one that has ended by itself gets its own
        end there."""
        if self._child is None or self.poll() is not None:
            return
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._forget()
        body = {"reason": "interrupted: the keeper was stopped"}
        self._append(FAILED, body)

    def _append(self, kind: str, body: dict[str, Any]) -> None:
        self._journal.append(self._project, kind, body)
        self._starts = self._counts = None

    def _newest(self, kind: str) -> Entry | None:
        rows = self._journal.tail(self._project, 1, kind=kind)
        return rows[-1] if rows else None

    def _result(self, code: int) -> RetrainResult:
        try:
            record = json.loads(self._output.read_bytes())
        except (OSError, ValueError):
            record = None
        if code in (0, _GATE_MISSED) and isinstance(record, dict):
            reason = str(record.get("reason") or f"version {record.get('version')} was trained")
            return RetrainResult(record, reason)
        tail = self._log.read_text(errors="replace").strip()[-_TAIL_CHARACTERS:]
        return RetrainResult(None, f"the command ended with {code}: {tail or 'it said nothing'}")

    def _forget(self) -> None:
        for file in self._files:
            file.close()
        self._child = None


def _kept(record: dict[str, Any]) -> dict[str, Any]:
    names = ("version", "alias", "digest", "window", "rows", "metrics", "gates")
    return {name: record[name] for name in names if name in record}
