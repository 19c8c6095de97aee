from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tenfold.profile.grid import (
    _bit_lengths,
    combine_weighted,
    fitting_level,
    group_sorted,
    place_in_cells,
    relative_error,
    snap,
    weighted_unique,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
columns = arrays(np.float64, st.integers(0, 60), elements=finite)


@given(columns, st.integers(0, 62), st.integers(0, 62))
def test_cells_are_nested(values: np.ndarray, first: int, second: int) -> None:
    low, high = sorted((first, second))
    twice = snap(snap(values, level=low), level=high)
    assert np.array_equal(twice, snap(values, level=high))


@given(columns, st.integers(0, 62))
def test_snapping_keeps_order_sign_and_finiteness(values: np.ndarray, level: int) -> None:
    snapped = snap(np.sort(values), level=level)
    assert np.all(np.isfinite(snapped))
    assert np.all(np.diff(snapped) >= 0) or np.all(snapped[:-1] <= snapped[1:])
    assert np.array_equal(np.sign(snapped), np.sign(np.sort(values)))


@given(arrays(np.float64, 30, elements=st.floats(1e-300, 1e300)), st.integers(0, 51))
def test_a_middle_is_within_the_stated_error(values: np.ndarray, level: int) -> None:
    off = np.abs(snap(values, level=level) - values) / values
    assert off.max() <= relative_error(level)


@given(columns, st.integers(5, 20))
def test_the_level_is_the_smallest_that_fits(values: np.ndarray, cap: int) -> None:
    unique = np.unique(values + 0.0)
    level = fitting_level(unique, floor=0, cap=cap)
    assert len(np.unique(snap(unique, level=level))) <= cap
    if level:
        assert len(np.unique(snap(unique, level=level - 1))) > cap


@given(columns, st.integers(0, 62))
def test_the_table_of_cells_says_what_a_search_says(values: np.ndarray, level: int) -> None:
    values = values + 0.0
    cells, _ = group_sorted(snap(np.sort(values), level=level))
    found = place_in_cells(values, cells, level=level)
    assert np.array_equal(cells[found], snap(values, level=level))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30))
def test_bits_that_a_word_needs(words: list[int]) -> None:
    found = _bit_lengths(np.array(words, dtype=np.uint64))
    assert found.tolist() == [word.bit_length() for word in words]


def test_a_floor_is_kept_where_it_fits_already() -> None:
    assert fitting_level(np.array([1.0, 2.0]), floor=7, cap=5) == 7


@given(columns)
def test_weighted_unique_is_numpys_unique(values: np.ndarray) -> None:
    unique, counts = weighted_unique(values)
    expected, expected_counts = np.unique(values + 0.0, return_counts=True)
    assert np.array_equal(unique, expected)
    assert np.array_equal(counts, expected_counts)


@given(st.lists(columns, min_size=1, max_size=4))
def test_combining_parts_is_counting_all(parts: list[np.ndarray]) -> None:
    unique, counts = combine_weighted([weighted_unique(part) for part in parts])
    expected, expected_counts = weighted_unique(np.concatenate(parts))
    assert np.array_equal(unique, expected)
    assert np.array_equal(counts, expected_counts)


@pytest.mark.parametrize("values", [[], [4.0], [1.0, 1.0, 2.0]])
def test_groups_begin_at_the_first_of_equals(values: list[float]) -> None:
    unique, begins = group_sorted(np.array(values))
    expected, expected_begins = np.unique(np.array(values), return_index=True)
    assert np.array_equal(unique, expected)
    assert np.array_equal(begins, expected_begins)


def test_parts_in_which_nothing_comes_twice_combine_like_any_others() -> None:
    rng = np.random.default_rng(4)
    parts = [np.sort(rng.choice(1000, 300, replace=False).astype(float)) for _ in range(5)]
    ones = [(part, np.ones(300, dtype=np.int64)) for part in parts]
    twos = [(part, np.full(300, 2, dtype=np.int64)) for part in parts]
    (values, counts), (again, doubled) = combine_weighted(ones), combine_weighted(twos)
    expected = np.unique(np.concatenate(parts), return_counts=True)
    assert (values.tolist(), counts.tolist()) == tuple(e.tolist() for e in expected)
    assert (again.tolist(), doubled.tolist()) == (values.tolist(), (2 * counts).tolist())
    assert counts.dtype == doubled.dtype == np.int64
