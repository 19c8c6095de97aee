"""Joins of one block with an index of the other side: pure kernels.

The joined source is indexed once: the 128-bit hashes of its keys, sorted, with the time of each row
behind. Any block of the table then finds its matches by binary search, so blocks are joined
independently, in any order and on any machine, and the index and the rows are mapped files that no
process holds in private memory.

An as-of match is the last row of equal key whose time is not later (`Asof`): of rows of one time
the last one in the order of the source.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.data import parse
from tenfold.data.hashing import mix, text_hashes
from tenfold.data.text import DEFAULT_MARKERS, code_text, is_text, to_text, whole
from tenfold.errors import DataError

__all__ = [
    "How",
    "JoinIndex",
    "Joined",
    "Order",
    "build_index",
    "demand_columns",
    "join_block",
    "key_lanes",
    "moments",
]

How = Literal["left", "inner", "outer", "semi", "anti", "asof"]
Order = Literal["number", "time"]
"""How times of an as-of join are read: plain numbers, or microseconds since 1970."""

Lanes = NDArray[np.uint64]
NO_TIME = np.iinfo(np.int64).min
"""A row whose time is missing or unreadable: it matches nothing."""


@dataclass(frozen=True, slots=True)
class JoinIndex:
    """The keys of the joined source in order.

    Attributes:
        keys: sorted high lanes of the key hashes, shape (n_keys,); rows without a key are left out.
        lows: low lane of each, to tell two keys of one high lane apart.
        times: float64 or int64 times for an as-of join, increasing within a key; else empty.
        rows: row number of each in the order of the source.
        order: how times are read; None without times.
    """

    keys: Lanes
    lows: Lanes
    times: NDArray[Any]
    rows: NDArray[np.int64]
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """What a block became.

    Attributes:
        left: row numbers within the block, shape (n_out,).
        right: row number in the joined source of each, -1 for none; shape (n_out,).
        facts: ``n_rows`` in, ``n_matched``, ``n_unmatched``, ``n_multiplied`` (rows that matched
            more than one), ``n_out``, ``n_no_key``, ``n_no_time``.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    facts: Mapping[str, int] = field(default_factory=dict)


def key_lanes(
    table: pa.Table,
    columns: Sequence[str],
    *,
    markers: Collection[str] = DEFAULT_MARKERS,
) -> tuple[Lanes, NDArray[np.bool_]]:
    """The hash of each row's key and whether it has one.

    Values are compared as the text that a person would write, trimmed: 17, 17.0 and " 17" are one
    key. A key with a missing part is no key.

    Returns:
        uint64 (n_rows, 2) and a mask (n_rows,).

    >>> typed, _ = key_lanes(pa.table({"k": [17]}), ["k"])
    >>> texts, known = key_lanes(pa.table({"k": [" 17", "?"]}), ["k"])
    >>> bool((typed[0] == texts[0]).all()), known.tolist()
    (True, [True, False])
    """
    total = np.zeros((table.num_rows, 2), dtype=np.uint64)
    known = np.ones(table.num_rows, dtype=bool)
    for place, name in enumerate(columns, start=1):
        texts = _key_texts(whole(table.column(name)), markers)
        total += mix(text_hashes(texts) + np.uint64(place))
        known &= _mask(pc.is_valid(texts))
    return mix(total), known


def _key_texts(array: pa.Array, markers: Collection[str]) -> pa.StringArray:
    if is_text(array.type):
        return code_text(array, markers=markers).array()
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), pa.string())
    return to_text(array)


def moments(
    column: pa.Array | pa.ChunkedArray,
    order: Order | None = None,
    *,
    markers: Collection[str] = DEFAULT_MARKERS,
) -> tuple[NDArray[np.int64], Order | None, int]:
    """Times to compare: microseconds since 1970, or plain numbers in millionths.

    Args:
        column: typed or text.
        order: how to read texts and numbers; None to decide: numbers if every value is one.
        markers: texts that mean missing.

    Returns:
        int64 (n_rows,) with `NO_TIME` where there is none, the order (None without any value), and
        how many values could not be read.

    >>> moments(pa.array(["1970-01-01T00:00:01", None, "x"]), "time")[0].tolist()[0]
    1000000
    """
    array = whole(column)
    if pa.types.is_temporal(array.type):
        stamps = pc.fill_null(array.cast(pa.timestamp("us"), safe=False).cast(pa.int64()), NO_TIME)
        return np.asarray(stamps.to_numpy(zero_copy_only=False)), "time", 0
    if not is_text(array.type):
        return _scaled(pc.cast(array, pa.float64(), safe=False)), "number", 0
    coded = code_text(array, markers=markers)
    numbers, is_number = parse.parse_numbers(coded.values)
    if order is None:
        if not len(coded.values):
            return np.full(len(array), NO_TIME), None, 0
        order = "number" if is_number.all() else "time"
    if order == "number":
        values, readable = _scaled(pa.array(numbers)), is_number
    else:
        values, readable = parse.parse_datetimes(coded.values)
    table = np.append(np.where(readable, values, NO_TIME), NO_TIME)
    n_unread = int((~np.append(readable, True)[coded.codes]).sum())
    return table[coded.codes], order, n_unread


_MILLION = 1e6
_LARGEST = 9.2e18


def _scaled(numbers: pa.Array) -> NDArray[np.int64]:
    floats = np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64) * _MILLION
    usable = np.abs(floats) < _LARGEST  # NaN is not
    return np.where(usable, np.round(np.where(usable, floats, 0)), NO_TIME).astype(np.int64)


