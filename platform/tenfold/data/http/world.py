"""What surrounds a client: time, chance, name servers and bounds, all of them to be given."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

import httpcore

from tenfold.data.guard import Resolver, resolve_host

__all__ = ["Clock", "Limits", "SystemClock", "World"]

_MIB = 2**20


class Clock(Protocol):
    """Time to wait by. Travels to other processes with the stream that holds it."""

    def now(self) -> float:
        """Seconds since some fixed moment; never runs backward."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when so many seconds, zero or more, have passed."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's."""

    def now(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer may cost us, whatever the server sends.

    Attributes:
        page_bytes: decoded bytes of one answer: parsed, they take about ten times as much memory.
        depth: objects and lists inside of each other; no table needs many.
        columns: columns of all records: twice the widest table that Tenfold is tested with.
        pages: pages of one pull; more are a loop, or a source that wants larger pages.
        redirects: of one request.
        wait_s: longest wait before one more try, also where Retry-After asks for more.
    """

    page_bytes: int = 64 * _MIB
    depth: int = 64
    columns: int = 20_000
    pages: int = 100_000
    redirects: int = 5
    wait_s: float = 120.0


@dataclass(frozen=True, slots=True)
class World:
    """The surroundings of one stream.

    Attributes:
        clock: what waits go by; sockets go by the machine's own.
        resolve: from host names to addresses.
        network: opens connections to addresses that were checked; sockets if None.
        limits: bounds of answers.
        seed: of the waits between tries; None draws anew, so that many workers do not knock at
            the same moment.
    """

    clock: Clock = field(default_factory=SystemClock)
    resolve: Resolver = resolve_host
    network: httpcore.NetworkBackend | None = None
    limits: Limits = field(default_factory=Limits)
    seed: int | None = None
