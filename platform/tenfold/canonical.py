"""One way to turn values into bytes and bytes into files: canonical JSON, digests, whole writes."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenfold.errors import StoreError

__all__ = [
    "canonical_json",
    "finite_json",
    "finite_or_none",
    "fsync_folder",
    "json_or_none",
    "move_whole",
    "read_json",
    "sha256_hex",
    "store_error",
    "write_atomic",
]


def canonical_json(value: Any) -> bytes:
    """The one JSON text of a value: sorted keys, no blanks, UTF-8, shortest exact floats.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON has no word for.

    >>> canonical_json({"b": 1, "a": [0.1, "é"]}).decode()
    '{"a":[0.1,"é"],"b":1}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def finite_json(value: Any) -> Any:
    """JSON values with every NaN and infinity inside of them as null.

    >>> finite_json({"a": [1.0, float("inf")], "b": float("nan")})
    {'a': [1.0, None], 'b': None}
    """
    if isinstance(value, Mapping):
        return {key: finite_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite_json(inner) for inner in value]
    return finite_or_none(value) if isinstance(value, float) else value


def finite_or_none(value: float | None) -> float | None:
    """The number, or None for NaN and infinities: JSON's null, "not known".

    >>> finite_or_none(0.5), finite_or_none(float("nan"))
    (0.5, None)
    """
    return None if value is None or not math.isfinite(value) else float(value)


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 hex digits.

    >>> sha256_hex(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def write_atomic(path: Path, data: bytes | memoryview, *, mode: int = 0o644) -> None:
    """Write a file whole: temporary name, fsync, rename, fsync of the folder.

    A reader sees the old file or the new one; a crash leaves the old one.

    Raises:
        StoreError: the disk is full, read-only or failing; nothing half-written stays behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise store_error(path, error, size_bytes=len(data)) from error


def fsync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move_whole(folder: Path, path: Path) -> None:
    """Move a folder to its place, where it appears whole or not at all; nothing if it is there.

    Within a file system it is one rename; from another one it is copied first.

    Raises:
        StoreError: the disk is full, read-only or failing; nothing half-written stays behind.
    """
    if path.exists():
        return
    staged = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(path)
        except OSError:  # another file system
            shutil.copytree(folder, staged)
            staged.rename(path)
        fsync_folder(path.parent)
    except OSError as error:
        if not path.exists():  # else somebody else was first
            raise store_error(path, error) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def read_json(path: Path) -> Any:
    """Parse a JSON file of ours.

    Raises:
        StoreError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} must be a readable JSON file: {error}") from error


def json_or_none(path: Path) -> dict[str, Any] | None:
    """The JSON object of a file of ours, or None where there is none that can be read.

    >>> json_or_none(Path("/nowhere/pulled.json")) is None
    True
    """
    try:
        return dict(read_json(path))
    except (StoreError, TypeError, ValueError):
        return None


def store_error(path: Path, error: OSError, *, size_bytes: int | None = None) -> StoreError:
    """What to say when the disk refuses a file or folder of ours.

    Args:
        path: that could not be written.
        error: the operating system's word.
        size_bytes: what was to be written, where that is known.

    >>> store_error(Path("/store/a"), OSError(errno.EROFS, "Read-only file system")).args[0]
    '/store/a could not be written: Read-only file system'
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needs = "" if size_bytes is None else f": {path.name} needs {size_bytes} bytes"
        return StoreError(
            f"the disk under {path.parent} is full{needs}; "
            "free space or point TENFOLD_STORE elsewhere, then run the command again"
        )
    return StoreError(f"{path} could not be written: {error.strerror or error}")
