from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfold.evaluation.shapley import N_BACKGROUND, n_evaluations, walked

Floats = NDArray[np.float64]
ONE_EACH: list[Any] = [np.array([k]) for k in range(4)]


def bent(x: Floats) -> Floats:
    """Steps, products and a curve: nothing adds up."""
    a, b, c, d = x.T
    first = np.where(a > 0, b * c, -b) + np.sin(3 * d) * a
    return np.column_stack([first, np.tanh(first) + c])


def brute_force(row: Floats, background: Floats) -> Floats:
    """Shapley's formula over all coalitions, (4, 2)."""
    n = len(row)

    def worth(members: tuple[int, ...]) -> Floats:
        mixed = background.copy()
        mixed[:, list(members)] = row[list(members)]
        return np.asarray(bent(mixed).mean(axis=0))

    out = np.zeros((n, 2))
    for k in range(n):
        others = [j for j in range(n) if j != k]
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for some in combinations(others, size):
                out[k] += weight * (worth((*some, k)) - worth(some))
    return out


def rows(n_rows: int, *, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(size=(n_rows, 4))


def test_walks_come_near_the_shapley_values() -> None:
    background = rows(N_BACKGROUND, seed=0)
    some = rows(20, seed=1)
    parts, _base = walked(bent, some, background, ONE_EACH)
    expected = np.array([brute_force(row, background) for row in some])
    error = np.abs(parts - expected)
    assert error.mean() < 0.05 * np.abs(expected).max()
    assert error.max() < 0.25 * np.abs(expected).max()


def test_a_sum_gets_its_own_terms() -> None:
    """Without interactions every walk says the same but for its start: exact."""
    background, some = rows(N_BACKGROUND, seed=2), rows(5, seed=3)
    weights = np.array([[2.0], [-1.0], [0.0], [0.5]])
    parts, base = walked(lambda x: x @ weights, some, background, ONE_EACH)
    expected = (some - background.mean(axis=0)) * weights[:, 0]
    assert np.allclose(parts[:, :, 0], expected)
    assert np.allclose(base, background.mean(axis=0) @ weights)


@pytest.mark.parametrize("n_background", [1, 7, N_BACKGROUND, 3 * N_BACKGROUND])
def test_contributions_add_up_to_the_answer(n_background: int) -> None:
    background, some = rows(n_background, seed=4), rows(6, seed=5)
    kept = some.copy()
    parts, base = walked(bent, some, background, ONE_EACH)
    assert np.allclose(parts.sum(axis=1) + base, bent(some))
    assert np.allclose(base, bent(background[:N_BACKGROUND]).mean(axis=0))
    assert np.array_equal(some, kept)


def test_columns_of_one_group_change_together_and_idle_ones_get_nothing() -> None:
    background, some = rows(9, seed=6), rows(3, seed=7)
    groups: list[Any] = [np.array([0, 3]), np.array([1]), np.array([2])]
    parts, base = walked(lambda x: x[:, [0]] * x[:, [3]], some, background, groups)
    assert np.allclose(parts[:, 1:], 0.0)
    assert np.allclose(parts[:, 0, 0], some[:, 0] * some[:, 3] - base[0])


def test_the_same_row_gets_the_same_bits_alone_and_among_others() -> None:
    background, some = rows(N_BACKGROUND, seed=8), rows(4, seed=9)
    whole, _base = walked(bent, some, background, ONE_EACH)
    alone, _base = walked(bent, some[2:3], background, ONE_EACH)
    assert whole[2].tobytes() == alone[0].tobytes()


def test_the_bound_on_evaluations_is_kept() -> None:
    seen = []

    def counted(x: Floats) -> Floats:
        seen.append(len(x))
        return bent(x)

    walked(counted, rows(1, seed=0), rows(N_BACKGROUND, seed=1), ONE_EACH)
    assert sum(seen) == n_evaluations(4) + N_BACKGROUND
