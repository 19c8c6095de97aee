"""The spool: files that replicas leave for the committer, one writer a name, in order.

A writer names itself once (``{replica}.{epoch}``, its *app*) and numbers its segments from 1. A
finished segment has its final name and is never changed again; the committer takes segments of one
app in ascending order and removes them after the commit, so a crash anywhere repeats work at most,
never loses it. Predictions are Arrow files written whole; labels are framed journals that grow.

Names: ``predictions-{app}-{number:08d}.arrow``, ``labels-{app}-{number:08d}.journal``; a journal
that is still written to ends in ``.open`` and its writer holds a lock on it. A lock that can be had
means that the writer is dead: the committer then takes the journal up to its last whole frame.
"""

from __future__ import annotations

import fcntl
import os
import re
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tenfold.canonical import fsync_folder

__all__ = [
    "FRAME_HEAD_BYTES",
    "Frames",
    "Segment",
    "frame",
    "make_folder",
    "new_app",
    "read_frames",
    "recover_journals",
    "segment_name",
    "segments",
    "spool_folder",
]

FRAME_HEAD_BYTES = 8
"""Four bytes of length and four of CRC-32 before each frame."""

_NAME = re.compile(r"^(predictions|labels)-([a-z0-9.]{1,80})-([0-9]{8,12})\.(arrow|journal)$")
_ENDINGS = {"predictions": "arrow", "labels": "journal"}


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A finished segment; sorts by app, then by number."""

    app: str
    number: int
    path: Path


def spool_folder(live: Path, project: str) -> Path:
    """Where the replicas of a project leave their segments."""
    return live / project / "spool"


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that they are there after a power cut too."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        fsync_folder(path.parent)


def new_app(replica: str) -> str:
    """A writer's name that no other writer ever had.

    >>> new_app("Endpoint#A1").startswith("endpointa1.")
    True
    """
    kept = re.sub(r"[^a-z0-9]", "", replica.lower())[:32]
    return f"{kept or 'replica'}.{uuid.uuid4().hex[:12]}"


def segment_name(kind: str, app: str, number: int) -> str:
    """The final name of a segment.

    >>> segment_name("labels", "a.1", 7)
    'labels-a.1-00000007.journal'
    """
    return f"{kind}-{app}-{number:08d}.{_ENDINGS[kind]}"


def segments(folder: Path, kind: str) -> list[Segment]:
    """The finished segments of one kind in the order in which they must be committed."""
    found = []
    if folder.is_dir():
        for path in folder.iterdir():
            match = _NAME.match(path.name)
            if match and match[1] == kind:
                found.append(Segment(match[2], int(match[3]), path))
    return sorted(found)


def frame(body: bytes) -> bytes:
    """One frame of a journal."""
    return len(body).to_bytes(4) + zlib.crc32(body).to_bytes(4) + body


class Frames(NamedTuple):
    """What a journal holds.

    Attributes:
        bodies: of the whole frames, from the start on.
        left_over: bytes behind them that are no whole frame: the last write of a killed writer,
            which nobody acknowledged, or damage. 0 in a journal that its writer finished.
    """

    bodies: list[bytes]
    left_over: int


def read_frames(data: bytes) -> Frames:
    """The whole frames up to the first that is torn or changed.

    >>> read_frames(frame(b"one") + frame(b"two") + frame(b"torn")[:-1])
    Frames(bodies=[b'one', b'two'], left_over=11)
    """
    bodies = []
    at = 0
    while at + FRAME_HEAD_BYTES <= len(data):
        size = int.from_bytes(data[at : at + 4])
        check = int.from_bytes(data[at + 4 : at + FRAME_HEAD_BYTES])
        body = data[at + FRAME_HEAD_BYTES : at + FRAME_HEAD_BYTES + size]
        if len(body) != size or zlib.crc32(body) != check:
            break
        bodies.append(body)
        at += FRAME_HEAD_BYTES + size
    return Frames(bodies, len(data) - at)


def recover_journals(folder: Path) -> list[Path]:
    """Finish the journals of dead writers; those of living writers are left alone.

    Returns:
        The journals that got their final names.
    """
    finished = []
    for path in sorted(folder.glob("labels-*.journal.open")):
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:  # its writer finished it meanwhile
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.rename(final := path.with_suffix(""))
            finished.append(final)
        except (BlockingIOError, FileNotFoundError):
            continue
        finally:
            os.close(handle)
    if finished:
        fsync_folder(folder)
    return finished
