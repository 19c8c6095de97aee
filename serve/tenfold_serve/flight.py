"""Which model a replica was busy with when it died: a page of memory that outlives the process.

A replica writes into a mapped file that a canary scores, and that it does not any more: 0.4 us for
a canary's request, nothing for a champion's. A lock on the file tells whether its process lives. So
when a native crash ends a replica, the supervisor finds the file without its lock, and what was
going on in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Final, NamedTuple

from tenfold.features.codes import Codes
from tenfold.inference import Prediction
from tenfold_serve.batching import Predicts

__all__ = ["Calls", "Ended", "Flight", "InFlight", "ended_flights", "flights_folder"]

_FORM: Final = struct.Struct("<qqdd")  # canary, in flight or 0, seconds of flight, since when
_PACK: Final = _FORM.pack_into
_PAGE: Final = mmap.PAGESIZE
_PLACES: Final = 0, _FORM.size
"""Of the calls in the loop, and of those beside it. One thread writes each, so there is no lock."""


def flights_folder(keeper: Path, project: str) -> Path:
    """Where a project's replicas tell what their canaries do.

    Args:
        keeper: folder of the keeper: of this machine, as its processes are.
        project: its name.
    """
    return keeper / "flights" / project


class Ended(NamedTuple):
    """A process that ended while it had a canary, without saying so.

    Attributes:
        version: of the canary.
        in_flight: whether the canary was scoring.
        busy_ratio: share of the time that the canary scored, until then.
    """

    version: int
    in_flight: bool
    busy_ratio: float


class Calls:
    """The calls of a canary in one thread, one after the other.

    Of a canary that is not the newest nothing is told: its call may hang for as long as the replica
    lives.

    Args:
        page: where they are written down.
        place: in it, bytes from its start.
    """

    def __init__(self, page: mmap.mmap, place: int) -> None:
        self._page = page
        self._place = place
        self._version = 0
        self._busy_s = 0.0
        self._since_s = 0.0
        self._begun_s = 0.0

    def begin(self, version: int) -> None:
        """Whatever happens from now on is that canary's doing."""
        now = time.monotonic()
        if version != self._version:
            self._version, self._busy_s, self._since_s = version, 0.0, now
        self._begun_s = now
        _PACK(self._page, self._place, version, version, self._busy_s, now - self._since_s)

    def end(self, version: int) -> None:
        """Until now; call it also where the canary failed."""
        if version != self._version:
            return
        now = time.monotonic()
        self._busy_s += now - self._begun_s
        _PACK(self._page, self._place, version, 0, self._busy_s, now - self._since_s)


class Flight:
    """What one replica's canary does now, in the event loop and beside it.

    Args:
        path: of the file; None keeps it in memory only.

    Attributes:
        inside: calls in the loop.
        beside: calls in the thread of a canary that is aside.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: int | None = None
        self._page = self._open(path)
        self.inside, self.beside = (Calls(self._page, place) for place in _PLACES)

    def _open(self, path: Path | None) -> mmap.mmap:
        if path is None:
            return mmap.mmap(-1, _PAGE)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Locked under another name first: whoever looks finds no file that is not locked yet.
        temporary = path.with_name(f".{path.name}")
        self._file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.ftruncate(self._file, _PAGE)
        temporary.replace(path)
        return mmap.mmap(self._file, _PAGE)

    @property
    def in_flight(self) -> bool:
        """Whether a canary is scoring."""
        return any(_FORM.unpack_from(self._page, place)[1] for place in _PLACES)

    def close(self) -> None:
        """End without having died."""
        if self._file is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


class InFlight:
    """A canary that tells that it is at work: a crash in a call is its doing.

    Args:
        predictor: the model.
        calls: of the replica's `Flight`, of the thread that calls it.
        version: of the canary.
    """

    def __init__(self, predictor: Predicts, calls: Calls, *, version: int) -> None:
        self._predictor = predictor
        self._calls = calls
        self._version = version

    def predict_codes(self, codes: Codes) -> Prediction:
        """See `tenfold.inference.Predictor.predict_codes`."""
        self._calls.begin(self._version)
        try:
            return self._predictor.predict_codes(codes)
        finally:
            self._calls.end(self._version)


def ended_flights(folder: Path) -> list[Ended]:
    """Processes that ended since the last call; their files are removed.

    Args:
        folder: of the files; it need not be there.
    """
    found = []
    for path in sorted(folder.glob("[!.]*")) if folder.is_dir() else []:
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                told = os.pread(file, len(_PLACES) * _FORM.size, 0)
                path.unlink(missing_ok=True)
            finally:
                os.close(file)
            if len(told) == len(_PLACES) * _FORM.size:
                found += _read(told)
    return found


def _read(told: bytes) -> list[Ended]:
    """What a process told of each of its canaries; one may have been in both places."""
    parts: dict[int, list[tuple[int, float, float]]] = {}
    for place in _PLACES:
        version, in_flight, busy_s, lived_s = _FORM.unpack_from(told, place)
        if version:
            parts.setdefault(version, []).append((in_flight, busy_s, lived_s))
    return [
        Ended(
            version,
            any(in_flight for in_flight, _, _ in found),
            min(1.0, sum(_ratio(busy_s, lived_s) for _, busy_s, lived_s in found)),
        )
        for version, found in parts.items()
    ]


def _ratio(busy_s: float, lived_s: float) -> float:
    return min(1.0, busy_s / lived_s) if lived_s > 0.0 else 0.0
