"""How much a protobuf message holds, before anything is made of it.

Two bytes can stand for an object of a hundred: ten megabytes of empty tensors are five million, and
half a gigabyte. So fields are counted first, in the message and in those within it.

Source: protobuf's wire format (protobuf.dev, "Encoding"): a field is a varint of number and type,
then a varint, four or eight bytes, or a length and so many bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["INFER", "has_more_fields"]

Within = Mapping[int, Any]
"""Messages within a message that are looked into, by the numbers of their fields."""

INFER: Final[Within] = {4: {}, 5: {4: {}, 5: {}}, 6: {2: {}}}
"""``ModelInferRequest``: parameters, inputs with their parameters and contents, outputs."""

_VARINT: Final = 0
_BYTES: Final = 2
_FIXED: Final = {1: 8, 5: 4}
"""Bytes by the type of a field, where they are as many."""
_SMALLEST: Final = 2
"""Bytes of a field."""
_LONGEST: Final = 63
"""Bits of a varint before its last byte."""


def has_more_fields(data: bytes, most: int, *, within: Within) -> bool:
    """Whether a message has more fields than so many, with those of the messages within it.

    A message of which so many would not fit is not looked at. What is broken is left to the parser.

    >>> tensors = bytes([0x2A, 0]) * 3  # three inputs without anything
    >>> has_more_fields(tensors, 2, within=INFER), has_more_fields(tensors, 3, within=INFER)
    (True, False)
    """
    if len(data) <= _SMALLEST * most:
        return False
    n_fields = 0
    left = [(0, len(data), within)]
    try:
        while left:
            place, end, inside = left.pop()
            while place < end:
                tag, place = _varint(data, place)
                n_fields += 1
                if n_fields > most:
                    return True
                kind, number = tag & 7, tag >> 3
                if kind == _BYTES:
                    size, place = _varint(data, place)
                    if number in inside:
                        left.append((place, min(place + size, end), inside[number]))
                    place += size
                elif kind == _VARINT:
                    _, place = _varint(data, place)
                else:
                    place += _FIXED[kind]
    except (IndexError, KeyError):  # it ends in a number, or has a group
        pass
    return False


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > _LONGEST:
            raise IndexError("a number of more than ten bytes")
