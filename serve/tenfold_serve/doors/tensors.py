"""Tensors of the Open Inference Protocol: names of types, values as JSON, values as bytes.

Binary tensors are little-endian, row-major, without padding; BOOL is one byte; each element of
BYTES is its length in 32 bits and then its bytes.

Source: the protocol's "Inference REST API" and Triton's binary tensor data extension.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tenfold.errors import RequestError

__all__ = ["NUMBERS", "check_length", "n_elements", "pack", "parse_json", "unpack"]

NUMBERS: Final[dict[str, Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Types that are not BYTES, as NumPy types."""

_LENGTH: Final = struct.Struct("<I")


def n_elements(name: str, shape: object, *, most: int) -> int:
    """Elements of a column's tensor, whose shape is ``[n]`` or ``[n, 1]``.

    Raises:
        RequestError: the shape is another, or holds more than ``most``.

    >>> n_elements("age", [3, 1], most=10)
    3
    """
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= 2
        or any(size.__class__ is not int or size < 0 for size in shape)
        or (len(shape) == 2 and shape[1] != 1)
    ):
        raise RequestError(f"tensor {name!r} is one column: its shape is [n] or [n, 1]")
    n_rows: int = shape[0]
    if n_rows > most:
        raise RequestError(
            f"a request holds at most {most} rows, and tensor {name!r} has more; "
            "send several requests, or use `tenfold predict` for whole tables"
        )
    return n_rows


def check_length(name: str, n_values: int, *, n_rows: int) -> None:
    """Refuse a tensor with another number of values than its shape says.

    Raises:
        RequestError: it has.
    """
    if n_values != n_rows:
        raise RequestError(
            f"tensor {name!r} has {n_values} values and its shape says {n_rows}; send as many"
        )


def parse_json(name: str, datatype: str, data: object, *, n_rows: int) -> list[Any]:
    """A tensor's ``data`` as JSON values, for the strict readers.

    Null is a missing value, which is an extension: the protocol has none. FP numbers may come as
    whole ones. Every value must be of the tensor's own type.

    Raises:
        RequestError: it is no list, has another length than its shape, or holds another type.
    """
    if not isinstance(data, list):
        raise RequestError(f"tensor {name!r} needs data: a list, or binary_data_size")
    if data and data[0].__class__ is list:
        if any(row.__class__ is not list for row in data):
            raise RequestError(f"tensor {name!r} must have flat data, or one list per row")
        data = list(itertools.chain.from_iterable(data))
    check_length(name, len(data), n_rows=n_rows)
    allowed = _JSON_TYPES[datatype[:2]]
    for row, value in enumerate(data):
        if value.__class__ not in allowed and value is not None:
            raise RequestError(
                f"row {row}, tensor {name!r}: the value is not of the type {datatype} that the "
                "tensor says",
                items=[{"row": row, "column": name, "reason": f"is not of the type {datatype}"}],
            )
    if datatype in ("FP16", "FP32"):  # the same number as in the binary form
        kind = NUMBERS[datatype]
        with np.errstate(over="ignore"):
            return [None if v is None else float(kind.type(v)) for v in data]
    return data


_JSON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "BO": (bool,),
    "UI": (int,),
    "IN": (int,),
    "FP": (int, float),
    "BY": (str,),
}


def unpack(name: str, datatype: str, raw: memoryview, *, n_rows: int) -> Any:
    """A binary tensor as an array, or a list of texts.

    Raises:
        RequestError: the bytes are not as many as type and shape say, or no UTF-8.
    """
    if datatype == "BYTES":
        return _texts(name, raw, n_rows)
    kind = NUMBERS[datatype]
    if len(raw) != n_rows * kind.itemsize:
        raise RequestError(
            f"tensor {name!r} has {len(raw)} bytes, and {n_rows} values of {datatype} have "
            f"{n_rows * kind.itemsize}"
        )
    if datatype == "BOOL":
        return np.frombuffer(raw, dtype=np.uint8) != 0
    return np.frombuffer(raw, dtype=kind)


def _texts(name: str, raw: memoryview, n_rows: int) -> list[str]:
    texts: list[str] = []
    place, end = 0, len(raw)
    try:
        while place < end and len(texts) < n_rows:
            start = place + 4
            place = start + _LENGTH.unpack_from(raw, place)[0]
            if place > end:
                raise RequestError(f"tensor {name!r} ends inside of element {len(texts)}")
            texts.append(str(raw[start:place], "utf-8"))
    except UnicodeDecodeError as error:
        raise RequestError(f"tensor {name!r}: element {len(texts)} is no UTF-8") from error
    except struct.error as error:
        raise RequestError(f"tensor {name!r} ends inside of a length") from error
    if len(texts) != n_rows or place != end:
        raise RequestError(f"tensor {name!r} must hold exactly {n_rows} elements and nothing more")
    return texts


def pack(values: npt.NDArray[Any] | Sequence[str]) -> bytes:
    """Numbers or texts as a binary tensor.

    >>> pack(["a", "bc"])
    b'\\x01\\x00\\x00\\x00a\\x02\\x00\\x00\\x00bc'
    """
    if isinstance(values, np.ndarray):
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    parts = []
    for text in values:
        data = text.encode()
        parts += [_LENGTH.pack(len(data)), data]
    return b"".join(parts)
