"""Remote files as local ones: each object is copied whole once for each of its versions.

A copy appears under its name when all of its bytes are there and counted; what was copied before
and has not changed is not asked for again. The copies live as long as the objects are listed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from tenfold.canonical import (
    canonical_json,
    fsync_folder,
    json_or_none,
    store_error,
    write_atomic,
)
from tenfold.data.drivers import Driver
from tenfold.data.files import FileSource
from tenfold.data.remote.address import WEB, Address
from tenfold.data.remote.transfer import Limits, Place, Transfer, Transient, Version
from tenfold.errors import DataError, StoreError
from tenfold.progress import Progress
from tenfold.project.sources import FileSource as FileSpec

__all__ = ["RemoteFiles"]

_COPIES, _RECORDS, _PARTIAL = "copies", "records", "partial"
_FETCHED = "fetched.json"
_SAMPLE_ROWS = 1000
_SAMPLE_OBJECTS = 3
"""So many are tried for a look where broken ones are spared; each is copied whole."""
_LONGEST_NAME = 200
"""Bytes of a copy's name; file systems take 255, and a partial copy has a longer one."""


@dataclass(frozen=True, slots=True)
class RemoteFiles:
    """Files of one source on a web server or an object store.

    Attributes:
        spec: the source as the project file says; secrets are references.
        address: its path, taken apart.
        limits: bounds of what is copied.
        spare: a copy, or a piece of one, that cannot be read is one reject and no error.
    """

    spec: FileSpec
    address: Address
    limits: Limits = field(default_factory=Limits)
    spare: bool = False

    @classmethod
    def of(cls, spec: FileSpec, *, spare: bool = False) -> RemoteFiles:
        """The files that a source names; nothing is asked for yet.

        Raises:
            DataError: the address cannot be read, or holds a secret.
        """
        return cls(spec, Address.of(spec), spare=spare)

    def fetch(self, folder: Path, *, driver: Driver, progress: Progress) -> FileSource:
        """Copy what is new or has changed, and give the copies as a source.

        Args:
            folder: of this source alone; made if it is not there. The caller holds the project's
                lock. Every worker must reach it.
            driver: runs the copies.
            progress: is told of every object.

        Raises:
            DataError: the other side refuses, breaks off, sends too much or has no such object.
            StoreError: the disk refuses; a later call goes on with the copies that are whole.
        """
        place = _place(self.spec, self.address, self.limits)
        objects = place.objects()
        self._check_total(sum(size or 0 for _, size in objects))
        names = [name for name, _ in objects]
        for part in (_COPIES, _RECORDS, _PARTIAL):
            try:
                (folder / part).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"{folder} could not be made: {error.strerror}; see TENFOLD_STORE"
                ) from error
        done = folder / _FETCHED
        done.unlink(missing_ok=True)  # from here on copies may be of several moments
        job = _CopyJob(self, folder, tuple(names))
        with progress.step(f"fetch {self.spec.name}", total=len(names)) as told:
            for _ in driver.run(job, range(len(names))):
                told(1)
        _sweep(folder, keep={_copy_name(name) for name in names})
        write_atomic(done, canonical_json({"address": self.spec.path, "names": names}))
        source = self.fetched(folder)
        if source is None:
            raise StoreError(f"copies under {folder} are gone; run the command again")
        return source

    def fetched(self, folder: Path) -> FileSource | None:
        """What the last `fetch` of the same address copied, or None; asks nobody.

        Args:
            folder: as for `fetch`.
        """
        done = json_or_none(folder / _FETCHED)
        if done is None or done.get("address") != self.spec.path:
            return None
        copies = [_copy_name(name) for name in done["names"]]
        records = [json_or_none(folder / _RECORDS / f"{copy}.json") for copy in copies]
        found = [record for record in records if record is not None and _whole(folder, record)]
        if len(found) < len(copies):
            return None
        path = folder / _COPIES / (copies[0] if len(copies) == 1 else "*")
        lineage = tuple({key: record[key] for key in _LINEAGE} for record in found)
        return FileSource(
            path,
            name=self.spec.name,
            format=self.spec.format,
            encoding=self.spec.encoding,
            lineage=lineage,
            spare=self.spare,
        )

    def sample(self) -> pa.Table:
        """The first rows, for a look: the first object alone is copied, and not kept.

        Where broken ones are spared, the next one is tried, up to the third.

        Raises:
            DataError: as `fetch`; or an object has no rows, or cannot be read.
        """
        place = _place(self.spec, self.address, self.limits)
        first, *more = [name for name, _ in place.objects()][:_SAMPLE_OBJECTS]
        try:
            return self._first_rows(place, first)
        except DataError:
            for name in more if self.spare else ():
                with contextlib.suppress(DataError):
                    return self._first_rows(place, name)
            raise

    def _first_rows(self, place: Place, name: str) -> pa.Table:
        with TemporaryDirectory(prefix="tenfold-") as folder:
            for part in (_COPIES, _RECORDS, _PARTIAL):
                (Path(folder) / part).mkdir()
            _CopyJob(self, Path(folder), (name,))(0)
            copy = Path(folder) / _COPIES / _copy_name(name)
            source = FileSource(
                copy,
                name=self.spec.name,
                format=self.spec.format,
                encoding=self.spec.encoding,
            )
            for shard in source.shards():
                table = shard.read().table
                if table.num_rows:
                    return table.slice(0, _SAMPLE_ROWS)
        raise DataError(
            f"source {self.spec.name!r}: {place.shown(name)} has a header and no rows; give at "
            "least one row"
        )

    def size_hint(self) -> int:
        """About how many bytes a fetch would store; 0 for a web server, which is not asked."""
        objects = _place(self.spec, self.address, self.limits).objects()
        return sum(size or 0 for _, size in objects)

    def _check_total(self, size_bytes: int) -> None:
        if size_bytes > self.limits.total_bytes:
            raise DataError(
                f"source {self.spec.name!r}: the objects of a source have at most "
                f"{self.limits.total_bytes} bytes, and those of {self.address.shown} have "
                f"{size_bytes}; name fewer of them"
            )


