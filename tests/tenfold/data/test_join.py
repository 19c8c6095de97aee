"""Joins against pandas, which is the reference, on generated tables."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.join import (
    NO_TIME,
    JoinIndex,
    build_index,
    day_counts,
    day_order_of,
    join_block,
    key_lanes,
    moments,
)
from tenfold.data.text import DEFAULT_MARKERS

KEYS = st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=25)


def index_of(keys: list[Any], times: list[int] | None = None) -> JoinIndex:
    lanes, known = key_lanes(pa.table({"k": pa.array(keys, pa.int64())}), ["k"])
    moment = None if times is None else moments(pa.array(times, pa.int64()))[0]
    return build_index(lanes, known, times=moment, order=None if times is None else "number")


@given(KEYS, KEYS, st.sampled_from(["left", "inner", "semi", "anti"]))
def test_equal_keys_meet_as_in_pandas(left: list[Any], right: list[Any], how: Any) -> None:
    lanes, known = key_lanes(pa.table({"k": pa.array(left, pa.int64())}), ["k"])
    done = join_block(lanes, known, index_of(right), how=how)
    a = pd.DataFrame({"k": left, "a": range(len(left))})
    b = pd.DataFrame({"k": right, "b": range(len(right))}).dropna(subset="k")
    meets = a["k"].isin(b["k"]) & a["k"].notna()
    if how in ("semi", "anti"):
        assert done.left.tolist() == a["a"][meets if how == "semi" else ~meets].tolist()
        return
    want = a.assign(k=a["k"].astype(float)).merge(b.assign(k=b["k"].astype(float)), on="k", how=how)
    got = sorted(zip(done.left.tolist(), done.right.tolist(), strict=True))
    assert got == sorted((int(r.a), -1 if pd.isna(r.b) else int(r.b)) for r in want.itertuples())
    assert done.facts["n_matched"] == int(meets.sum())
    assert done.facts["n_matched"] + done.facts["n_unmatched"] == len(left)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9)), max_size=25),
    st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9)), max_size=25),
    st.one_of(st.none(), st.integers(0, 5)),
)
def test_as_of_takes_the_newest_that_is_not_later(
    left: list[tuple[int, int]], right: list[tuple[int, int]], tolerance: int | None
) -> None:
    lanes, known = key_lanes(pa.table({"k": pa.array([k for k, _ in left], pa.int64())}), ["k"])
    index = index_of([k for k, _ in right], [t for _, t in right])
    times = moments(pa.array([t for _, t in left], pa.int64()))[0]
    done = join_block(lanes, known, index, how="asof", times=times, tolerance=tolerance)
    for row, (key, at) in enumerate(left):
        ages = [(at - t, -n) for n, (k, t) in enumerate(right) if k == key and t <= at]
        ages = [(age, n) for age, n in ages if tolerance is None or age <= tolerance]
        assert done.right[row] == (-min(ages)[1] if ages else -1)


def test_keys_meet_across_types_and_blanks() -> None:
    typed, _ = key_lanes(pa.table({"a": [17, 2], "b": ["x", "y"]}), ["a", "b"])
    texts, _ = key_lanes(pa.table({"a": [" 17", "2"], "b": ["x ", "z"]}), ["a", "b"])
    floats, _ = key_lanes(pa.table({"a": [17.0, 2.0], "b": ["x", "y"]}), ["a", "b"])
    assert (typed == floats).all()
    assert (typed[0] == texts[0]).all()
    assert (typed[1] != texts[1]).any()
    swapped, _ = key_lanes(pa.table({"a": ["x"], "b": ["17"]}), ["a", "b"])
    assert (swapped[0] != typed[0]).any()


def test_two_keys_of_one_high_lane_are_told_apart() -> None:
    lanes = np.array([[5, 1], [5, 2], [5, 2]], dtype=np.uint64)
    index = build_index(lanes, np.ones(3, bool), times=None, order=None)
    asked = np.array([[5, 2], [5, 1], [5, 3]], dtype=np.uint64)
    done = join_block(asked, np.ones(3, bool), index, how="left")
    assert done.left.tolist() == [0, 0, 1, 2]
    assert done.right.tolist() == [1, 2, 0, -1]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array(["1970-01-01", "?", None]), [0, NO_TIME, NO_TIME]),
        (pa.array(["Jan 2, 1970", "3.1.1970"]), [86_400_000_000, 172_800_000_000]),
        (pa.array([1, 2, 2**60], pa.timestamp("s")), [1_000_000, 2_000_000, NO_TIME]),
        (pa.array([date(1970, 1, 2)]), [86_400_000_000]),
    ],
)
def test_points_in_time_are_read_as_cleaning_reads_them(
    column: pa.Array, values: list[int]
) -> None:
    found, how, _ = moments(column, markers=DEFAULT_MARKERS)
    assert (found.tolist(), how) == (values, "time")


def test_the_order_of_day_and_month_is_the_whole_columns() -> None:
    blocks = [pa.array(["13/4/2031"]), pa.array(["3/4/2031"])]
    order = day_order_of(sum((day_counts(block) for block in blocks), np.zeros(3, np.int64)))
    assert order == "day_first"
    april = moments(pa.array(["2031-04-03"]))[0]
    assert moments(blocks[1], "time", day_order=order)[0] == april
    assert moments(blocks[1], "time")[0].tolist() == [NO_TIME]


@given(st.lists(st.floats(allow_nan=False) | st.integers(-(2**62), 2**62), min_size=1))
def test_numbers_keep_their_order_whatever_their_size(numbers: list[float]) -> None:
    found, how, _ = moments(pa.array([float(n) for n in numbers]))
    assert how == "number"
    exact = np.array(numbers, dtype=np.float64)
    assert np.array_equal(found[:, None] < found[None, :], exact[:, None] < exact[None, :])


def test_no_value_has_no_order() -> None:
    for column in (pa.array(["?", ""]), pa.nulls(2)):
        found, how, n_unread = moments(column, markers=DEFAULT_MARKERS)
        assert (found.tolist(), how, n_unread) == ([NO_TIME] * 2, None, 0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array(["17.0"]), pa.array([17])),
        (pa.array([Decimal("17.00")]), pa.array([" 17"])),
        (pa.array([True]), pa.array(["True"])),
        (pa.array([date(2031, 1, 2)]), pa.array(["2031-01-02"])),
        (pa.array([date(2031, 1, 2)]), pa.array([datetime(2031, 1, 2)])),
        (pa.array([datetime(2031, 1, 2, 3)]), pa.array(["2031-01-02T03:00:00"])),
        (pa.array([1.5], pa.float16()), pa.array(["1.50"])),
    ],
)
def test_keys_of_equal_meaning_meet(first: pa.Array, second: pa.Array) -> None:
    a, b = (key_lanes(pa.table({"k": column}), ["k"])[0] for column in (first, second))
    assert (a == b).all()


@pytest.mark.parametrize(
    ("first", "second"), [("017", "17"), ("a", "A"), ("20310102", "2031-01-02")]
)
def test_codes_and_words_are_themselves(first: str, second: str) -> None:
    a, b = (key_lanes(pa.table({"k": [text]}), ["k"])[0] for text in (first, second))
    assert (a != b).any()


def test_what_is_no_time_is_counted() -> None:
    found, how, n_unread = moments(pa.array(["2031-01-01", "soon"]))
    assert (how, n_unread, found[1]) == ("time", 1, NO_TIME)
