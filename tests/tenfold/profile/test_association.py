from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.profile.association import (
    MAX_ASSOCIATED,
    MAX_CELLS,
    CategoryAssociation,
    NumberAssociation,
    Target,
)
from tenfold.profile.target import ClassStats, NumberStats
from tests.tenfold.profile.scanned import category_association

CLASSES = ("no", "yes")
number_rows = st.lists(
    st.tuples(st.sampled_from([0.0, 1.5, -2.0, np.nan]), st.integers(-1, 1)), max_size=25
)
category_rows = st.lists(
    st.tuples(st.sampled_from([None, "a", "b", "c"]), st.integers(-1, 1)), max_size=25
)


def classes_of(rows: list) -> Target:
    return Target(CLASSES, np.array([c for _, c in rows], dtype=np.intp))


def of_numbers(rows: list) -> NumberAssociation:
    values = np.array([v for v, _ in rows], dtype=np.float64)
    return NumberAssociation.from_values(values, classes_of(rows))


def of_categories(rows: list) -> CategoryAssociation:
    array = pa.array([v for v, _ in rows], type=pa.string())
    return category_association(array, classes_of(rows))


def counts(association: NumberAssociation | CategoryAssociation) -> list[list[int]]:
    assert isinstance(association.stats, ClassStats)
    return association.stats.counts.tolist()


@given(number_rows)
def test_each_cell_counts_its_classes(rows: list) -> None:
    association = of_numbers(rows)
    for i, cell in enumerate([*association.cells, np.nan]):
        for j in range(2):
            expected = sum(
                1 for v, c in rows if c == j and (v == cell or (v != v and cell != cell))
            )
            assert counts(association)[i][j] == expected


@given(category_rows)
def test_each_category_counts_its_classes(rows: list) -> None:
    association = of_categories(rows)
    assert list(association.categories) == sorted({v for v, _ in rows if v is not None})
    for i, name in enumerate([*association.categories, "dropped", None]):
        for j in range(2):
            assert counts(association)[i][j] == sum(1 for v, c in rows if (v, c) == (name, j))
    assert association.index == {name: i for i, name in enumerate(association.categories)}


@given(st.lists(number_rows, min_size=1, max_size=4), st.randoms())
def test_numbers_merge_in_any_order(parts: list, random: object) -> None:
    whole = of_numbers([row for part in parts for row in part])
    random.shuffle(parts)  # type: ignore[attr-defined]
    merged = NumberAssociation.merge_all([of_numbers(part) for part in parts])
    assert np.array_equal(merged.cells, whole.cells)
    assert counts(merged) == counts(whole)


@given(st.lists(category_rows, min_size=1, max_size=4), st.randoms())
def test_categories_merge_in_any_order(parts: list, random: object) -> None:
    whole = of_categories([row for part in parts for row in part])
    random.shuffle(parts)  # type: ignore[attr-defined]
    merged = CategoryAssociation.merge_all([of_categories(part) for part in parts])
    assert merged.categories == whole.categories
    assert counts(merged) == counts(whole)


def test_many_values_share_cells_and_the_blocks_do_not_show() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=20_000)
    values[::50] = np.nan
    codes = (values > 0.3).astype(np.intp)
    whole = NumberAssociation.from_values(values, Target(CLASSES, codes))
    parts = [
        NumberAssociation.from_values(
            values[at : at + 3000], Target(CLASSES, codes[at : at + 3000])
        )
        for at in range(0, 20_000, 3000)
    ]
    for order in (parts, parts[::-1]):
        merged = NumberAssociation.merge_all(order)
        assert len(merged.cells) <= MAX_CELLS
        assert np.array_equal(merged.cells, whole.cells)
        assert counts(merged) == counts(whole)
    assert counts(whole)[-1] == [400, 0]


def test_a_numeric_target_is_summarized_per_category() -> None:
    target = Target((), np.array([1.0, 3.0, 10.0, np.nan]))
    association = category_association(pa.array(["a", "a", None, "b"]), target)
    assert isinstance(association.stats, NumberStats)
    assert association.stats.n.tolist() == [2, 0, 0, 1]
    assert association.stats.mean[[0, 3]] == pytest.approx([2.0, 10.0])
    assert association.stats.m2[0] == pytest.approx(2.0)


def test_beyond_the_cap_the_domain_and_the_frequent_keep_their_own_statistics() -> None:
    names = [f"n{i:05d}" for i in range(MAX_ASSOCIATED + 500)]
    values = [*names, "frequent", "frequent"]
    target = Target(CLASSES, np.ones(len(values), dtype=np.intp))
    association = category_association(pa.array(values), target, domain=[names[-1]])
    assert len(association.categories) == MAX_ASSOCIATED
    assert {"frequent", names[-1]} <= set(association.categories)
    assert counts(association)[association.index["frequent"]] == [0, 2]
    assert counts(association)[-2] == [0, 501]
