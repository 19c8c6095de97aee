"""Which arm answers a request: a share of a keyed hash, so that one key always meets one arm.

The key is the header ``X-Tenfold-Key``, else the first row's key column, else the request id.
Everybody computes the same split: nothing is shared between replicas but the weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache

__all__ = ["KEY_HEADER", "choose_arm", "request_key", "share"]

KEY_HEADER = b"x-tenfold-key"


def share(key: bytes, *, salt: bytes = b"") -> float:
    """A number in [0, 1) that only depends on key and salt; uniform over keys.

    >>> 0 <= share(b"customer 7") < 1, share(b"a") == share(b"a")
    (True, True)
    """
    hashing = _keyed(salt).copy()
    hashing.update(key)
    return (int.from_bytes(hashing.digest()) >> 11) / _SPAN


_SPAN = 1 << 53
"""53 bits: exact as a float, and never 1.0."""


@lru_cache(maxsize=256)
def _keyed(salt: bytes) -> hashlib.blake2b:
    """The hash before the key: made once a project, half of the microsecond it takes."""
    return hashlib.blake2b(digest_size=8, key=salt[:64])


def choose_arm(weights: Sequence[float], key: bytes, *, salt: bytes = b"") -> int:
    """Index of the arm that answers.

    The first arm is the champion and gets what the others leave; the others sit at the end of
    [0, 1), so raising a canary's share moves keys to it and none back and forth.

    Args:
        weights: one per arm, not negative; only their ratios count.
        key: see `request_key`.
        salt: the project's name: projects do not canary the same customers.

    >>> choose_arm([1.0], b"any")
    0
    >>> sum(choose_arm([9, 1], str(i).encode()) for i in range(1000))
    99
    """
    if len(weights) == 1:
        return 0
    total = sum(weights)
    left = 1.0 - share(key, salt=salt)  # in (0, 1]: the canary's keys are those with small left
    for index in range(len(weights) - 1, 0, -1):
        left -= weights[index] / total
        if left <= 0.0:
            return index
    return 0


def request_key(
    header: bytes | None,
    rows: Sequence[Mapping[str, object]],
    key_columns: Sequence[str],
    request_id: bytes,
) -> bytes:
    """The bytes that decide the arm.

    >>> request_key(None, [{"user": 7}], ["user"], b"r1"), request_key(b"k", [], [], b"r1")
    (b'7', b'k')
    >>> request_key(None, [{"user": 7.0}], ["user"], b"r1")
    b'7'
    >>> request_key(None, [{"user": None}], ["user"], b"r1")
    b'r1'
    """
    if header:
        return header
    if key_columns and rows:
        texts = [_text(rows[0].get(column)) for column in key_columns]
        if None not in texts:
            return "\x1f".join(map(str, texts)).encode()
    return request_id


def _text(value: object) -> str | None:
    """A key as every door sends it: of some come floats only. None of what is no key."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, (str, int, float, date)) and value == value else None