def build_index(
    lanes: Lanes, known: NDArray[np.bool_], *, times: NDArray[np.int64] | None, order: Order | None
) -> JoinIndex:
    """The index of all rows of the joined source.

    Args:
        lanes: key hashes, (n_rows, 2), in the order of the source.
        known: which rows have a key.
        times: for an as-of join; rows without a time are left out.
        order: how they were read.
    """
    rows = np.flatnonzero(known if times is None else known & (times != NO_TIME))
    high, low = lanes[rows, 0], lanes[rows, 1]
    if times is None:
        place = np.lexsort((rows, low, high))
        moments_ = np.zeros(0, dtype=np.int64)
    else:
        place = np.lexsort((rows, times[rows], low, high))
        moments_ = times[rows][place]
    return JoinIndex(high[place], low[place], moments_, rows[place], order)


def join_block(
    lanes: Lanes,
    known: NDArray[np.bool_],
    index: JoinIndex,
    *,
    how: How,
    times: NDArray[np.int64] | None = None,
    tolerance: float | None = None,
) -> Joined:
    """Match the rows of a block.

    Args:
        lanes: the block's key hashes, (n_rows, 2).
        known: which rows have a key.
        index: of the joined source.
        how: ``outer`` is ``left`` here: rows without a row of the table are added by the caller.
        times: the block's times for an as-of join.
        tolerance: as-of only: how old a match may be, in seconds or in units of the number.

    >>> lanes, known = key_lanes(pa.table({"k": ["a", "b"]}), ["k"])
    >>> index = build_index(lanes[[0, 0]], known, times=None, order=None)
    >>> done = join_block(lanes, known, index, how="left")
    >>> done.left.tolist(), done.right.tolist(), done.facts["n_multiplied"]
    ([0, 0, 1], [0, 1, -1], 1)
    """
    first, last = _ranges(lanes, known, index)
    if how == "asof":
        assert times is not None  # the caller reads them when how is asof  # noqa: S101
        return _asof(first, last, index, times, tolerance, known)
    count = last - first
    facts = {**_facts(count, known), "n_no_time": 0}
    every = np.arange(len(count))
    if how in ("semi", "anti"):
        left = every[(count > 0) if how == "semi" else (count == 0)]
        return Joined(left, np.full(len(left), -1), {**facts, "n_out": len(left)})
    kept = count if how == "inner" else np.maximum(count, 1)
    left = np.repeat(every, kept)
    within = np.arange(len(left)) - np.repeat(np.cumsum(kept) - kept, kept)
    place = np.repeat(first, kept) + within
    matched = np.repeat(count > 0, kept)
    right = np.full(len(left), -1, dtype=np.int64)
    right[matched] = index.rows[place[matched]]
    return Joined(left, right, {**facts, "n_out": len(left)})


def _ranges(
    lanes: Lanes, known: NDArray[np.bool_], index: JoinIndex
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begin and end of each row's key in the index; equal where it has none."""
    high, low = lanes[:, 0], lanes[:, 1]
    first = np.searchsorted(index.keys, high, side="left")
    last = np.searchsorted(index.keys, high, side="right")
    first[~known] = last[~known] = 0
    found = np.flatnonzero(last > first)
    begin, end = index.lows[first[found]], index.lows[last[found] - 1]
    odd = found[(begin != low[found]) | (end != low[found])]
    for row in odd:  # two keys of one high lane: once in 2^32 keys, so a loop will do
        part = index.lows[first[row] : last[row]]
        start = int(np.searchsorted(part, low[row], side="left"))
        stop = int(np.searchsorted(part, low[row], side="right"))
        first[row], last[row] = first[row] + start, first[row] + stop
    return first.astype(np.int64), last.astype(np.int64)


def _asof(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    index: JoinIndex,
    times: NDArray[np.int64],
    tolerance: float | None,
    known: NDArray[np.bool_],
) -> Joined:
    """The last place within each range whose time is not later: one bisection for all rows."""
    low, high = first.copy(), last.copy()
    low[times == NO_TIME] = high[times == NO_TIME] = 0
    while True:
        open_ = np.flatnonzero(low < high)
        if not len(open_):
            break
        middle = (low[open_] + high[open_]) // 2
        later = index.times[middle] > times[open_]
        high[open_[later]] = middle[later]
        low[open_[~later]] = middle[~later] + 1
    place = low - 1
    hit = (place >= first) & (last > first) & (times != NO_TIME)
    if tolerance is not None and len(index.times):
        age = times - index.times[np.maximum(place, 0)]
        hit &= age <= round(tolerance * _MILLION)
    right = np.full(len(times), -1, dtype=np.int64)
    right[hit] = index.rows[place[hit]]
    facts = {
        **_facts(hit.astype(np.int64), known),
        "n_no_time": int((times == NO_TIME).sum()),
        "n_out": len(times),
    }
    return Joined(np.arange(len(times)), right, facts)


def _facts(count: NDArray[np.int64], known: NDArray[np.bool_]) -> dict[str, int]:
    return {
        "n_rows": len(count),
        "n_matched": int((count > 0).sum()),
        "n_unmatched": int((count == 0).sum()),
        "n_multiplied": int((count > 1).sum()),
        "n_no_key": int((~known).sum()),
    }


def _mask(array: pa.BooleanArray) -> NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)


def demand_columns(names: Sequence[str], wanted: Sequence[str], *, source: str, field: str) -> None:
    """Refuse a join on a column that is not there.

    Raises:
        DataError: with what is there.
    """
    for name in wanted:
        if name not in names:
            shown = ", ".join(map(repr, names[:12])) + (", ..." if len(names) > 12 else "")
            raise DataError(
                f"{field} must name a column of source {source!r}: {name!r} is not among {shown}; "
                "correct the join"
            )
