"""A reader of universal binary JSON (ubjson.org, draft 12), for files that must not be trusted.

XGBoost writes its models in it and reads them without looking: a length or an index that is wrong
is followed out of bounds. This one reads within its bytes or refuses, and never reserves more than
they hold. Arrays of one numeric type become NumPy arrays, the others lists.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

__all__ = ["read_ubjson"]

_NUMBERS: Final = {
    b"i": (">i1", ">b"),
    b"U": (">u1", ">B"),
    b"I": (">i2", ">h"),
    b"l": (">i4", ">i"),
    b"L": (">i8", ">q"),
    b"d": (">f4", ">f"),
    b"D": (">f8", ">d"),
}
"""Type marker → NumPy's and struct's names."""
_WHOLE: Final = (b"i", b"U", b"I", b"l", b"L")
_WORDS: Final = {b"Z": None, b"T": True, b"F": False}
_MAX_DEPTH: Final = 32


def read_ubjson(data: bytes) -> Any:
    """The one value that the bytes hold.

    Raises:
        ValueError: they are no such thing, or more.

    >>> read_ubjson(b"{i\\x01a[$l#i\\x02\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x08i\\x01bSi\\x02hi}")
    {'a': array([7, 8], dtype=int32), 'b': 'hi'}
    >>> read_ubjson(b"[$l#i\\x09\\x00")
    Traceback (most recent call last):
    ValueError: 36 bytes are wanted at byte 6 and 1 are left
    """
    reader = _Reader(data)
    value = reader.value(reader.take(1), 0)
    if reader.at != len(data):
        raise ValueError(f"the value ends at byte {reader.at} of {len(data)}")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.at:
            left = len(self.data) - self.at
            raise ValueError(f"{size} bytes are wanted at byte {self.at} and {left} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def next_is(self, marker: bytes) -> bool:
        """Whether the marker comes next; it is taken then."""
        if self.data[self.at : self.at + 1] != marker:
            return False
        self.at += 1
        return True

    def value(self, marker: bytes, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError(f"values are nested deeper than {_MAX_DEPTH} at byte {self.at}")
        if marker in _NUMBERS:
            form = _NUMBERS[marker][1]
            return struct.unpack(form, self.take(struct.calcsize(form)))[0]
        if marker in _WORDS:
            return _WORDS[marker]
        if marker == b"S":
            return self.text()
        if marker == b"[":
            return self.array(depth)
        if marker == b"{":
            return self.object(depth)
        raise ValueError(f"{marker!r} at byte {self.at - 1} is no type")

    def length(self) -> int:
        marker = self.take(1)
        if marker not in _WHOLE:
            raise ValueError(f"a length at byte {self.at - 1} is a whole number, not {marker!r}")
        return int(self.value(marker, 0))

    def text(self) -> str:
        return self.take(self.length()).decode()  # its error is a ValueError

    def array(self, depth: int) -> Any:
        if self.next_is(b"$"):
            marker = self.take(1)
            if marker not in _NUMBERS or not self.next_is(b"#"):
                raise ValueError(f"an array of one type at byte {self.at} has numbers and a length")
            kind = np.dtype(_NUMBERS[marker][0])
            size = self.length()
            raw = self.take(size * kind.itemsize)
            return np.frombuffer(raw, kind).astype(kind.newbyteorder("="))
        found = []
        if self.next_is(b"#"):
            for _ in range(self.length()):  # each takes a byte at least, or is refused
                found.append(self.value(self.take(1), depth + 1))
            return found
        while not self.next_is(b"]"):
            found.append(self.value(self.take(1), depth + 1))
        return found

    def object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self.next_is(b"}"):
            name = self.text()
            if name in found:
                raise ValueError(f"{name!r} at byte {self.at} comes twice")
            found[name] = self.value(self.take(1), depth + 1)
        return found
