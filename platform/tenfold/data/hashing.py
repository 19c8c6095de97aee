"""Row hashes that do not depend on the order of rows, blocks or machines.

A value has a 128-bit hash in two 64-bit lanes; a row's hash is the sum over its columns of the
value lanes, each mixed with its column's name; a table's is the sum of its rows' modulo 2^128.
Sums commute, so any order and any cut of the same rows gives the same digest. The mixer is
SplitMix64 (Steele, Lea, Flood 2014). This is a fingerprint, not a defense against forgers.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.data.text import whole
from tenfold.schema import Kind, Role, Schema

__all__ = [
    "from_binary",
    "key_hashes",
    "mix",
    "row_hashes",
    "sketch_hashes",
    "sum_128",
    "text_hashes",
    "to_binary",
    "value_lanes",
]

Lanes = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_SECOND_LANE = np.uint64(0xD6E8FEB86659FD93)
_NULL = np.uint64(0x6E756C6C6E756C6C)
_ODD = 0x100000001B3  # the FNV prime: odd, so it has an inverse modulo 2^64
_ODD_INVERSE = pow(_ODD, -1, 2**64)


def mix(lane: Lanes) -> Lanes:
    """SplitMix64's finalizer: a bijection of 64-bit words; any shape.

    >>> [hex(int(x)) for x in mix(np.array([0, 1], dtype=np.uint64))]
    ['0xe220a8397b1dcdaf', '0x910a2dec89025cc1']
    """
    lane = lane + _GOLDEN
    lane = (lane ^ (lane >> np.uint64(30))) * _M1
    lane = (lane ^ (lane >> np.uint64(27))) * _M2
    return lane ^ (lane >> np.uint64(31))


def row_hashes(table: pa.Table, schema: Schema) -> Lanes:
    """One 128-bit hash a row over the schema's columns, whatever their order.

    Args:
        table: a cleaned table with the schema's columns and Arrow types.
        schema: which columns count.

    Returns:
        High and low lane; shape (n_rows, 2).
    """
    total = np.zeros((table.num_rows, 2), dtype=np.uint64)
    places = {name: place for place, name in enumerate(table.column_names)}
    for column in schema.columns:
        seed = hashlib.blake2b(column.name.encode(), digest_size=16).digest()
        lanes = value_lanes(whole(table.column(places[column.name])), column.kind)
        total += mix(lanes + np.frombuffer(seed, dtype="<u8").astype(np.uint64))
    return mix(total)


def key_hashes(table: pa.Table, schema: Schema, hashes: Lanes) -> Lanes | None:
    """One 128-bit hash a row over its key alone; None if the schema names no key.

    A row that lacks its key, or a part of it, goes by its own hash.

    Args:
        table: a cleaned table.
        schema: names the key columns by their role.
        hashes: of the whole rows, shape (n_rows, 2).
    """
    names = tuple(column for column in schema.columns if column.role is Role.KEY)
    if not names:
        return None
    named = row_hashes(table, Schema(names))
    for column in names:
        absent = np.asarray(pc.is_null(whole(table.column(column.name))), dtype=bool)
        named = np.where(absent[:, None], hashes, named)
    return named


def text_hashes(values: pa.Array) -> Lanes:
    """BLAKE2b-128 of strings, each different one hashed once; shape (n_rows, 2)."""
    encoded = values.dictionary_encode()
    digests = b"".join(
        hashlib.blake2b(text.encode(), digest_size=16).digest()
        for text in encoded.dictionary.to_pylist()
    )
    unique = np.frombuffer(digests, dtype="<u8").astype(np.uint64).reshape(-1, 2)
    unique = np.vstack([unique, np.array([[_NULL, ~_NULL]], dtype=np.uint64)])
    index = pc.fill_null(encoded.indices.cast(pa.int64()), len(unique) - 1)
    return np.asarray(unique[index.to_numpy(zero_copy_only=False)])


def value_lanes(values: pa.Array, kind: Kind) -> Lanes:
    """One 128-bit hash a value of a cleaned column; shape (n_rows, 2)."""
    if pa.types.is_string(values.type):
        return text_hashes(values)
    present = np.asarray(pc.is_valid(values).to_numpy(zero_copy_only=False), dtype=bool)
    if kind is Kind.NUMBER:
        floats = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64) + 0.0
        floats = np.where(np.isnan(floats), np.nan, floats)  # one NaN, and -0 + 0 is 0
        bits = floats.view(np.uint64)
    else:
        whole_numbers = pc.fill_null(values.cast(pa.int64()), 0)
        bits = whole_numbers.to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    high = np.where(present, mix(bits), _NULL)
    low = np.where(present, mix(bits ^ _SECOND_LANE), ~_NULL)
    return np.stack([high, low], axis=1)


def sum_128(lanes: Lanes) -> int:
    """The sum of 128-bit hashes modulo 2^128: the same in any order; ``lanes`` (n_rows, 2).

    >>> sum_128(np.array([[0, 2**64 - 1], [0, 1]], dtype=np.uint64)) == 2**64
    True
    """
    half = np.uint64(0xFFFFFFFF)
    total = 0
    for lane, shift in ((lanes[:, 0], 64), (lanes[:, 1], 0)):
        low = int((lane & half).sum(dtype=np.uint64))  # exact below 2^32 rows
        high = int((lane >> np.uint64(32)).sum(dtype=np.uint64))
        total += ((high << 32) + low) << shift
    return total % 2**128


def to_binary(lanes: Lanes) -> pa.FixedSizeBinaryArray:
    """Hashes as 16 big-endian bytes each, so that bytes sort as numbers do."""
    data = np.ascontiguousarray(lanes.astype(">u8")).tobytes()
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(lanes), [None, pa.py_buffer(data)]
    )


def from_binary(column: pa.Array | pa.ChunkedArray) -> Lanes:
    """The inverse of `to_binary`; shape (n_rows, 2)."""
    array = whole(column)
    words = np.frombuffer(array.buffers()[1], dtype=">u8", count=2 * (len(array) + array.offset))
    return words.reshape(-1, 2)[array.offset :].astype(np.uint64)


def sketch_hashes(values: pa.StringArray) -> Lanes:
    """A fast 64-bit hash a string, for counting different values only; shape (n_values,).

    Polynomial over the bytes through one running sum modulo 2^64, then mixed with the length.
    """
    values = pa.concat_arrays([values])
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int32)[: len(values) + 1]
    offsets = offsets.astype(np.int64)
    body = values.buffers()[2]
    data = np.zeros(0, np.uint8) if body is None else np.frombuffer(body, np.uint8)
    data = data[: offsets[-1]].astype(np.uint64) + np.uint64(1)
    sums = np.zeros(len(data) + 1, dtype=np.uint64)
    np.cumsum(data * _powers(_ODD, len(data)), out=sums[1:])
    inverse = _powers(_ODD_INVERSE, len(data) + 1)
    raw = (sums[offsets[1:]] - sums[offsets[:-1]]) * inverse[offsets[:-1]]
    return mix(raw ^ mix(np.diff(offsets).astype(np.uint64)))


def _powers(base: int, count: int) -> Lanes:
    out = np.full(max(count, 1), base, dtype=np.uint64)
    out[0] = 1
    return np.multiply.accumulate(out)[:count]
