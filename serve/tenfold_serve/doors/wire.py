"""How many parts a protobuf message has, before anything is made of them.

Two bytes can stand for an object of a hundred: ten megabytes of empty tensors are five million, and
half a gigabyte. So the fields of a message and of its tensors are counted first. Values of tensors
are not: each takes eight times its bytes at most.

Source: protobuf's wire format (protobuf.dev, "Encoding"): a field is a varint of number and type,
then a varint, four or eight bytes, or a length and so many bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tenfold.errors import RequestError

__all__ = ["TENSORS", "check_parts"]

TENSORS: Final = (5, 6)
"""Fields of a ``ModelInferRequest`` that are messages with parts: its inputs and outputs."""

_VARINT: Final = 0
_BYTES: Final = 2
_FIXED: Final = {1: 8, 5: 4}
"""Bytes by the type of a field, where they are as many."""
_SMALLEST: Final = 2
"""Bytes of a field."""
_LONGEST: Final = 63
"""Bits of a varint before its last byte."""


def check_parts(data: bytes, *, most: int, within: Collection[int]) -> None:
    """Refuse a message with more fields than so many, those of some messages within it included.

    One that is too short for so many is not looked at.

    Args:
        data: the message.
        most: fields.
        within: numbers of the fields that are looked into.

    Raises:
        RequestError: it has more, or is broken, or has a group, which nobody sends.

    >>> check_parts(bytes([0x2A, 0]) * 3, most=2, within=TENSORS)
    Traceback (most recent call last):
        ...
    tenfold.errors.RequestError: a message has at most 2 fields, those of its tensors included
    """
    if len(data) <= _SMALLEST * most:
        return
    try:
        left = _count(data, 0, len(data), most, within)
    except (IndexError, KeyError) as error:
        raise RequestError("the message is broken") from error
    if left < 0:
        raise RequestError(f"a message has at most {most} fields, those of its tensors included")


def _count(data: bytes, place: int, end: int, left: int, within: Collection[int]) -> int:
    """How many fields may still come; none is looked at after one too many."""
    while place < end and left >= 0:
        tag, place = _varint(data, place)
        left -= 1
        kind = tag & 7
        if kind == _BYTES:
            size, place = _varint(data, place)
            if tag >> 3 in within:
                left = _count(data, place, min(place + size, end), left, ())
            place += size
        elif kind == _VARINT:
            _, place = _varint(data, place)
        else:
            place += _FIXED[kind]
    return left


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
