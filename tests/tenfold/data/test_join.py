"""Joins against pandas, which is the reference, on generated tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.join import NO_TIME, JoinIndex, build_index, join_block, key_lanes, moments
from tenfold.data.text import DEFAULT_MARKERS

KEYS = st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=25)


def index_of(keys: list[Any], times: list[int] | None = None) -> JoinIndex:
    lanes, known = key_lanes(pa.table({"k": pa.array(keys, pa.int64())}), ["k"])
    moment = None if times is None else np.array(times, dtype=np.int64)
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
    million = 1_000_000
    index = index_of([k for k, _ in right], [t * million for _, t in right])
    times = np.array([t * million for _, t in left], dtype=np.int64)
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
    ("column", "order", "values"),
    [
        (pa.array(["1970-01-01", "?", None]), "time", [0, NO_TIME, NO_TIME]),
        (pa.array([1.5, None]), "number", [1_500_000, NO_TIME]),
        (pa.array(["2", "3"]), "number", [2_000_000, 3_000_000]),
        (pa.array([1, 2], pa.timestamp("s")), "time", [1_000_000, 2_000_000]),
        (pa.array(["?", ""]), None, [NO_TIME, NO_TIME]),
    ],
)
def test_times_are_read_as_numbers_or_points_in_time(
    column: pa.Array, order: str | None, values: list[int]
) -> None:
    found, how, n_unread = moments(column, markers=DEFAULT_MARKERS)
    assert (found.tolist(), how, n_unread) == (values, order, 0)


def test_what_is_no_time_is_counted() -> None:
    found, how, n_unread = moments(pa.array(["2031-01-01", "soon"]))
    assert (how, n_unread, found[1]) == ("time", 1, NO_TIME)
