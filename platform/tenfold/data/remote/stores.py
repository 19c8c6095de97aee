"""Objects of S3, Google Cloud Storage and Azure, by Arrow's file systems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from tenfold.data.endpoints import check_endpoint
from tenfold.data.formats import ENDINGS
from tenfold.data.reasons import reason_of
from tenfold.data.remote.address import Address
from tenfold.data.remote.transfer import CHUNK_BYTES, Limits, Transfer, Version
from tenfold.errors import DataError
from tenfold.project.sources import FileSource

__all__ = ["StorePlace"]

_CONNECT_S, _REQUEST_S = 20, 60


class StorePlace:
    """See `Place`.

    ``s3://b/logs/`` has every object below ``logs/``, at any depth, that ends like a table and has
    no part that begins with ``_`` or a dot, as engines name what is no data; ``s3://b/logs/*.csv``
    has those directly below it. Names are keys below what stands before the last slash.

    Args:
        spec: the source.
        address: the same, taken apart.
        limits: bounds.

    Raises:
        DataError: the endpoint is not public, or the options do not fit together.
    """

    def __init__(self, spec: FileSource, address: Address, limits: Limits) -> None:
        self._spec = spec
        self._address = address
        self._limits = limits
        options, self._hide = address.resolved()
        endpoint = options.get("endpoint_override")
        if endpoint and not spec.allow_private:
            # Of Azure, an authority that begins with a dot follows the account's name.
            account = options.get("account", "") if endpoint.startswith(".") else ""
            check_endpoint(account + endpoint, source=spec.name)
        with self._telling():
            self._files = _file_system(address.scheme, options)
        self._base, _, self._last = address.path.rpartition("/")

    def objects(self) -> list[tuple[str, int | None]]:
        """See `Place`."""
        with self._telling():
            found = self._found()
        if not found:
            raise DataError(
                f"source {self._spec.name!r}: {self._address.shown} holds no object that ends in "
                f"{', '.join(ENDINGS)}; put the table there or name its object"
            )
        if len(found) > self._limits.n_objects:
            raise DataError(
                f"source {self._spec.name!r}: a source has at most {self._limits.n_objects} "
                f"objects, and {self._address.shown} has {len(found)}; name a narrower prefix"
            )
        return sorted((name, size) for name, size in found.items())

    def shown(self, name: str) -> str:
        """See `Place`."""
        return f"{self._address.scheme}://{self._path(name)}"

    @contextmanager
    def transfer(self, name: str, known: Version | None) -> Iterator[Transfer | None]:
        """See `Place`; an object that changes while it is copied is refused."""
        path = self._path(name)
        with self._telling(), self._files.open_input_stream(path) as stream:
            version = self._version(path, stream)
            if known is not None and version.same(known):
                yield None
                return
            yield Transfer(version, iter(lambda: stream.read(CHUNK_BYTES), b""))
            with self._files.open_input_stream(path) as again:
                after = self._version(path, again)
        if not after.same(version):
            raise DataError(
                f"source {self._spec.name!r}: {self.shown(name)} changed while it was copied; "
                "run the command again"
            )

    def _version(self, path: str, stream: pa.NativeFile) -> Version:
        """Of the object as it was opened; its time of change alone is asked for where needed."""
        facts = {key.lower(): value.decode() for key, value in (stream.metadata() or {}).items()}
        size = facts.get("content-length")
        changed = facts.get("last-modified", "")
        if not size or not changed:
            info = self._files.get_file_info(path)
            size = size or str(info.size)
            changed = changed or datetime.fromtimestamp(info.mtime_ns / 1e9, UTC).isoformat()
        return Version(facts.get("etag", ""), int(size), changed)

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}".lstrip("/")

    def _found(self) -> dict[str, int]:
        if any(mark in self._last for mark in "*["):
            infos = self._files.get_file_info(pafs.FileSelector(self._base))
            return {
                info.base_name: info.size
                for info in infos
                if info.type == pafs.FileType.File
                and fnmatchcase(info.base_name, self._last)
                and (not _is_hidden(info.base_name) or _is_hidden(self._last))
            }
        if self._last:
            (info,) = self._files.get_file_info([self._address.path])
            if info.type == pafs.FileType.File:
                return {self._last: info.size}
            if info.type == pafs.FileType.NotFound:
                raise FileNotFoundError("no such object or prefix")
        folder = self._address.path.rstrip("/")
        infos = self._files.get_file_info(pafs.FileSelector(folder, recursive=True))
        return {
            info.path.removeprefix(self._base).lstrip("/"): info.size
            for info in infos
            if info.type == pafs.FileType.File and _is_part(info.path.removeprefix(folder))
        }

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise DataError(
                f"source {self._spec.name!r}: {self._address.shown} is not there "
                f"({reason_of(error, self._hide)}); correct the path"
            ) from error
        except (OSError, pa.ArrowException, ValueError) as error:
            raise DataError(
                f"source {self._spec.name!r}: {self._address.shown} cannot be read "
                f"({reason_of(error, self._hide)}); check the path, the options behind '?' and "
                "the credentials of the environment"
            ) from error


def _is_part(name: str) -> bool:
    hidden = any(_is_hidden(part) for part in name.strip("/").split("/"))
    return not hidden and name.lower().endswith(ENDINGS)


def _is_hidden(part: str) -> bool:
    return part.startswith(("_", "."))


def _file_system(scheme: str, options: dict[str, str]) -> pafs.FileSystem:
    """Credentials of the environment are used where the options name none."""
    given: dict[str, Any] = dict(options)
    if "anonymous" in given:
        given["anonymous"] = given["anonymous"].lower() == "true"
    if scheme == "s3":
        return pafs.S3FileSystem(**given, connect_timeout=_CONNECT_S, request_timeout=_REQUEST_S)
    if scheme == "gs":
        return pafs.GcsFileSystem(**given, retry_time_limit=timedelta(seconds=_REQUEST_S))
    account = given.pop("account", "")
    if not account:
        raise ValueError("az:// needs '?account=NAME'")
    endpoint, web = given.pop("endpoint_override", None), given.pop("scheme", None)
    # Arrow asks a second service of the account for folders. Left to itself it would ask the
    # public cloud's, with the account's key, whatever store the endpoint is of.
    return pafs.AzureFileSystem(
        account,
        blob_storage_authority=endpoint,
        dfs_storage_authority=endpoint and endpoint.replace(".blob.", ".dfs."),
        blob_storage_scheme=web,
        dfs_storage_scheme=web,
        **given,
    )
