"""Servers of the benchmark: each in a process session of its own, ended whole."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tenfold.cluster.sessions import MARKER, end_session, session_led_by

__all__ = ["Target", "await_answer", "free_port", "server"]

_GRACE_S = 20.0
_START_S = 120.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where one row is asked for, and how.

    Attributes:
        name: of the system.
        url: takes the body by POST.
        body: JSON of one row, in the form that the system wants.
    """

    name: str
    url: str
    body: bytes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(
    command: Sequence[str], *, log: Path, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A running command. In the end it and all that it started are ended, also what it left alone.

    Args:
        command: the program.
        log: where its words go.
        folder: where it runs.
        env: added to the environment.
    """
    marker = uuid.uuid4().hex
    environment = {**os.environ, **(env or {}), MARKER: marker}
    with log.open("wb") as words:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT,
            env=environment, cwd=folder, start_new_session=True,
        )  # fmt: skip
        session = session_led_by(child.pid, marker=marker)
        try:
            yield child
        finally:
            end_session(session, grace_s=_GRACE_S)
            child.wait()


def await_answer(target: Target, child: subprocess.Popen[bytes], *, log: Path) -> None:
    """Wait until a target answers 200.

    Raises:
        RuntimeError: it ended, or does not answer in time; with the end of its log.
    """
    end = time.monotonic() + _START_S
    headers = {"content-type": "application/json"}
    said = ""
    while child.poll() is None and time.monotonic() < end:
        try:
            reply = httpx.post(target.url, content=target.body, headers=headers, timeout=5)
            if reply.status_code == 200:
                return
            said = f"{reply.status_code} {reply.text[:300]}"
        except httpx.HTTPError as error:
            said = repr(error)
        time.sleep(0.2)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise RuntimeError(f"{target.name} does not answer: {said}\n{tail}")
