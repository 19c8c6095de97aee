"""Requests at a constant pace: ``URL BODY-FILE RATE SECONDS CONNECTIONS``, then one line of JSON.

Open loop: request n is due at n / rate whatever the server does, and its latency counts from then,
so a server that stalls is charged with everybody who would have come meanwhile. One thread around
``select``, whose timeout is exact to microseconds (asyncio's timers wait for whole milliseconds).

The line: ``n`` sent, ``failed`` (not 200, or the connection broke), ``p50_ms``, ``p99_ms``,
``max_ms``, and ``late_ms``, by how much the client itself came late at most where a connection was
free: the error of this measurement.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit


class Line:
    """One kept connection with at most one request on it."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = self.sent = 0.0
        self.data = b""
        self.closes = False

    def fileno(self) -> int:
        return self.socket.fileno()

    def ask(self, request: bytes, due: float) -> None:
        self.due, self.data, self.sent = due, b"", time.perf_counter()
        self.socket.sendall(request)

    def hear(self) -> int | None:
        """The status once the answer is whole, 0 for a broken connection."""
        try:
            more = self.socket.recv(65536)
        except OSError:
            more = b""
        if not more:
            return 0
        self.data += more
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return None
        lower = head.lower()
        self.closes = b"\r\nconnection: close" in lower
        place = lower.index(b"content-length:") + 15
        length = int(lower[place:].split(b"\r\n", 1)[0])
        status = head[9:12]
        return (int(status) if status.isdigit() else 0) if len(body) >= length else None


class Seen(NamedTuple):
    """One request in the client's journal.

    Attributes:
        due_s: when it was due, from the start.
        latency_s: from then until its answer was whole.
        status: of the answer; 0 where none came or the connection broke.
        sent_s: how long the answer took since the request was sent, which is later than due where
            every line was taken.
    """

    due_s: float
    latency_s: float
    status: int
    sent_s: float = 0.0


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
        url: takes the body by POST.
        body: JSON.
        rate: requests a second.
        seconds: for how long.
        n_lines: connections, each with one request at a time.
        patience_s: how long the last are waited for. With 0, few lines and a rate that nobody
            keeps, it is a closed loop.

    Returns:
        The journal, and by how many seconds the client came late at most.
    """
    place = urlsplit(url)
    host, port = str(place.hostname), int(place.port or 80)
    request = (
        f"POST {place.path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    free = deque(Line(host, port) for _ in range(n_lines))
    busy: set[Line] = set()
    waiting: deque[float] = deque()
    journal: list[Seen] = []
    n_sent, n_all, late = 0, int(rate * seconds), 0.0
    start = time.perf_counter() + 0.05
    end = start + seconds + patience_s

    def done(line: Line, status: int) -> None:
        now = time.perf_counter()
        journal.append(Seen(line.due - start, now - line.due, status, now - line.sent))
        if not status or line.closes:
            line.socket.close()
            line = Line(host, port)
        free.append(line)

    while (n_sent < n_all or busy or waiting) and (now := time.perf_counter()) < end:
        while n_sent < n_all and start + n_sent / rate <= now:
            waiting.append(start + n_sent / rate)
            n_sent += 1
            if free:
                late = max(late, now - waiting[-1])
        while waiting and free:
            line = free.popleft()
            try:
                line.ask(request, waiting.popleft())
            except OSError:
                done(line, 0)
            else:
                busy.add(line)
        pause = start + n_sent / rate - time.perf_counter() if n_sent < n_all else 0.1
        for line in select.select(list(busy), [], [], max(pause, 0.0))[0]:
            status = line.hear()
            if status is not None:
                busy.discard(line)
                done(line, status)
    left = [line.due for line in busy] + list(waiting)
    journal += [Seen(due - start, time.perf_counter() - due, 0) for due in left]
    for line in (*free, *busy):
        line.socket.close()
    return journal, late


def at(latencies: Sequence[float], share: float) -> float | None:
    """A quantile in milliseconds; None of nothing."""
    if not latencies:
        return None
    return 1000 * sorted(latencies)[min(len(latencies) - 1, int(share * len(latencies)))]


if __name__ == "__main__":
    where, file, pace, duration, lines = sys.argv[1:]
    seen, lateness = run(
        where, Path(file).read_bytes(), rate=float(pace), seconds=float(duration),
        n_lines=int(lines),
    )  # fmt: skip
    answered = [one.latency_s for one in seen if one.status == 200]
    told = {
        "n": len(seen), "failed": len(seen) - len(answered), "p50_ms": at(answered, 0.5),
        "p99_ms": at(answered, 0.99), "max_ms": at(answered, 1.0), "late_ms": 1000 * lateness,
    }  # fmt: skip
    print(json.dumps(told))
