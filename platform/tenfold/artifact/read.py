"""Read an artifact: every name, size and digest is right before one byte is parsed by an engine.

The order matters. Model formats are parsed by native code that does not validate: of 60 single bit
flips in an XGBoost file, 14 crashed the process and 8 predicted something else. So: open without
following links, manifest, exact set of files, sizes, SHA-256; the bytes that were checked are the
bytes that are used, since they are held in memory and never read again.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tenfold.artifact.layout import MANIFEST_FILE
from tenfold.artifact.manifest import Manifest
from tenfold.canonical import sha256_hex
from tenfold.errors import ArtifactError

__all__ = ["MAX_FILE_BYTES", "MAX_MANIFEST_BYTES", "Artifact", "read_artifact"]

MAX_MANIFEST_BYTES = 32 * 1024 * 1024
"""A schema of 100 columns with full domains (10,000 texts each) takes about 20 MB."""

MAX_FILE_BYTES = 4 * 1024**3
"""Larger files would not fit a replica's memory twice."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified artifact.

    Attributes:
        path: its folder.
        manifest: what it says.
        files: the bytes of every other file, as verified.
    """

    path: Path
    manifest: Manifest
    files: Mapping[str, bytes]

    def json(self, name: str) -> object:
        """One file, parsed.

        Raises:
            ArtifactError: it is not JSON.
        """
        return _parse(self.files[name], name)


def read_artifact(folder: Path, *, digest: str | None = None) -> Artifact:
    """Verify a folder and hold its bytes. Reads only; safe from several processes at once.

    Args:
        folder: of the artifact. If its name is 64 hex digits, as in the registry's store, that is
            the digest that the manifest must have.
        digest: the artifact digest to insist on.

    Raises:
        ArtifactError: the folder or a file is missing, more than it should be, a link, not a plain
            file, of another size or digest, or the manifest breaks a law.
    """
    folder = Path(folder)
    if digest is None and _DIGEST.fullmatch(folder.name):
        digest = folder.name
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ArtifactError(
            f"{folder} is not a folder of an artifact ({error.strerror}); publish the model again"
        ) from error
    try:
        raw = _read(handle, MANIFEST_FILE, limit=MAX_MANIFEST_BYTES)
        if digest is not None and sha256_hex(raw) != digest:
            raise _tampered(MANIFEST_FILE, f"does not have the digest {digest}")
        manifest = Manifest.from_dict(_parse(raw, MANIFEST_FILE))
        if manifest.to_bytes() != raw:
            raise _tampered(MANIFEST_FILE, "is not in canonical form")
        _check_names(set(os.listdir(handle)), manifest)  # noqa: PTH208  (by handle, not by path)
        files = {name: _read_checked(handle, name, manifest) for name in manifest.files}
    finally:
        os.close(handle)
    return Artifact(folder, manifest, files)


def _check_names(found: set[str], manifest: Manifest) -> None:
    expected = {MANIFEST_FILE, *manifest.files}
    if found != expected:
        raise ArtifactError(
            f"an artifact holds exactly the files of its manifest: "
            f"missing {sorted(expected - found)}, unknown {sorted(found - expected)}; "
            "publish the model again"
        )


def _read_checked(handle: int, name: str, manifest: Manifest) -> bytes:
    entry = manifest.files[name]
    data = _read(handle, name, limit=min(entry.size, MAX_FILE_BYTES))
    if len(data) != entry.size:
        raise _tampered(name, f"has {len(data)} bytes, not {entry.size}")
    if sha256_hex(data) != entry.sha256:
        raise _tampered(name, "does not have the digest of the manifest")
    return data


def _read(handle: int, name: str, *, limit: int) -> bytes:
    """All bytes of a plain file of at most ``limit`` bytes."""
    try:
        file = os.open(name, _FLAGS, dir_fd=handle)
    except OSError as error:
        raise _tampered(name, f"cannot be opened ({error.strerror})") from error
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise _tampered(name, "is not a plain file")
        if status.st_nlink != 1:
            raise _tampered(name, "has another name elsewhere (a hard link)")
        if status.st_size > limit:
            raise _tampered(name, f"has {status.st_size} bytes, more than {limit}")
        with os.fdopen(file, "rb", closefd=False) as stream:
            return stream.read(limit + 1)
    finally:
        os.close(file)


def _parse(data: bytes, name: str) -> object:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _tampered(name, f"is not JSON ({error})") from error
    return value


def _tampered(name: str, fault: str) -> ArtifactError:
    return ArtifactError(
        f"{name} {fault}; the artifact is damaged and nothing of it was used: publish it again"
    )
