"""One hash of a text, the same on every machine and in every version."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["HASHES", "MAX_SLOTS", "text_hash"]

HASHES = 2**32
"""Hashes lie below this, so that a float64 holds them exactly."""


MAX_SLOTS = 1024
"""Most slots of a hashed column: as many again as the widest one-hot, and few enough to be dense.
"""


def text_hash(text: str) -> float:
    """A whole number from 0 to `HASHES` - 1: BLAKE2b with a digest of four bytes, little endian.

    A text that UTF-8 cannot hold (half of a surrogate pair, which JSON can smuggle in) has one too.

    >>> text_hash("bern")
    3289607248.0
    """
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return float(int.from_bytes(digest, "little"))
