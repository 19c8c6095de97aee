"""Every bet is fair under its null: exactly, by summing over all outcomes, and in a simulation."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from tenfold.monitor import ChangeMixture
from tenfold.monitor.rivals import ALTERNATIVES, LAMBDA_SHARES, mean_bets, rival_bets

rates = st.floats(0.0, 1.0)


def pmf(n: int, rate: float) -> npt.NDArray[np.float64]:
    return np.array([math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)])


@given(
    rates, rates, rates, st.integers(0, 7), st.integers(0, 4),
    st.sampled_from([1.0, 2.0]), st.floats(0.001, 0.3),
)  # fmt: skip
def test_the_expected_factor_is_at_most_one_wherever_the_canary_is_no_worse(
    champion: float, share: float, guess: float, n: int, m: int, ratio: float, slack: float
) -> None:
    canary = share * min(1.0, ratio * champion + slack)
    expected = np.zeros((1, len(ALTERNATIVES)))
    for k, one in enumerate(pmf(n, champion)):
        for j, other in enumerate(pmf(m, canary)):
            bets = rival_bets(
                np.array([[k], [j]]),
                np.array([n, m]),
                champion_rate=np.array([guess]),
                ratio=ratio,
                slack=slack,
            )
            expected += one * other * np.exp(bets)
    assert (expected <= 1.0 + 1e-6).all()


@given(st.floats(-0.9, 1.2), rates, rates)
def test_the_expected_factor_of_a_mean_is_at_most_one_up_to_its_bound(
    bound: float, share: float, up: float
) -> None:
    mean = -1.0 + share * (min(bound, 1.0) + 1.0)  # at most the bound
    plus = max(0.0, mean) + up * (1.0 - abs(mean)) / 2.0
    minus = plus - mean
    expected = np.zeros((1, len(LAMBDA_SHARES)))
    for p, (a, b) in {plus: (1, 0), minus: (0, 1)}.items():
        if plus != minus:
            one = mean_bets(np.array([a]), np.array([b]), 1, bound=np.array([bound]))
            expected += p * np.exp(one)
    if plus == minus:
        for a, b in ((1, 0), (0, 1)):
            one = mean_bets(np.array([a]), np.array([b]), 1, bound=np.array([bound]))
            expected += plus * np.exp(one)
    zero = mean_bets(np.array([0]), np.array([0]), 1, bound=np.array([bound]))
    expected += (1.0 - plus - minus) * np.exp(zero)
    assert (expected <= 1.0 + 1e-9).all()


def test_bets_of_many_rows_are_those_of_each() -> None:
    bound = np.array([0.1])
    one = [
        mean_bets(np.array([a]), np.array([b]), 1, bound=bound) for a, b in ((1, 0), (0, 1), (0, 0))
    ]
    together = mean_bets(np.array([3]), np.array([2]), 9, bound=bound)
    assert np.allclose(together, 3 * one[0] + 2 * one[1] + 4 * one[2])


def test_without_requests_of_the_canary_nothing_is_learned() -> None:
    bets = rival_bets(
        np.array([[9], [0]]), np.array([90, 0]),
        champion_rate=np.array([0.01]), ratio=1.0, slack=0.01,
    )  # fmt: skip
    assert np.allclose(bets, 0.0, atol=1e-9)


def simulated(canary_of: npt.NDArray[np.float64], *, slack: float) -> tuple[float, list[int]]:
    """Share of 2,000 canaries that ever reach the level of one in five, and when they do."""
    generator = np.random.default_rng(7)
    n_canaries, level = 2000, math.log(1 / 0.2)
    mixture = ChangeMixture(n_canaries, len(ALTERNATIVES), alpha=0.2)
    seen = np.zeros(n_canaries)
    total = 0
    first = np.zeros(n_canaries, dtype=np.int64)
    for block, rate in enumerate(canary_of):  # the champion's rate moves, too
        n, m = 18, int(generator.integers(0, 5))
        champion = max(0.0, float(rate) - slack)
        events = np.stack(
            [generator.binomial(n, champion, n_canaries), generator.binomial(m, rate, n_canaries)]
        )
        guess = (seen + 0.01) / (total + 1.0)
        bets = rival_bets(
            events, np.array([n, m]), champion_rate=guess, ratio=1.0, slack=0.005
        )  # fmt: skip
        mixture.advance(bets, now_s=float(block))
        seen, total = seen + events[0], total + n
        first[(first == 0) & (mixture.log_evidence() >= level)] = block + 1
    return float((first > 0).mean()), sorted(first[first > 0].tolist())


def test_few_good_canaries_are_ever_taken_for_bad() -> None:
    moving = 0.03 + 0.025 * np.sin(np.arange(120) / 9.0)
    share, _ = simulated(moving, slack=0.005)  # at the very edge of the null
    assert share <= 0.2


def test_bad_ones_are_found_in_seconds() -> None:
    share, when = simulated(np.full(60, 0.3), slack=0.29)
    assert share == 1.0 and when[-1] < 30
