"""Connections from HAProxy to the replicas, opened before a burst needs them.

A server on libuv (1.45 and later) takes one new connection a turn of its loop and answers all that
the others sent between two: of a burst that needs twenty new ones the last request waited 0.2 s,
while later ones on kept connections had 0.01. HAProxy keeps those it has (`tenfold_serve.haproxy`);
here the keeper opens them, all that a replica may have, when nobody asks: after the start, after
HAProxy or a replica was started anew, and where clients that hung up took theirs along.

HAProxy opens one for every request that it sends on while all others wait for answers, so that many
requests are held open: with more of a body than HAProxy waits for, and less than it was told of.
Whatever the replica makes of them, an answer proves that its connection is there.
"""

from __future__ import annotations

import csv
import logging
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tenfold_serve.haproxy import OPENING

__all__ = ["Connections", "open_connections"]

log = logging.getLogger("tenfold.serve")

_LOOK_S: Final = 2.0
_AFTER_FAILURE_S: Final = 60.0
_PATIENCE_S: Final = 1.0
_EACH_S: Final = 0.005
"""Opening one takes a tenth of that on two idle cores."""
_BODY_BYTES: Final = 40_000
"""More than HAProxy's buffer of 16 KiB, so that it does not wait for the rest."""
_QUIET: Final = 20
"""Requests in the last second: probes and scrapes. Else clients open what they need themselves."""


class Connections:
    """Opens what is missing. Used from one thread.

    Args:
        folder: the private folder under which HAProxy's sockets lie.
        urls: of the endpoints by project; an application has its project's name.
        each: connections that a replica may have.
    """

    def __init__(self, folder: Path, urls: Mapping[str, str], *, each: int) -> None:
        self._folder = folder
        self._urls = dict(urls)
        self._each = each
        self._due = 0.0

    def step(self) -> None:
        """Look, now and then, and open what is missing where nobody asks. Never raises.

        For as long as it takes, some 30 ms and a third of a second at most where all stand still,
        requests that come wait in HAProxy.
        """
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _LOOK_S
        try:
            wanting = self.wanting()
        except Exception as error:  # noqa: BLE001  (HAProxy is started anew: looked at again)
            log.debug("HAProxy does not tell its connections: %s", error)
            return
        for name, n_replicas in wanting.items():
            try:
                word = str(next(self._folder.glob("*/a.sock")).parent)
                open_connections(self._urls[name], self._each * n_replicas, word=word)
            except OSError as error:
                log.debug("connections to replicas of %s were not opened: %s", name, error)
                self._due = time.monotonic() + _AFTER_FAILURE_S

    def wanting(self) -> dict[str, int]:
        """Projects whose replicas have fewer connections than they may and hardly a request, each
        with the number of its replicas; none where HAProxy does not run.

        Raises:
            OSError: HAProxy does not answer.
            ValueError: it says what nobody understands.
        """
        found: dict[str, int] = {}
        for path in self._folder.glob("*/a.sock"):
            servers = list(_replicas(_ask(path, "show stat")))
            for name in self._urls:
                own = [server for server in servers if server["pxname"] == f"http-{name}"]
                n_open = _sum(own, "idle_conn_cur", "safe_conn_cur", "used_conn_cur")
                quiet = not _sum(own, "scur", "qcur") and _sum(own, "rate") < _QUIET
                if quiet and n_open < self._each * len(own):
                    found[name] = len(own)
        return found


def _replicas(stat: str) -> Iterator[dict[str, str]]:
    """Its servers that are up and no stand-in."""
    for server in csv.DictReader(stat.removeprefix("# ").splitlines()):
        if server["act"] == "1" and server["svname"] != "BACKEND" and server["status"] == "UP":
            yield server


def _sum(servers: Sequence[Mapping[str, str]], *fields: str) -> int:
    return sum(int(server[field] or 0) for server in servers for field in fields)


def _ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(_PATIENCE_S)
        asked.connect(str(path))
        asked.sendall(f"{command}\n".encode())
        parts = []
        while part := asked.recv(65536):
            parts.append(part)
    return b"".join(parts).decode()


def open_connections(url: str, n_connections: int, *, word: str) -> int:
    """Have so many requests open at once at an endpoint, for 5 ms each at most.

    Args:
        url: of the endpoint; ``/healthz`` below it is asked.
        n_connections: so many.
        word: by which HAProxy knows who opens them, see `tenfold_serve.haproxy.OPENING`.

    Returns:
        How many were answered while all were open.

    Raises:
        OSError: nobody listens, or not all were answered in time.
    """
    place = urlsplit(url)
    address = str(place.hostname), int(place.port or 80)
    request = (
        f"GET {place.path}/healthz HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n"
        f"{OPENING}: {word}\r\nContent-Length: {_BODY_BYTES + 1}\r\n\r\n"
    ).encode() + b" " * _BODY_BYTES
    until = time.monotonic() + _EACH_S * n_connections

    def in_time(one: socket.socket) -> socket.socket:
        one.settimeout(_left(until))
        return one

    with ExitStack() as stack:
        asked: list[socket.socket] = []
        try:
            for _ in range(n_connections):
                one = socket.create_connection(address, timeout=_left(until))
                asked.append(stack.enter_context(one))
            for one in asked:
                in_time(one).sendall(request)
            n_answered = sum(in_time(o).recv(65536).startswith(b"HTTP/1.1 200 ") for o in asked)
        finally:  # requests that end whole leave their connections open
            for one in asked:
                one.settimeout(0)
                with suppress(OSError):
                    one.send(b" ")
        for one in asked:
            while in_time(one).recv(65536):
                pass
    return n_answered


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("not all were answered in time")
    return left
