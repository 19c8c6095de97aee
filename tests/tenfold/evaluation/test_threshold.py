"""The chosen cut is the best of all cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.evaluation import Judged, best_threshold, measure
from tenfold.project.measures import Task

ROWS = st.lists(
    st.tuples(st.sampled_from([0.05, 0.2, 0.4, 0.6, 0.7, 0.95]), st.booleans()),
    min_size=2,
    max_size=40,
).filter(lambda rows: len({y for _, y in rows}) == 2)


def value_at(cut: float, p: np.ndarray, y: np.ndarray, metric: str) -> float:
    decided = (p >= cut).astype(np.int64)
    return measure(metric, Judged(Task.BINARY, y.astype(int), np.c_[1 - p, p], decided))


@pytest.mark.parametrize("metric", ["f1", "accuracy", "balanced_accuracy"])
@given(rows=ROWS)
def test_no_cut_is_better(metric: str, rows: list[tuple[float, bool]]) -> None:
    p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    chosen = value_at(best_threshold(p, y, metric=metric), p, y, metric)
    for cut in (0.01, 0.1, 0.3, 0.5, 0.65, 0.8):
        assert chosen >= value_at(cut, p, y, metric) - 1e-12


@given(ROWS, st.integers(1, 9), st.integers(1, 9))
def test_costs_are_spent_least(rows: list[tuple[float, bool]], fp: int, fn: int) -> None:
    p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])

    def cost(cut: float) -> float:
        called = p >= cut
        return float(fp * (called & ~y).sum() + fn * (~called & y).sum())

    chosen = cost(best_threshold(p, y, costs=(fp, fn)))
    assert all(chosen <= cost(cut) for cut in (0.01, 0.1, 0.3, 0.5, 0.65, 0.8))


def test_one_class_keeps_a_half() -> None:
    assert best_threshold(np.array([0.2, 0.9]), np.array([True, True])) == 0.5
