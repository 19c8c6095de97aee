"""The score test: calibrated where nothing is added, and right about what is."""

from __future__ import annotations

import numpy as np
import pytest

from tenfold.features.construct.screen import (
    ALPHA,
    MAX_CLASSES,
    N_BINS,
    Screen,
    binned_levels,
    binned_numbers,
)

N_ROWS = 3000


def columns(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, c = rng.normal(size=(3, N_ROWS))
    return a, b, c


@pytest.mark.parametrize("classes", [True, False])
def test_of_noise_about_nothing_is_left_and_few_columns_add(classes: bool) -> None:
    gains, told = [], 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        a, b, c = columns(rng)
        signal = a + b + rng.logistic(size=N_ROWS)
        truth = (signal > 0).astype(np.int64) if classes else signal
        parents = [binned_numbers(a), binned_numbers(b)]
        screen = Screen.of(parents, truth)
        gain, free = screen.adds(binned_numbers(c), parents)
        assert free == N_BINS - 1
        gains.append(gain)
        told += gain >= screen.chance(free)
    assert abs(float(np.mean(gains))) < 0.001
    assert told <= 60 * ALPHA + 3


@pytest.mark.parametrize("classes", [True, False])
def test_an_interaction_without_any_effect_alone_shows_in_the_cells(classes: bool) -> None:
    rng = np.random.default_rng(1)
    a, b, c = columns(rng)
    truth = a * b + 0.1 * c
    binned = [binned_numbers(x) for x in (a, b, c)]
    screen = Screen.of(binned, (truth > 0).astype(np.int64) if classes else truth)
    both, others = screen.of_cells(*binned[:2]), screen.of_cells(*binned[1:])
    assert both > 0.3
    assert others < 0.05


def test_what_the_parents_say_is_not_said_again() -> None:
    rng = np.random.default_rng(2)
    a, b, c = columns(rng)
    parents = [binned_numbers(a), binned_numbers(b)]
    screen = Screen.of(parents, a + b + c)
    again, _ = screen.adds(binned_numbers(np.exp(a)), parents)
    more, _ = screen.adds(binned_numbers(c), parents)
    assert abs(again) < 0.01
    assert more > 0.9


def test_classes_are_told_one_by_one_up_to_a_number_of_them() -> None:
    rng = np.random.default_rng(3)
    few, many = rng.integers(0, 3, N_ROWS), rng.integers(0, 9, N_ROWS)
    column = [binned_numbers(rng.normal(size=N_ROWS))]
    assert Screen.of(column, few).n_outputs == 3
    assert Screen.of(column, many).n_outputs == MAX_CLASSES
    assert Screen.of(column, few % 2).n_outputs == 1
    assert Screen.of(column, np.zeros(N_ROWS, np.int64)).n_outputs == 0
    assert Screen.of(column, np.zeros(N_ROWS)).n_outputs == 0


def test_bins_know_missing_infinite_and_huge_values_and_rare_levels() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 1e308, -1e308, 0.0])
    assert binned_numbers(odd, n_bins=3).bins.tolist() == [0, 0, 0, 3, 1, 2]
    assert binned_numbers(np.full(4, np.nan)).filled == (1, 1)
    codes = np.repeat(np.arange(50.0), np.arange(50, 0, -1))
    levels = binned_levels(codes)
    assert (levels.n_bins, levels.filled[0]) == (33, 32)
    assert levels.bins[0] == 2  # the most frequent
    assert levels.bins[-1] == 1
    assert levels.n_coarse == N_BINS + 1
    assert levels.coarse_bins.max() == N_BINS
