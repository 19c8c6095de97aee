"""Bars are set only where early folds tell of late ones, and then they save work."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.training.evaluate import Bar, Config, Fate, Outcome
from tenfold.training.rungs import AUDIT, MIN_CORRELATION, N_FULL, Rungs

N_FOLDS, N_CONFIGS = 5, 60


def simulate(
    scores_of: Callable[[int], np.ndarray], *, maximize: bool = True
) -> tuple[Rungs, dict[int, Outcome]]:
    """A search of configurations with known fold scores, one after another."""
    rungs, outcomes = Rungs(N_FOLDS, maximize=maximize), {}
    sign = 1.0 if maximize else -1.0
    for number in range(1, N_CONFIGS):
        scores = scores_of(number)
        config = Config(number, "linear", {}, bars=rungs.bars(number))
        outcome = Outcome(number, float(scores.mean()), tuple(scores), early=tuple(scores))
        for bar in config.bars:
            if sign * scores[: bar.folds].mean() < sign * bar.score:
                early = tuple(scores[: bar.folds])
                outcome = Outcome.failure(number, "behind", Fate.PRUNED, early=early)
                break
        rungs.learn(config, outcome)
        outcomes[number] = outcome
    return rungs, outcomes


def truth(number: int) -> float:
    return float(np.random.default_rng([1, number]).normal())


def table(noise: float, *, sign: float = 1.0) -> Callable[[int], np.ndarray]:
    """Fold scores of a table whose folds differ alike for all, and by noise for each."""
    folds = np.random.default_rng(7).normal(size=N_FOLDS)
    return lambda number: (
        sign
        * (
            truth(number)
            + 3.0 * folds
            + noise * np.random.default_rng([2, number]).normal(size=N_FOLDS)
        )
    )


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_on_a_clear_table_half_the_work_is_saved_and_the_best_is_found(sign: float) -> None:
    rungs, outcomes = simulate(table(0.2, sign=sign), maximize=sign > 0)
    assert rungs.correlation(1) >= MIN_CORRELATION
    n_fits = sum(len(outcome.early) for outcome in outcomes.values())
    assert n_fits < 0.7 * N_FOLDS * len(outcomes)
    whole = {n: o.score for n, o in outcomes.items() if o.fate is Fate.SCORED}
    best = max(outcomes, key=truth)
    assert max(whole, key=lambda n: sign * whole[n]) == best


def test_on_a_noisy_table_there_are_no_bars() -> None:
    rungs, outcomes = simulate(table(5.0))
    assert rungs.correlation(1) < MIN_CORRELATION
    assert {outcome.fate for outcome in outcomes.values()} == {Fate.SCORED}


def test_noise_alone_does_not_correlate_with_itself() -> None:
    """The early folds are a part of the mean of all: that mean would say 0.6 of pure noise."""
    rungs, _ = simulate(lambda n: np.random.default_rng([3, n]).normal(size=N_FOLDS))
    for level in rungs.levels:
        assert abs(rungs.correlation(level)) < MIN_CORRELATION


def test_bars_go_when_early_no_longer_tells_of_late() -> None:
    """A table that changes its mind: only the audits can show it, and they do."""

    def scores_of(number: int) -> np.ndarray:
        scores = table(0.1)(number)
        if number > N_CONFIGS // 3:
            scores[2:] = np.random.default_rng([4, number]).normal(scale=9.0, size=N_FOLDS - 2)
        return scores

    early, _ = simulate(table(0.1))
    rungs, _ = simulate(scores_of)
    assert rungs.correlation(1) < early.correlation(1)


def test_the_first_ones_and_the_audits_run_to_their_end() -> None:
    rungs, outcomes = simulate(table(0.0))
    assert all(outcomes[number].fate is Fate.SCORED for number in range(1, N_FULL + 1))
    audits = [number for number in outcomes if number % AUDIT == 0]
    assert all(outcomes[number].fate is Fate.SCORED for number in audits)
    assert rungs.bars(4 * AUDIT) == ()
    assert [bar.folds for bar in rungs.bars(4 * AUDIT + 1)] == [1, 2]


@given(st.integers(2, 20))
def test_levels_leave_folds_for_later(n_folds: int) -> None:
    levels = Rungs(n_folds, maximize=True).levels
    assert all(1 <= level < n_folds for level in levels)


def test_baselines_failures_and_unknown_scores_say_nothing() -> None:
    rungs = Rungs(3, maximize=True)
    for number in range(30):
        nan = Outcome(number, 0.5, early=(0.5, float("nan"), 0.5))
        rungs.learn(Config(number, "linear", {}), nan)
        rungs.learn(Config(number, "dummy", {}), Outcome(number, 0.5, early=(0.5,) * 3))
        rungs.learn(Config(number, "linear", {}), Outcome.failure(number, "no", Fate.DIED))
    assert rungs.bars(1) == ()
    assert Bar(1, 0.5) == Bar(1, 0.5)
