from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.profile.target import ClassStats, NumberStats

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2), st.floats(-1e3, 1e3)), max_size=30)


@given(rows)
def test_class_counts_are_a_contingency_table(table: list[tuple[int, int, float]]) -> None:
    groups = np.array([g for g, _, _ in table], dtype=np.intp)
    codes = np.array([c for _, c, _ in table], dtype=np.intp)
    stats = ClassStats.count_rows(groups, codes, n_groups=4, classes=("a", "b", "c"))
    for g in range(4):
        for c in range(3):
            assert stats.counts[g, c] == sum(1 for x, y, _ in table if (x, y) == (g, c))
    assert stats.n.sum() == (codes >= 0).sum()


@given(rows, st.lists(st.integers(0, 1), min_size=4, max_size=4))
def test_regrouped_numbers_are_those_of_the_rows(
    table: list[tuple[int, int, float]], onto: list[int]
) -> None:
    groups = np.array([g for g, _, _ in table], dtype=np.intp)
    values = np.array([v for _, _, v in table])
    fine = NumberStats.sum_rows(groups, values, n_groups=4)
    coarse = fine.regroup(np.array(onto, dtype=np.intp), n_groups=2)
    for target in range(2):
        own = values[[onto[g] == target for g in groups]] if len(groups) else values
        assert coarse.n[target] == len(own)
        if len(own):
            assert coarse.mean[target] == pytest.approx(own.mean(), rel=1e-9, abs=1e-9)
            assert coarse.m2[target] == pytest.approx(
                ((own - own.mean()) ** 2).sum(), rel=1e-9, abs=1e-6
            )
            assert coarse.sums[target] == pytest.approx(own.sum(), rel=1e-9, abs=1e-6)


def test_rows_without_a_target_are_left_out() -> None:
    stats = NumberStats.sum_rows(
        np.zeros(3, dtype=np.intp), np.array([1.0, np.nan, 3.0]), n_groups=1
    )
    assert (stats.n[0], stats.mean[0]) == (2, 2.0)


def test_groups_are_cut_and_joined() -> None:
    stats = ClassStats(("a", "b"), np.array([[1, 2], [3, 4]]))
    again = stats.take(slice(1, 2)).concat([stats.take(slice(0, 1))])
    assert again.counts.tolist() == [[3, 4], [1, 2]]
