"""Reading the few FlatBuffers fields of an Arrow message that must be known before it is decoded.

Arrow's own reader decompresses as it reads: 4 kB become 128 MB before anybody can look. These
fields say beforehand how many rows a batch claims and whether it is compressed. Every access is
checked against the buffer.

Source: Arrow's ``format/Message.fbs`` and the FlatBuffers binary format: a table starts with the
signed distance back to its vtable, which holds the offset of each field, 0 for one that is absent.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

__all__ = ["Broken", "Header", "read_header"]

_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_KINDS: Final = {_SCHEMA: "schema", _DICTIONARY: "dictionary", _BATCH: "batch"}
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3  # fields of Message
_LENGTH, _COMPRESSION = 0, 3  # fields of RecordBatch
_DATA = 1  # field of DictionaryBatch


class Broken(ValueError):
    """The bytes are no message."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a message says of itself.

    Attributes:
        kind: ``schema``, ``dictionary``, ``batch`` or ``other``.
        n_rows: of a batch, or values of a dictionary; 0 for others.
        compressed: whether its buffers are.
        body_bytes: of what follows the metadata.
    """

    kind: str
    n_rows: int = 0
    compressed: bool = False
    body_bytes: int = 0


def read_header(metadata: bytes) -> Header:
    """The header of one encapsulated message's metadata.

    Raises:
        Broken: an offset leads outside.
    """
    message = _follow(metadata, 0)
    place = _field(metadata, message, _HEADER_TYPE)
    number = _read(metadata, "<B", place) if place else 0
    kind = _KINDS.get(number, "other")
    place = _field(metadata, message, _BODY_LENGTH)
    body_bytes = _read(metadata, "<q", place) if place else 0
    if body_bytes < 0:
        raise Broken("a negative length")
    place = _field(metadata, message, _HEADER)
    if kind not in ("batch", "dictionary") or not place:
        return Header(kind, body_bytes=body_bytes)
    batch = _follow(metadata, place)
    if kind == "dictionary":
        place = _field(metadata, batch, _DATA)
        if not place:
            raise Broken("a dictionary without data")
        batch = _follow(metadata, place)
    place = _field(metadata, batch, _LENGTH)
    n_rows = _read(metadata, "<q", place) if place else 0
    if n_rows < 0:
        raise Broken("a negative length")
    return Header(kind, n_rows, bool(_field(metadata, batch, _COMPRESSION)), body_bytes)


def _follow(data: bytes, place: int) -> int:
    return place + _read(data, "<I", place)


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a table lies; 0 if it is absent."""
    vtable = table - _read(data, "<i", table)
    if vtable < 0 or 6 + 2 * number > _read(data, "<H", vtable):
        return 0
    offset = _read(data, "<H", vtable + 4 + 2 * number)
    return table + offset if offset else 0


def _read(data: bytes, form: str, place: int) -> int:
    try:
        if place < 0:
            raise Broken("an offset before the message")
        value: int = struct.unpack_from(form, data, place)[0]
    except struct.error as error:
        raise Broken("an offset behind the message") from error
    return value
