"""Requests at a constant pace, open loop, and the journal of what came back.

Request n is due at n / rate whatever the server does, and its latency counts from then, so a server
that stalls is charged with everybody who would have come meanwhile.

The client itself is `paced.c` beside this file, built on first use. It stands on the server's
cores, so what it takes is part of every figure: 45 us of a core a request, which are the kernel's
calls. The same loop in Python took 88, and at half of saturation a server that shares two cores
with it had half as many answers again above 5 ms (`wrk` is as light, but only closed loop).
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np

SOURCE = Path(__file__).with_name("paced.c")
_COMPILE = ("cc", "-O2", "-Wall", "-Wextra")
_COLUMNS = 4


class Seen(NamedTuple):
    """One request in the client's journal.

    Attributes:
        due_s: when it was due, by `time.monotonic`.
        latency_s: from then until its answer was whole.
        sent_s: how long the answer took since the request was sent, which is later than due where
            every line was taken; 0 where it never was.
        status: of the answer; 0 where none came or the connection broke.
    """

    due_s: float
    latency_s: float
    sent_s: float
    status: int


def run(
    url: str,
    body: bytes,
    *,
    rate: float,
    seconds: float,
    n_lines: int,
    patience_s: float = 10.0,
) -> tuple[list[Seen], float]:
    """Send them all and wait for the last.

    Args:
        url: takes the body by POST; of a host with an IPv4 address.
        body: JSON.
        rate: requests a second.
        seconds: for how long.
        n_lines: connections, each with one request at a time; who was idle last is asked first.
        patience_s: how long the last are waited for. With 0, few lines and a rate that nobody
            keeps, it is a closed loop.

    Returns:
        The journal, and by how many seconds the client came late at most where a connection was
        free: the error of this measurement.

    Raises:
        RuntimeError: nothing listens there, an answer does not say how long it is, or there is no C
            compiler.
    """
    place = urlsplit(url)
    host, port = str(place.hostname), int(place.port or 80)
    head = (
        f"POST {place.path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with tempfile.NamedTemporaryFile() as file:
        file.write(head.encode() + body)
        file.flush()
        words = [socket.gethostbyname(host), port, file.name, rate, seconds, n_lines, patience_s]
        done = subprocess.run([client(), *map(str, words)], capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{SOURCE.name} ended with {done.stderr.decode()!r}")
    rows = np.frombuffer(done.stdout).reshape(-1, _COLUMNS)
    return [Seen(*row[:3], int(row[3])) for row in rows[1:].tolist()], float(rows[0, 0])


@functools.cache
def client() -> Path:
    """The program, compiled once for each state of its source."""
    state = SOURCE.read_bytes() + repr((_COMPILE, platform.uname())).encode()
    folder = Path.home() / ".cache" / "tenfold-paced"
    found = folder / hashlib.sha256(state).hexdigest()[:16]
    if not found.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"{found.name}.{os.getpid()}"
        command = [*_COMPILE, "-o", str(fresh), str(SOURCE)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise RuntimeError("a C compiler is needed (Debian's build-essential)") from None
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{SOURCE.name} does not compile:\n{error.stderr}") from error
        fresh.replace(found)
    return found


def at(latencies: Sequence[float], share: float) -> float | None:
    """A quantile in milliseconds; None of nothing."""
    if not latencies:
        return None
    return 1000 * sorted(latencies)[min(len(latencies) - 1, int(share * len(latencies)))]
