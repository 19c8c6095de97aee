"""Encodings of CSV files: which ones can be cut at record ends without decoding the whole.

A file is cut by looking for line feeds and quotes among its code units, and each piece is decoded
alone, so memory stays bounded. That is right for encodings in which these two signs are one unit
that stands for nothing else: those that extend ASCII without states, and UTF-16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["UTF_8", "Encoding", "Undecodable", "encoding_of"]

_MARKS = {
    "utf-8": (b"\xef\xbb\xbf",),
    "utf-16": (b"\xff\xfe", b"\xfe\xff"),
    "utf-16-le": (b"\xff\xfe",),
    "utf-16-be": (b"\xfe\xff",),
}


class Undecodable(ValueError):
    """A byte is not of the encoding.

    Attributes:
        offset: of the byte within the data.
        byte: its value.
    """

    def __init__(self, offset: int, byte: int) -> None:
        super().__init__(f"byte 0x{byte:02X} at offset {offset}")
        self.offset = offset
        self.byte = byte


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoding, its byte order settled.

    Attributes:
        name: Python's, e.g. ``cp1252``.
        unit_bytes: 1, or 2 for UTF-16.
    """

    name: str
    unit_bytes: int = 1

    def units(self, data: bytes) -> NDArray[np.unsignedinteger]:
        """The code units; a half one at the end is left out."""
        if self.unit_bytes == 1:
            return np.frombuffer(data, np.uint8)
        order = ">u2" if self.name.endswith("be") else "<u2"
        return np.frombuffer(data[: len(data) // 2 * 2], order)

    def decode(self, data: bytes) -> str:
        """The text.

        Raises:
            Undecodable: with the place of the first byte that is none of this encoding.
        """
        try:
            return data.decode(self.name)
        except UnicodeDecodeError as error:
            raise Undecodable(error.start, data[error.start]) from error


UTF_8 = Encoding("utf-8")


def encoding_of(name: str, first: bytes) -> tuple[Encoding, int]:
    """The encoding of a file and the bytes of its byte-order mark.

    UTF-16 without a mark is taken for little-endian, as nearly all programs write it.

    Args:
        name: as `tenfold.project.encodings.known_encoding` gives it.
        first: the first bytes of the file.

    >>> encoding_of("utf-16", b"\\xfe\\xff\\x00a")
    (Encoding(name='utf-16-be', unit_bytes=2), 2)
    """
    marks = [mark for mark in _MARKS.get(name, ()) if first.startswith(mark)]
    start = len(marks[0]) if marks else 0
    if not name.startswith("utf-16"):
        return Encoding(name), start
    big = name == "utf-16-be" or (name == "utf-16" and marks == [b"\xfe\xff"])
    return Encoding("utf-16-be" if big else "utf-16-le", 2), start
