from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.monitor import BlockConformal, ChangeMixture, ProportionDetector
from tenfold.monitor.evidence import (
    EXCESS_NATS,
    SCORE_CELLS,
    log_change_prior,
    score_cell,
)


@given(st.integers(1, 10**12), st.integers(1, 10**6))
def test_prior_weights_telescope_to_at_most_one(first: int, many: int) -> None:
    # the sum of w_j for j >= first is exactly g(first) = 1 / (1 + log first)
    def tail(j: int) -> float:
        return 1.0 / (1.0 + math.log(j))

    weight = math.exp(log_change_prior(first))
    assert weight == pytest.approx(tail(first) - tail(first + 1), rel=1e-2, abs=1e-15)
    assert tail(first + many) < tail(first) <= 1.0


def test_the_mixture_is_the_sum_over_change_times() -> None:
    generator = np.random.default_rng(1)
    bets = generator.normal(-0.3, 0.5, size=(6, 2, 3))
    mixture = ChangeMixture(2, 3, alpha=0.01)
    for step, log_bets in enumerate(bets):
        mixture.advance(log_bets, now_s=float(step))
    total = np.zeros((2, 3))
    for start in range(6):
        total += math.exp(log_change_prior(start + 1)) * np.exp(bets[start:].sum(axis=0))
    assert mixture.log_evidence() == pytest.approx(np.log(total.mean(axis=1)))


def test_evidence_is_capped_above_its_level_and_falls_back() -> None:
    mixture = ChangeMixture(1, 1, alpha=0.01)
    for step in range(100):
        mixture.advance(np.array([[5.0]]), now_s=float(step))
    assert mixture.alarmed().all()
    assert mixture.log_evidence()[0] == pytest.approx(mixture.level + EXCESS_NATS)
    for step in range(8):
        mixture.advance(np.array([[-1.0]]), now_s=100.0 + step)
    assert not mixture.alarmed().any()


def test_the_change_point_is_where_the_rise_began() -> None:
    mixture = ChangeMixture(2, 1, alpha=0.01)
    for step in range(30):
        push = 1.0 if step >= 20 else -0.5
        mixture.advance(np.array([[push], [-0.5]]), now_s=10.0 * step)
    assert mixture.change(0) == (21, 200.0)


def test_no_stream_no_alarm() -> None:
    mixture = ChangeMixture(0, 7, alpha=0.01)
    mixture.advance(np.zeros((0, 7)), now_s=0.0)
    assert mixture.log_evidence().shape == (0,) and not mixture.alarmed().any()


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30))
def test_score_cells_rise_with_the_score(scores: list[float]) -> None:
    cells = score_cell(np.sort(scores), block_rows=500)
    assert (np.diff(cells) >= 0).all()
    assert ((cells >= 0) & (cells < SCORE_CELLS)).all()


def test_ranks_of_exchangeable_blocks_are_uniform_and_independent() -> None:
    generator = np.random.default_rng(0)
    detector = BlockConformal(np.zeros((40, SCORE_CELLS), dtype=np.int64), alpha=0.5)
    ranks = []
    for _ in range(400):
        # few distinct cells: without random ties the ranks would be far from uniform
        cells = generator.integers(40, 44, size=40)
        ranks.append(detector.update(cells, 1.0 - generator.random(40), now_s=0.0))
    table = np.array(ranks)
    assert np.quantile(table, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.01)
    later, earlier = table[1:].ravel(), table[:-1].ravel()
    assert abs(np.corrcoef(later, earlier)[0, 1]) < 0.03


def test_a_rank_counts_stranger_blocks_and_shares_ties() -> None:
    bag = np.zeros((1, SCORE_CELLS), dtype=np.int64)
    bag[0, [10, 20, 30]] = 1, 2, 1
    detector = BlockConformal(bag, alpha=0.01)
    # above cell 20: one block; in it: two and the new one; five in all
    rank = detector.update(np.array([20]), np.array([0.5]), now_s=0.0)
    assert rank[0] == pytest.approx((1 + 0.5 * 3) / 5)
    assert detector.bag.sum() == 5 and bag.sum() == 4


@pytest.mark.parametrize("n_reference", [20, 80])
def test_a_bag_of_any_size_never_voids_the_bound(n_reference: int) -> None:
    """Five thousand null streams of 200 blocks at a bound of one in ten."""
    generator = np.random.default_rng(n_reference)
    cells = generator.binomial(40, 0.3, size=(5000, n_reference))
    bag = np.array([np.bincount(row, minlength=SCORE_CELLS) for row in cells])
    detector = BlockConformal(bag, alpha=0.1 * 5000)  # level log(1/0.1) for each stream
    ever = np.zeros(5000, dtype=bool)
    for _ in range(200):
        live = generator.binomial(40, 0.3, size=5000)
        detector.update(live, 1.0 - generator.random(5000), now_s=0.0)
        ever |= detector.mixture.alarmed()
    assert detector.mixture.level == pytest.approx(math.log(10.0))
    assert ever.mean() <= 0.1


def test_proportions_at_their_bound_never_void_it() -> None:
    """Four thousand streams exactly at the bound, 100 batches of 20 rows."""
    generator = np.random.default_rng(3)
    bounds = np.repeat([0.02, 0.3], 2000)
    detector = ProportionDetector(bounds, alpha=0.1 * 4000)
    ever = np.zeros(4000, dtype=bool)
    rows = np.full(4000, 20)
    for _ in range(100):
        detector.update_counts(generator.binomial(20, bounds), rows, now_s=0.0)
        ever |= detector.mixture.alarmed()
    assert ever.mean() <= 0.1


def test_losses_and_counts_are_the_same_bet() -> None:
    losses = np.array([0.0, 1.0, 1.0, 0.0, 0.0])
    by_rows, by_counts = (ProportionDetector(np.array([0.2]), alpha=0.01) for _ in range(2))
    by_rows.update_losses(losses, now_s=0.0)
    by_counts.update_counts(np.array([2]), np.array([5]), now_s=0.0)
    assert by_rows.mixture.log_evidence() == pytest.approx(by_counts.mixture.log_evidence())


def test_a_bound_of_one_proves_nothing() -> None:
    detector = ProportionDetector(np.array([1.0]), alpha=0.01)
    for _ in range(50):
        detector.update_counts(np.array([100]), np.array([100]), now_s=0.0)
    assert not detector.mixture.alarmed().any()


def test_a_state_goes_on_bit_for_bit() -> None:
    generator = np.random.default_rng(5)
    first = BlockConformal(np.ones((3, SCORE_CELLS), dtype=np.int64), alpha=0.01)
    draws = [(generator.integers(0, 96, 3), 1.0 - generator.random(3)) for _ in range(40)]
    for cells, ties in draws[:20]:
        first.update(cells, ties, now_s=1.0)
    second = BlockConformal(np.zeros((3, SCORE_CELLS), dtype=np.int64), alpha=0.01)
    second.restore(json.loads(json.dumps(first.state())))
    for cells, ties in draws[20:]:
        first.update(cells, ties, now_s=2.0)
        second.update(cells, ties, now_s=2.0)
    assert first.mixture.log_evidence().tolist() == second.mixture.log_evidence().tolist()
    assert (first.bag == second.bag).all()
