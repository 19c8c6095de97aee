"""Places outside, copied once: the contract of a pull and the segments that it leaves.

A database, an API or a lake table cannot be cut and read again like a file: it changes, and it
costs. So it is *pulled*: streams of rows are written as Arrow files under
``{store}/pulls/{project}/{source}/``, and everything after reads those. A pull ends with one atomic
write of ``pulled.json``; killed before, it goes on with the same plan and the parts that are whole.

An incremental pull adds a segment with the rows whose watermark is not below the last one, less the
rows of exactly that watermark that were pulled already (told by their hashes): a row that shares
the last watermark and came later is neither lost nor repeated.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from tenfold.canonical import (
    canonical_json,
    json_or_none,
    read_json,
    sha256_hex,
    write_atomic,
)
from tenfold.data.arrow_file import read_arrow, write_arrow
from tenfold.data.drivers import Driver
from tenfold.data.source import BLOCK_BYTES
from tenfold.data.stored import StoredSource
from tenfold.data.text import DEFAULT_MARKERS
from tenfold.data.watermark import Mark, advance, common_order, leave_out
from tenfold.errors import DataError, StoreError
from tenfold.progress import Progress

__all__ = ["PullPlan", "Pullable", "Stream", "open_pull", "pull"]

FORMAT_VERSION = 1
_PULLED, _PULLING = "pulled.json", "pulling.json"
_PART_BYTES = 4 * BLOCK_BYTES
"""Bytes of rows a stored file aims at: one is one piece of the preparation."""


class Stream(Protocol):
    """Some rows of a place: a small value that travels to any process and is read there."""

    def batches(self) -> Iterator[pa.Table]:
        """The rows in tables of bounded size (a few MiB), text or typed flat columns.

        Tables may differ in columns and types: they are matched by name later. Called again after
        a failure, it starts from the beginning.

        Raises:
            DataError: the place refuses, is missing or answers what it must not.
        """
        ...


@dataclass(frozen=True, slots=True)
class PullPlan:
    """What one pull will read; JSON, so that a killed pull goes on with it.

    Attributes:
        streams: JSON that `Pullable.streams` makes the streams from, no secrets.
        lineage: JSON for the snapshot's manifest: what pins the rows (a table version, the
            largest watermark, the time of the pull).
    """

    streams: tuple[dict[str, Any], ...]
    lineage: dict[str, Any] = field(default_factory=dict)


class Pullable(Protocol):
    """A place to pull from. Used by one thread; `streams` travel to others."""

    @property
    def name(self) -> str:
        """The name in messages and in the quarantine table."""
        ...

    @property
    def watermark(self) -> str | None:
        """The column of an incremental pull, else None."""
        ...

    def identity(self) -> dict[str, Any]:
        """JSON that says what is asked for, without secrets: another identity starts afresh."""
        ...

    def plan(self, since: Mark | None) -> PullPlan:
        """Look at the place and decide what to read: all, or what is not below ``since``.

        Raises:
            DataError: it cannot be reached or has no such table, column or records.
        """
        ...

    def streams(self, plan: PullPlan) -> Sequence[Stream]:
        """The streams of a plan, perhaps one that a killed pull left."""
        ...

    def sample(self) -> pa.Table:
        """The first rows, for a look; bounded in size and time.

        Raises:
            DataError: as `plan`.
        """
        ...

    def size_hint(self) -> int:
        """About how many bytes a whole pull would store, to choose a driver by; 0 if unknown."""
        ...


def pull(
    place: Pullable,
    folder: Path,
    *,
    driver: Driver,
    progress: Progress,
    markers: Collection[str] = DEFAULT_MARKERS,
) -> StoredSource:
    """Pull what is new, or all, and give what is stored.

    Args:
        place: what to read.
        folder: of this source alone; made if it is not there. The caller holds the project's lock.
        driver: runs the streams.
        progress: is told of every stream.
        markers: texts that mean that a row has no watermark.

    Raises:
        DataError: the place refuses.
        StoreError: the disk refuses; a later run goes on where this one stopped.
    """
    identity = sha256_hex(canonical_json({"format": FORMAT_VERSION, **place.identity()}))
    before = _read(folder, identity)
    since = None if place.watermark is None or before is None else _mark_of(before)
    plan, work = _plan(place, folder, identity, since)
    streams = place.streams(plan)
    left = [n for n in range(len(streams)) if not (work / f"stream-{n:05d}.json").exists()]
    job = _StreamJob(work, tuple(streams), place.watermark, since, tuple(sorted(markers)))
    with progress.step(f"pull {place.name}", total=len(streams)) as told:
        told(len(streams) - len(left))
        for _ in driver.run(job, left):
            told(1)
    parts = [part for n in range(len(streams)) for part in _parts(work, n)]
    grown = before is not None and place.watermark is not None
    segments = list(before["segments"]) if before is not None and grown else []
    if parts or not segments:
        segments.append({"folder": work.name, "parts": parts, "lineage": plan.lineage})
    made = {
        "format_version": FORMAT_VERSION,
        "identity": identity,
        "segments": segments,
        "last": work.name,
        "mark": _next_mark(place, work, parts, since, markers),
    }
    write_atomic(folder / _PULLED, canonical_json(made))
    _sweep(folder, keep={segment["folder"] for segment in segments})
    return _stored(place.name, folder, made)


def open_pull(place: Pullable, folder: Path) -> StoredSource | None:
    """What an earlier pull of the same place stored, or None."""
    identity = sha256_hex(canonical_json({"format": FORMAT_VERSION, **place.identity()}))
    made = _read(folder, identity)
    return None if made is None else _stored(place.name, folder, made)


@dataclass(frozen=True)
class _StreamJob:
    """Write the rows of one stream as files, then a record of them."""

    folder: Path
    streams: tuple[Stream, ...]
    watermark: str | None
    since: Mark | None
    markers: tuple[str, ...]

    def __call__(self, piece: int) -> None:
        parts: list[dict[str, Any]] = []
        waiting: list[pa.Table] = []
        for table in self.streams[piece].batches():
            fresh = leave_out(table, self.watermark, self.since, markers=self.markers)
            if not fresh.num_rows:
                continue
            if waiting and not fresh.schema.equals(waiting[-1].schema):
                parts.append(self._write(piece, len(parts), waiting))
                waiting = []
            waiting.append(fresh)
            if sum(part.nbytes for part in waiting) >= _PART_BYTES:
                parts.append(self._write(piece, len(parts), waiting))
                waiting = []
        if waiting:
            parts.append(self._write(piece, len(parts), waiting))
        write_atomic(self.folder / f"stream-{piece:05d}.json", canonical_json({"parts": parts}))

    def _write(self, piece: int, number: int, tables: list[pa.Table]) -> dict[str, Any]:
        table = pa.concat_tables(tables)
        name = f"part-{piece:05d}-{number:05d}.arrow"
        data = write_arrow(self.folder / name, table)
        return {
            "name": name,
            "n_rows": table.num_rows,
            "size_bytes": len(data),
            "sha256": sha256_hex(data),
        }


def _plan(
    place: Pullable, folder: Path, identity: str, since: Mark | None
) -> tuple[PullPlan, Path]:
    """The plan of a pull that was killed, else a new one; and the folder of its parts."""
    mark = None if since is None else {**asdict(since), "hashes": list(since.hashes)}  # as JSON
    asked = {"identity": identity, "since": mark}
    found = json_or_none(folder / _PULLING)
    if found is not None and {key: found.get(key) for key in asked} == asked:
        work = folder / str(found["folder"])
        if work.is_dir() and work.name not in _ended(folder):
            return PullPlan(tuple(found["streams"]), dict(found["lineage"])), work
    plan = place.plan(since)
    number = 1 + max((int(p.name.split("-")[1]) for p in folder.glob("segment-*")), default=-1)
    work = folder / f"segment-{number:05d}"
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise StoreError(
            f"{work} could not be made: {error.strerror}; see TENFOLD_STORE"
        ) from error
    record = {
        **asked,
        "folder": work.name,
        "streams": list(plan.streams),
        "lineage": plan.lineage,
    }
    write_atomic(folder / _PULLING, canonical_json(record))
    return plan, work


def _ended(folder: Path) -> set[str]:
    """Folders of pulls that ended: one killed before its plan was removed is not gone on with."""
    made = json_or_none(folder / _PULLED)
    if made is None:
        return set()
    return {str(made.get("last")), *(str(segment["folder"]) for segment in made["segments"])}


def _parts(work: Path, stream: int) -> list[dict[str, Any]]:
    return list(read_json(work / f"stream-{stream:05d}.json")["parts"])


def _next_mark(
    place: Pullable,
    work: Path,
    parts: Sequence[dict[str, Any]],
    since: Mark | None,
    markers: Collection[str],
) -> dict[str, Any] | None:
    if place.watermark is None:
        return None
    order = None
    if since is None:  # the order of all blocks, not of the one that comes first
        tables = (read_arrow(work / part["name"]) for part in parts)
        order = common_order(tables, place.watermark, markers=markers)
    mark = since
    for part in parts:
        table = read_arrow(work / part["name"])
        mark = advance(mark, table, place.watermark, order=order, markers=markers)
    return None if mark is None else asdict(mark)


def _mark_of(made: dict[str, Any]) -> Mark | None:
    return None if made["mark"] is None else Mark(**made["mark"])


def _read(folder: Path, identity: str) -> dict[str, Any] | None:
    made = json_or_none(folder / _PULLED)
    if made is None or made.get("identity") != identity:
        return None
    for segment in made["segments"]:
        for part in segment["parts"]:
            file = folder / segment["folder"] / part["name"]
            if not file.is_file() or file.stat().st_size != part["size_bytes"]:
                return None  # a damaged copy is no copy: all is read again
    return made


def _sweep(folder: Path, *, keep: set[str]) -> None:
    (folder / _PULLING).unlink(missing_ok=True)
    for other in folder.glob("segment-*"):
        if other.name not in keep:
            shutil.rmtree(other, ignore_errors=True)


def _stored(name: str, folder: Path, made: dict[str, Any]) -> StoredSource:
    files = [
        (folder / segment["folder"] / part["name"], part)
        for segment in made["segments"]
        for part in segment["parts"]
    ]
    if not files:
        raise DataError(f"source {name!r} has no rows; give at least one row")
    return StoredSource(
        name=name,
        files=tuple(path for path, _ in files),
        digests=tuple(part["sha256"] for _, part in files),
        lineage=tuple(segment["lineage"] for segment in made["segments"]),
    )
