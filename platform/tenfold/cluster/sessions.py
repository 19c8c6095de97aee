"""Process sessions: what we started, whether it lives, and how it is ended without touching more.

Whoever starts servers calls `open_session` first: the process becomes the leader of a new session
of the operating system, and every process it starts inherits that session and an environment
marker. Ray 2.60 starts the GCS, the raylet, its agents, the workers and HAProxy in the session of
the process that called ``ray.init`` (looked at with ``ps -o sid``), so one number finds them all,
also after the leader was killed and the rest was adopted by process 1.

The marker finds the few that call ``setsid`` themselves, and it proves that a session whose leader
is dead is ours: numbers are used again. Linux only: everything is read from ``/proc``.
"""

from __future__ import annotations

import os
import select
import signal
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tenfold.errors import ClusterError

__all__ = [
    "MARKER",
    "SessionRecord",
    "alive",
    "end_session",
    "members",
    "open_session",
    "session_led_by",
]

MARKER = "TENFOLD_SESSION"
"""Environment variable whose value is inherited by every process of a session."""

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
_KILL_WAIT_S = 5.0
"""After SIGKILL only the kernel's own work is left; a process in disk sleep may take this long."""
_NAP_S = 0.05


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What identifies a session for as long as this machine runs.

    Attributes:
        pid: the leader.
        session: the session's number, equal to ``pid`` if the leader opened it.
        started: the leader's start time, in clock ticks since boot.
        boot: the boot it belongs to; a record of an earlier boot means nothing is left.
        marker: the value of `MARKER` in the environment of its processes.
    """

    pid: int
    session: int
    started: int
    boot: str
    marker: str

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> SessionRecord:
        """The inverse of `to_dict`; other keys are left alone.

        >>> one = SessionRecord(7, 7, 123, "b", "m")
        >>> SessionRecord.from_dict({**one.to_dict(), "port": 8000}) == one
        True
        """
        return cls(
            pid=int(value["pid"]),
            session=int(value["session"]),
            started=int(value["started"]),
            boot=str(value["boot"]),
            marker=str(value["marker"]),
        )


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    session: int
    started: int
    zombie: bool


def open_session() -> SessionRecord:
    """Make this process the leader of a new session and mark its environment.

    Call it before the first child and before Ray; a process that leads a session already keeps it.
    The marker is new each time: one that came down from another session would be ended with that.

    Raises:
        ClusterError: this system has no ``/proc``.
    """
    if os.getsid(0) != os.getpid():
        if os.getpgrp() == os.getpid():  # a group leader may not call setsid: step aside first
            raise ClusterError(
                "a session must be opened by a process that leads no process group; "
                "put `setsid` before the command"
            )
        os.setsid()
    os.environ[MARKER] = uuid.uuid4().hex
    return session_led_by(os.getpid(), marker=os.environ[MARKER])


def session_led_by(pid: int, *, marker: str) -> SessionRecord:
    """The record of the session that a living process leads.

    Args:
        pid: the leader. The session a process is merely *in* may be led by a process that cannot be
            seen (its number is 0 in a container that did not open one), so only leaders count.
        marker: the value of `MARKER` in the leader's environment.

    Raises:
        ClusterError: this system has no ``/proc``, or the process leads no session.
    """
    boot = _boot()
    leader = _process(pid)
    if leader is None or leader.session != pid:
        raise ClusterError(f"process {pid} must run and lead a session, and does not")
    return SessionRecord(pid=pid, session=pid, started=leader.started, boot=boot, marker=marker)


def alive(session: SessionRecord) -> bool:
    """Whether the session's leader still runs (the same process, not a later one of that number).

    >>> alive(SessionRecord(pid=1, session=1, started=0, boot="an earlier one", marker=""))
    False
    """
    if session.boot != _boot():
        return False
    leader = _process(session.pid)
    return leader is not None and leader.started == session.started and not leader.zombie


def members(session: SessionRecord) -> list[int]:
    """Every living process of the session, the leader first, the calling process left out."""
    if session.boot != _boot():
        return []
    found = [
        process
        for process in _processes()
        if process.started >= session.started and not process.zombie and process.pid != os.getpid()
    ]
    inside = [process for process in found if process.session == session.session]
    marked = {process.pid for process in found if _has_marker(process.pid, session.marker)}
    ours = alive(session) or any(process.pid in marked for process in inside)
    pids = marked | ({process.pid for process in inside} if ours else set())
    return sorted(pids, key=lambda pid: (pid != session.pid, pid))


def end_session(session: SessionRecord, *, grace_s: float = 15.0) -> list[int]:
    """End every process of the session and nothing else; no error if none is left.

    The leader gets SIGTERM and the grace to stop its own; what is left then gets SIGTERM, and
    SIGKILL after a second grace of at most two seconds.

    Args:
        session: what `record` gave, perhaps read from a file by another process.
        grace_s: seconds that the leader has for an orderly end.

    Returns:
        The processes that had to be ended because the leader did not.

    Raises:
        ClusterError: a process survived SIGKILL or belongs to somebody else.
    """
    if alive(session):
        _signal(session.pid, signal.SIGTERM)
        _await_end([session.pid], grace_s)
    left = members(session)
    for pid in left:
        _signal(pid, signal.SIGTERM)
    _await_end(left, min(2.0, grace_s))
    deadline = time.monotonic() + _KILL_WAIT_S
    while (stubborn := members(session)) and time.monotonic() < deadline:
        for pid in stubborn:  # in rounds: a supervisor may start another while it dies
            _signal(pid, signal.SIGKILL)
        _await_end(stubborn, 1.0)
    if stubborn:
        raise ClusterError(
            f"{len(stubborn)} processes of session {session.session} could not be ended: "
            f"{stubborn}; end them by hand, then run the command again"
        )
    return left


def _processes() -> list[_Process]:
    found = (_process(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit())
    return [process for process in found if process is not None]


def _process(pid: int) -> _Process | None:
    """Fields 3 (state), 6 (session) and 22 (start) of /proc/PID/stat; None if there is none."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name may hold blanks and parentheses
    return _Process(pid, int(fields[3]), int(fields[19]), fields[0] in "ZX")


def _has_marker(pid: int, marker: str) -> bool:
    if not marker:
        return False
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return f"{MARKER}={marker}".encode() in environment.split(b"\0")


def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError as error:
        raise ClusterError("process sessions need Linux: /proc cannot be read") from error


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise ClusterError(f"process {pid} belongs to another user and cannot be ended") from error


def _await_end(pids: list[int], timeout_s: float) -> None:
    """Wait until all have ended or the time is over."""
    deadline = time.monotonic() + timeout_s
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except (OSError, AttributeError):
            _await_by_looking(pid, deadline)
            continue
        try:
            left_s = max(0.0, deadline - time.monotonic())
            select.select([handle], [], [], left_s)
        finally:
            os.close(handle)


def _await_by_looking(pid: int, deadline: float) -> None:
    """For kernels and sandboxes without pidfd."""
    while time.monotonic() < deadline:
        process = _process(pid)
        if process is None or process.zombie:
            return
        time.sleep(_NAP_S)
