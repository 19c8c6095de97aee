"""What marks a segment, told in the column's own values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.schema import Column, Kind, Schema
from tenfold.training.portraits import LEAST_APART, N_MARKS, Portrait, cliffs_delta, paint

SCHEMA = Schema(
    (
        Column("age", Kind.INTEGER),
        Column("city", Kind.CATEGORY, domain=("bern", "oslo")),
        Column("member", Kind.BOOLEAN),
        Column("since", Kind.DATETIME),
        Column("noise", Kind.NUMBER),
        Column("name", Kind.IDENTIFIER),
    )
)
DAY = 86_400.0


def codes_of(n_rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = (np.arange(n_rows) % 4 == 0).astype(np.int64)
    age = np.where(labels == 1, 60, 30) + np.arange(n_rows) % 3
    city = np.where(labels == 1, 1.0, np.nan)
    member = (rng.random(n_rows) < np.where(labels == 1, 0.9, 0.1)).astype(float)
    since = np.where(labels == 1, 0.0, 400 * DAY)
    columns = [age, city, member, since, rng.normal(size=n_rows), rng.integers(0, 9, n_rows)]
    return np.column_stack(columns).astype(np.float64), labels


def test_a_portrait_tells_size_and_the_columns_that_differ() -> None:
    codes, labels = codes_of()
    common, rare = paint(SCHEMA, codes, labels, ("segment-1", "segment-2"))
    assert (common.n_rows, rare.n_rows) == (150, 50)
    assert rare.title() == "segment-2: 50 rows, 25%"
    told = {mark.column: (mark.typical, mark.others) for mark in rare.marks}
    assert told["age"] == ("61", "31")
    assert told["city"] == ("oslo (100%)", "0%")
    assert told["since"] == ("1970-01-01", "1971-02-05")
    assert told["member"][0].startswith("true (")
    assert "name" not in told
    assert [m.apart for m in rare.marks] == sorted((m.apart for m in rare.marks), reverse=True)
    assert {m.column: m.typical for m in common.marks}["city"] == "missing (100%)"
    assert rare.to_dict()["marks"][0]["apart"] == rare.marks[0].apart


def test_a_segment_like_the_others_says_so() -> None:
    schema = Schema((Column("x", Kind.NUMBER),))
    alike = paint(schema, np.tile([[1.0], [2.0]], (10, 1)), np.repeat([0, 1], 10), ("a", "b"))[0]
    assert alike.marks == ()
    assert alike.pairs() == [("no column", "differs from the other rows")]


def test_one_segment_alone_and_an_empty_one_have_no_marks() -> None:
    codes, labels = codes_of()
    whole, empty = paint(SCHEMA, codes, labels * 0, ("a", "b"))
    assert (whole.marks, empty.marks, empty.n_rows) == ((), (), 0)


def test_only_the_strongest_columns_are_told() -> None:
    schema = Schema(tuple(Column(f"x{k}", Kind.NUMBER) for k in range(9)))
    labels = np.repeat([0, 1], 50)
    codes = np.random.default_rng(0).normal(size=(100, 9)) + labels[:, None] * np.arange(9)
    portrait: Portrait = paint(schema, codes, labels, ("a", "b"))[1]
    assert len(portrait.marks) == N_MARKS
    assert {"x8", "x7"} < {mark.column for mark in portrait.marks}
    assert min(mark.apart for mark in portrait.marks) >= LEAST_APART


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=20),
    st.lists(st.integers(-5, 5), min_size=1, max_size=20),
)
def test_cliffs_delta_is_its_definition(one: list[int], other: list[int]) -> None:
    a, b = np.array(one, dtype=float), np.array(other, dtype=float)
    expected = np.sign(a[:, None] - b[None, :]).mean()
    assert cliffs_delta(a, b) == pytest.approx(expected)