_LINEAGE = ("object", "etag", "size_bytes", "changed", "sha256", "fetched")


@dataclass(frozen=True)
class _CopyJob:
    """Copy one object, unless its copy is of the version that is there now."""

    files: RemoteFiles
    folder: Path
    names: tuple[str, ...]

    def __call__(self, piece: int) -> None:
        spec, limits = self.files.spec, self.files.limits
        place = _place(spec, self.files.address, limits)
        name = self.names[piece]
        wait_s = limits.wait_s
        for left in reversed(range(limits.tries)):
            try:
                self._copy(place, name)
            except Transient as reason:
                if not left:
                    raise DataError(
                        f"source {spec.name!r}: {place.shown(name)} could not be copied in "
                        f"{limits.tries} tries: in the last one {reason}; run the command again"
                    ) from None
                time.sleep(wait_s)
                wait_s *= 2
            else:
                return

    def _copy(self, place: Place, name: str) -> None:
        copy = _copy_name(name)
        known = self._known(copy)
        version = None if known is None else _version(known)
        with place.transfer(name, version) as transfer:
            if transfer is None:
                return
            partial = self.folder / _PARTIAL / f"{copy}.part"
            try:
                size_bytes, digest = self._write(partial, transfer, place.shown(name))
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        record = {
            **asdict(transfer.version),
            "address": self.files.spec.path,
            "name": name,
            "copy": copy,
            "object": place.shown(name),
            "size_bytes": size_bytes,
            "sha256": digest,
            "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._show(partial, self.folder / _COPIES / copy, record)

    def _show(self, partial: Path, path: Path, record: dict[str, Any]) -> None:
        """Old record away, new copy in place, new record: a record is never of another copy."""
        file = self.folder / _RECORDS / f"{record['copy']}.json"
        try:
            file.unlink(missing_ok=True)
            moment = _moment_ns(record["changed"])
            if moment is not None:  # the same object copied anew has the same fingerprint
                os.utime(partial, ns=(moment, moment))
            partial.replace(path)
            fsync_folder(path.parent)
        except OSError as error:
            raise store_error(path, error, size_bytes=record["size_bytes"]) from error
        write_atomic(file, canonical_json(record))

    def _write(self, partial: Path, transfer: Transfer, shown: str) -> tuple[int, str]:
        most = self.files.limits.object_bytes
        wanted = transfer.version.size_bytes
        self._check_size(shown, wanted or 0, most)
        digest, size = hashlib.sha256(), 0
        handle = None
        try:
            for chunk in transfer.chunks:
                size += len(chunk)
                self._check_size(shown, size, most)
                digest.update(chunk)
                with _writing(partial, size):
                    handle = handle or partial.open("wb")
                    handle.write(chunk)
            with _writing(partial, size):
                handle = handle or partial.open("wb")
                handle.flush()
                os.fsync(handle.fileno())
        finally:
            if handle is not None:
                handle.close()
        if wanted is not None and size != wanted:
            raise Transient(f"{size} of {wanted} bytes came")
        return size, digest.hexdigest()

    def _check_size(self, shown: str, size_bytes: int, most: int) -> None:
        if size_bytes > most:
            raise DataError(
                f"source {self.files.spec.name!r}: an object has at most {most} bytes, and {shown} "
                "has more; cut it into several"
            )

    def _known(self, copy: str) -> dict[str, Any] | None:
        record = json_or_none(self.folder / _RECORDS / f"{copy}.json")
        if record is None or record["address"] != self.files.spec.path:
            return None
        return record if _whole(self.folder, record) else None


def _place(spec: FileSpec, address: Address, limits: Limits) -> Place:
    """Imported when it is asked for: stores load Arrow's clients of them."""
    if address.scheme in WEB:
        from tenfold.data.remote.web import WebPlace

        return WebPlace(spec, address, limits)
    from tenfold.data.remote.stores import StorePlace

    return StorePlace(spec, address, limits)


def _copy_name(name: str) -> str:
    """A file name for an object's; the ending stays, since formats are told by it.

    >>> _copy_name("day=1/a b.csv")
    'day%3D1%2Fa%20b.csv'
    """
    text = quote(name, safe="")
    if text.startswith("."):  # neither hidden nor a folder above
        text = f"%2E{text[1:]}"
    if len(text) <= _LONGEST_NAME:
        return text
    return hashlib.sha256(name.encode()).hexdigest() + text[-32:].rpartition("%2F")[2]


def _version(record: dict[str, Any]) -> Version:
    return Version(record["etag"], record["size_bytes"], record["changed"])


def _whole(folder: Path, record: dict[str, Any]) -> bool:
    copy = folder / _COPIES / record["copy"]
    return copy.is_file() and bool(copy.stat().st_size == record["size_bytes"])


def _sweep(folder: Path, *, keep: set[str]) -> None:
    """Copies of objects that are no longer there, and what a killed fetch left."""
    for record in (folder / _RECORDS).iterdir():
        if record.name.removesuffix(".json") not in keep:
            record.unlink()
    for part in (_COPIES, _PARTIAL):
        for file in (folder / part).iterdir():
            if part == _PARTIAL or file.name not in keep:
                file.unlink()


@contextlib.contextmanager
def _writing(path: Path, size_bytes: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise store_error(path, error, size_bytes=size_bytes) from error


def _moment_ns(changed: str) -> int | None:
    """Nanoseconds since 1970 of a server's time of change."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with contextlib.suppress(ValueError, TypeError):
            return int(parse(changed).timestamp()) * 10**9
    return None
