"""Named arrays and a JSON head as bytes: the form in which a profile is stored. Data, never code.

Layout: ``TFPROF01``, the head's length (8 bytes, little-endian), the head (canonical JSON), the
arrays' bytes one after the other. Integers are stored in the narrowest unsigned type that holds
them, since most counts are 1. The same content gives the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.canonical import canonical_json
from tenfold.errors import ArtifactError

__all__ = ["decode", "decode_head", "encode"]

_MAGIC = b"TFPROF01"
_UNSIGNED = (np.uint8, np.uint16, np.uint32, np.uint64)
_STORED = {"u1", "u2", "u4", "u8", "f8"}

AnyArray = npt.NDArray[Any]


def encode(head: Mapping[str, Any], arrays: Mapping[str, AnyArray]) -> bytes:
    """Store a head and arrays.

    Args:
        head: JSON values; floats must be finite.
        arrays: float64 or non-negative integers, by name.

    >>> head, arrays = decode(encode({"n": 1}, {"x": np.array([1.5]), "c": np.array([300])}))
    >>> head, arrays["x"], arrays["c"]
    ({'n': 1}, array([1.5]), array([300], dtype=uint16))
    """
    stored = {name: _narrow(array) for name, array in arrays.items()}
    index = [[name, array.dtype.str[1:], list(array.shape)] for name, array in stored.items()]
    text = canonical_json({"head": head, "arrays": index})
    parts = [_MAGIC, len(text).to_bytes(8, "little"), text]
    return b"".join(parts + [array.tobytes() for array in stored.values()])


def decode(data: bytes | memoryview) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    """The inverse of `encode`; integers come back in the type they were stored in.

    Raises:
        ArtifactError: the bytes are not whole or not a profile.
    """
    try:
        return _decode(data)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ArtifactError(
            f"a stored profile must be whole and start with {_MAGIC.decode()}: {error} "
            f"({len(data)} bytes); prepare the data again"
        ) from error


def decode_head(data: bytes | memoryview) -> dict[str, Any]:
    """The head alone.

    Raises:
        ArtifactError: the bytes do not begin as stored ones do.

    >>> decode_head(encode({"n": 1}, {}))
    {'n': 1}
    """
    if bytes(data[:8]) != _MAGIC:
        raise ArtifactError(
            f"a stored profile must start with {_MAGIC.decode()}, and this with "
            f"{bytes(data[:8])!r}; prepare the data again"
        )
    begin = 16 + int.from_bytes(data[8:16], "little")
    return dict(json.loads(bytes(data[16:begin]))["head"])


def _decode(data: bytes | memoryview) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    if bytes(data[:8]) != _MAGIC:
        raise ValueError(f"found {bytes(data[:8])!r}")
    begin = 16 + int.from_bytes(data[8:16], "little")
    content = json.loads(bytes(data[16:begin]))
    arrays: dict[str, AnyArray] = {}
    for name, kind, shape in content["arrays"]:
        if kind not in _STORED or any(not isinstance(n, int) or n < 0 for n in shape):
            raise ValueError(f"array {name!r} of type {kind!r} and shape {shape}")
        dtype = np.dtype(f"<{kind}" if kind != "u1" else "u1")
        size = math.prod(shape)
        if begin + size * dtype.itemsize > len(data):
            raise ValueError(f"array {name!r} is cut off")
        array = np.frombuffer(data, dtype=dtype, count=size, offset=begin)
        arrays[name] = array.reshape(shape)
        begin += size * dtype.itemsize
    if begin != len(data):
        raise ValueError(f"{len(data) - begin} bytes too many")
    return content["head"], arrays


def _narrow(array: AnyArray) -> AnyArray:
    if array.dtype == np.float64:
        return np.ascontiguousarray(array, dtype="<f8")
    largest = int(array.max()) if array.size else 0
    kind = next(t for t in _UNSIGNED if largest <= np.iinfo(t).max)
    return np.ascontiguousarray(array, dtype=np.dtype(kind).newbyteorder("<"))
