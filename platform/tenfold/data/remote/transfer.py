"""What every kind of remote place gives: listed objects, and the bytes of one at one version."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

__all__ = ["CHUNK_BYTES", "Limits", "Place", "Transfer", "Transient", "Version"]

CHUNK_BYTES = 1024 * 1024
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """What remote files may cost, whatever the other side sends.

    Attributes:
        object_bytes: of one object.
        total_bytes: of all objects of a source, where they are known before.
        n_objects: of a prefix or a pattern; more want a lake table.
        tries: of one object, where a failure may pass by itself.
        wait_s: before the second try; doubled before each further one.
        object_s: longest time of one transfer, however slowly it goes on.
    """

    object_bytes: int = 64 * _GIB
    total_bytes: int = 256 * _GIB
    n_objects: int = 100_000
    tries: int = 4
    wait_s: float = 0.5
    object_s: float = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of an object from another.

    Attributes:
        etag: the server's own mark; empty where it gives none.
        size_bytes: None where it is not told before the bytes come.
        changed: the time of the last change as the server writes it; empty where unknown.
    """

    etag: str
    size_bytes: int | None
    changed: str

    def same(self, other: Version) -> bool:
        """Whether two versions are surely one content: by mark, else by time and size."""
        if self.etag or other.etag:
            return self.etag == other.etag
        return bool(self.changed) and self == other


@dataclass(frozen=True, slots=True)
class Transfer:
    """The bytes of one object, on their way.

    Attributes:
        version: what they are.
        chunks: to be read once.
    """

    version: Version
    chunks: Iterable[bytes]


class Place(Protocol):
    """A server or a store. Used by one thread; made anew in each worker."""

    def objects(self) -> list[tuple[str, int | None]]:
        """Names, relative to the place, and sizes where they are known; in order of names.

        Raises:
            DataError: there is none, or too many, or the place refuses.
        """
        ...

    def transfer(self, name: str, known: Version | None) -> AbstractContextManager[Transfer | None]:
        """Open an object; None where it still is what is known.

        Raises:
            DataError: it is gone, refused, or not what it claims to be.
            Transient: a failure that may pass by itself.
        """
        ...

    def shown(self, name: str) -> str:
        """The address of an object, without secrets."""
        ...


class Transient(Exception):
    """A failure that may pass by itself; the text is the reason."""
