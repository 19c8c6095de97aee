"""Arrays inside JSON: zlib and base64, so that a checkpoint is small and exact to the last bit."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import ArtifactError

__all__ = ["pack", "unpack"]

MAX_PACKED_BYTES = 64 * 2**20
"""Largest array that is unpacked: a damaged or hostile file must not fill the memory."""

_DTYPES = {"float64": "<f8", "float32": "<f4", "int64": "<i8", "int32": "<i4"}


def pack(array: npt.NDArray[Any]) -> dict[str, Any]:
    """An array as a JSON object; infinities and NaN survive.

    Raises:
        KeyError: the type is not one of float64, float32, int64, int32.

    >>> unpack(pack(np.array([[1.5, -np.inf]]))).tolist()
    [[1.5, -inf]]
    """
    little = np.ascontiguousarray(array, dtype=_DTYPES[array.dtype.name])
    data = base64.b64encode(zlib.compress(little.tobytes(), 6)).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def unpack(value: dict[str, Any]) -> npt.NDArray[Any]:
    """The inverse of `pack`: a writable array.

    Raises:
        ArtifactError: the object is not what `pack` writes.
    """
    try:
        shape = tuple(int(size) for size in value["shape"])
        dtype = np.dtype(_DTYPES[value["dtype"]])
        size_bytes = math.prod(shape) * dtype.itemsize
        if not 0 <= size_bytes <= MAX_PACKED_BYTES:
            raise ValueError(f"{size_bytes} bytes; at most {MAX_PACKED_BYTES}")
        packed = base64.b64decode(value["data"], validate=True)
        data = zlib.decompressobj().decompress(packed, size_bytes + 1)
        if len(data) != size_bytes:
            raise ValueError(f"{len(data)} bytes for shape {shape}; {size_bytes} expected")
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise ArtifactError(
            f"a packed array must hold dtype, shape and data as written by pack: {error}; "
            "publish the model again or drop the damaged checkpoint"
        ) from error
    return np.frombuffer(data, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))
