"""How many distinct values: the k smallest hashes, a sketch without a seed.

Source: Z. Bar-Yossef et al., "Counting distinct elements in a data stream" (2002), algorithm 2;
the estimate (k - 1) / U_k is unbiased with relative standard error about 1 / sqrt(k - 2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tenfold.profile.grid import Floats

__all__ = [
    "KEPT_HASHES",
    "DistinctMarks",
    "estimate_distinct",
    "fewest_distinct",
    "hash_numbers",
    "hash_strings",
    "smallest_hashes",
]

KEPT_HASHES = 4096
"""32 kB a column for a standard error of 1.6 %."""

Hashes = npt.NDArray[np.uint64]


def hash_numbers(values: Floats) -> Hashes:
    """64-bit hashes of float64 values (the splitmix64 finalizer over their bits).

    >>> bool(hash_numbers(np.array([0.0]))[0] == hash_numbers(np.array([-0.0]))[0])
    True
    """
    mixed = (values + 0.0).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def hash_strings(values: Iterable[str]) -> Hashes:
    """64-bit hashes of strings (BLAKE2b of their UTF-8 bytes).

    >>> len(hash_strings(["a", "b"]))
    2
    """
    digests = b"".join(hashlib.blake2b(v.encode(), digest_size=8).digest() for v in values)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def smallest_hashes(parts: Sequence[Hashes]) -> Hashes:
    """The `KEPT_HASHES` smallest distinct hashes of all parts, sorted.

    >>> smallest_hashes([np.array([3, 1], dtype=np.uint64), np.array([1], dtype=np.uint64)])
    array([1, 3], dtype=uint64)
    """
    return _distinct(np.concatenate([_smallest(part) for part in parts]))[:KEPT_HASHES]


def _smallest(part: Hashes) -> Hashes:
    """The smallest distinct hashes of one part. Of a million `np.unique` (a hash table in NumPy
    2.4) took 350 ms, two thirds of a whole scan of five million rows; a partition takes 8, and a
    look at those below twice the limit that different values would have takes 1."""
    if len(part) > 4 * KEPT_HASHES:
        low = _distinct(part[part <= np.uint64(2 * KEPT_HASHES * (2**64 // len(part)))])
        if len(low) >= KEPT_HASHES:
            return low[:KEPT_HASHES]
    if len(part) > KEPT_HASHES:
        few = _distinct(np.partition(part, KEPT_HASHES - 1)[:KEPT_HASHES])
        if len(few) == KEPT_HASHES:
            return few
    return _distinct(part)


def _distinct(hashes: Hashes) -> Hashes:
    ranked = np.sort(hashes)
    return ranked[np.append(True, ranked[1:] != ranked[:-1])] if len(ranked) else ranked


class DistinctMarks:
    """A number of distinct values that there are at least: each hash sets one of 2 ** 24 marks.

    A third of the time of a sort, and at a million hashes 3 % short. Mutable, for one thread.

    >>> marks = DistinctMarks()
    >>> marks.add(hash_numbers(np.array([1.0, 2.0])))
    >>> marks.add(hash_numbers(np.array([1.0])))
    >>> marks.count()
    2
    """

    def __init__(self) -> None:
        self._marks = np.zeros(1 << 24, dtype=np.bool_)

    def add(self, hashes: Hashes) -> None:
        """Mark the hashes of some values, shape (n,)."""
        places = (hashes >> np.uint64(40)).view(np.int64)  # as unsigned: twice as slow
        self._marks[places] = True

    def count(self) -> int:
        """The number of marks so far."""
        return int(np.count_nonzero(self._marks))


def fewest_distinct(hashes: Hashes) -> int:
    """A number of distinct values that there are at least, see `DistinctMarks`.

    >>> fewest_distinct(hash_numbers(np.array([1.0, 2.0, 1.0])))
    2
    """
    marks = DistinctMarks()
    marks.add(hashes)
    return marks.count()


def estimate_distinct(hashes: Hashes) -> int:
    """The number of distinct values behind the smallest hashes; exact while not all slots are full.

    >>> estimate_distinct(np.array([1, 3], dtype=np.uint64))
    2
    """
    if len(hashes) < KEPT_HASHES:
        return len(hashes)
    return round((KEPT_HASHES - 1) / (float(hashes[-1]) / 2.0**64))
