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

from tenfold.data import dates, parse
from tenfold.data.evidence import DateEvidence, Extent
from tenfold.data.hashing import mix, text_hashes
from tenfold.data.stamps import typed_micros
from tenfold.data.text import (
    DEFAULT_MARKERS,
    Coded,
    as_mask,
    code_text,
    code_typed,
    is_text,
    to_text,
    whole,
)
from tenfold.errors import DataError

__all__ = [
    "How",
    "JoinIndex",
    "Joined",
    "Order",
    "build_index",
    "day_counts",
    "day_order_of",
    "demand_columns",
    "join_block",
    "key_lanes",
    "moments",
]

How = Literal["left", "inner", "outer", "semi", "anti", "asof"]
Order = Literal["number", "time"]
"""How times of an as-of join are read: plain numbers, or points in time."""

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

    Values are compared by what they mean: 17, 17.0, "17.0" and " 17" are one key, and so are a
    date, its midnight and their texts. Codes such as "0017" are texts. A key with a missing part is
    none.

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
        known &= as_mask(pc.is_valid(texts))
    return mix(total), known


def _key_texts(array: pa.Array, markers: Collection[str]) -> pa.StringArray:
    """Each key as one text: ``17`` for 17.0 and "17.0", a day for its midnight, ``true`` for True.

    Only the different values are looked at. A number with leading zeros or too long to be exact is
    a code, not a quantity, and stays as it is written.
    """
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), pa.string())
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.string())
    coded = code_text(array, markers=markers) if is_text(array.type) else code_typed(array)
    texts = coded.values
    numbers, is_number = parse.parse_numbers(texts)
    plain = is_number & ~parse.looks_like_code(texts) & (np.abs(numbers) < _EXACT)
    stamps, is_stamp = dates.parse_datetimes(texts)
    is_stamp &= ~is_number  # 20240131 is a number, and its day would be a guess
    texts = pc.if_else(pa.array(plain), to_text(pa.array(numbers)), texts)
    moments_ = pa.array(np.where(is_stamp, stamps, 0), pa.timestamp("us"))
    texts = pc.if_else(pa.array(is_stamp), to_text(moments_), texts)
    lower = pc.utf8_lower(texts)
    is_word = pc.is_in(lower, value_set=pa.array(["true", "false"]))
    return Coded(pc.if_else(is_word, lower, texts), coded.codes).array()


def moments(
    column: pa.Array | pa.ChunkedArray,
    order: Order | None = None,
    *,
    day_order: str = "undecided",
    markers: Collection[str] = DEFAULT_MARKERS,
) -> tuple[NDArray[np.int64], Order | None, int]:
    """Times to compare: microseconds since 1970, or the bits of plain numbers in their order.

    Args:
        column: typed or text.
        order: how to read texts; None to decide: numbers if every value is one. What is typed has
            an order of its own, which is told: the caller compares only equal orders.
        day_order: ``day_first``, ``month_first`` or ``undecided``, of the whole column and not of a
            block of it, see `day_counts`.
        markers: texts that mean missing.

    Returns:
        int64 (n_rows,) with `NO_TIME` where there is none, the order (None without any value), and
        how many values could not be read. A date that could be two days is not read.

    >>> moments(pa.array(["1970-01-01T00:00:01", None, "x"]), "time")[0].tolist()[0]
    1000000
    """
    array = whole(column)
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        stamps, known, outside = typed_micros(array)
        return np.where(known, stamps, NO_TIME), "time", int(outside.sum())
    if not is_text(array.type):
        if pa.types.is_null(array.type):
            return np.full(len(array), NO_TIME), None, 0
        return _ordered(pc.cast(array, pa.float64(), safe=False)), "number", 0
    coded = code_text(array, markers=markers)
    numbers, is_number = parse.parse_numbers(coded.values)
    if order is None:
        if not len(coded.values):
            return np.full(len(array), NO_TIME), None, 0
        order = "number" if is_number.all() else "time"
    if order == "number":
        values, readable = _ordered(pa.array(numbers)), is_number
    else:
        values, readable, _ = dates.read_dates(coded.values, day_order)
    table = np.append(np.where(readable, values, NO_TIME), NO_TIME)
    n_unread = int((~np.append(readable, True)[coded.codes]).sum())
    return table[coded.codes], order, n_unread


def day_counts(
    column: pa.Array | pa.ChunkedArray, *, markers: Collection[str] = DEFAULT_MARKERS
) -> NDArray[np.int64]:
    """How many dates of a block read with the day first, with the month first, with either.

    Blocks are added up; `day_order_of` decides.

    >>> day_counts(pa.array(["13/4/2031", "3/4/2031", "2031-04-03"])).tolist()
    [2, 1, 1]
    """
    array = whole(column)
    if not is_text(array.type):
        return np.zeros(3, dtype=np.int64)
    coded = code_text(array, markers=markers)
    found, _ = dates.date_evidence(coded.values, coded.weights())
    return np.array([found.day.n, found.month.n, found.n_either], dtype=np.int64)


def day_order_of(counts: NDArray[np.int64]) -> str:
    """The order that all blocks of a column tell together, as cleaning decides it.

    >>> day_order_of(np.array([2, 1, 1])), day_order_of(np.zeros(3, dtype=np.int64))
    ('day_first', 'undecided')
    """
    day, month, either = (int(count) for count in counts)
    return DateEvidence(
        day=Extent(day, 0.0, 0.0), month=Extent(month, 0.0, 0.0), n_either=either
    ).order()


_MILLION = 1_000_000
_EXACT = float(2**53)


def _ordered(numbers: pa.Array) -> NDArray[np.int64]:
    """Numbers as whole numbers of the same order, exact for any magnitude; NaN is no time.

    The bits of a float64 read as an integer keep the order of positive numbers; those of negative
    ones are turned around.
    """
    floats = np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64) + 0.0
    bits = floats.view(np.int64)
    return np.where(np.isnan(floats), NO_TIME, np.where(bits < 0, _TURN - bits, bits))


_TURN = np.int64(np.iinfo(np.int64).min)


def _numbers_of(ordered: NDArray[np.int64]) -> NDArray[np.float64]:
    """The inverse of `_ordered`."""
    return np.where(ordered < 0, _TURN - ordered, ordered).view(np.float64)


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
        hit &= _age(times, index.times[np.maximum(place, 0)], index.order) <= tolerance
    right = np.full(len(times), -1, dtype=np.int64)
    right[hit] = index.rows[place[hit]]
    facts = {
        **_facts(hit.astype(np.int64), known),
        "n_no_time": int((times == NO_TIME).sum()),
        "n_out": len(times),
    }
    return Joined(np.arange(len(times)), right, facts)


def _age(
    times: NDArray[np.int64], then: NDArray[np.int64], order: Order | None
) -> NDArray[np.float64]:
    """How much older the match is, in seconds or in units of the number."""
    if order == "time":
        return (times - then) / _MILLION
    with np.errstate(invalid="ignore", over="ignore"):
        return _numbers_of(times) - _numbers_of(then)


def _facts(count: NDArray[np.int64], known: NDArray[np.bool_]) -> dict[str, int]:
    return {
        "n_rows": len(count),
        "n_matched": int((count > 0).sum()),
        "n_unmatched": int((count == 0).sum()),
        "n_multiplied": int((count > 1).sum()),
        "n_no_key": int((~known).sum()),
    }


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
