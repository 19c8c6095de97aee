from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.monitor import FeatureBins, FrozenBins
from tenfold.monitor.blocks import BlockCutter, block_scores

BINS = FrozenBins(
    (
        FeatureBins.of_numbers("x", [0.0], -1.0, 1.0),
        FeatureBins.of_categories("c", ("a", "b"), {"a": 2, "b": 1}),
    )
)


def blocks_of(cutter: BlockCutter, counts: np.ndarray) -> list[np.ndarray]:
    return [block for blocks in cutter.add(counts) for block in blocks]


def rows_of(n: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.column_stack([generator.uniform(-1, 1, n), generator.integers(-1, 2, n)])


@given(st.lists(st.integers(0, 35), max_size=12), st.integers(1, 20))
def test_blocks_are_exact_and_no_row_is_lost(sizes: list[int], block_rows: int) -> None:
    cutter = BlockCutter(BINS, block_rows=block_rows, seed=3)
    total = np.zeros(BINS.n_cells, dtype=np.int64)
    cut = np.zeros(BINS.n_cells, dtype=np.int64)
    for index, size in enumerate(sizes):
        counts = BINS.count(rows_of(size, index))
        total += counts
        for block in blocks_of(cutter, counts):
            assert [part.sum() for part in BINS.split(block)] == [block_rows] * 2
            assert (block >= 0).all()
            cut += block
    assert cutter.n_blocks == sum(sizes) // block_rows
    assert cutter.open_rows == sum(sizes) % block_rows
    assert (cut + cutter.open_counts == total).all()


@pytest.mark.parametrize(("n_rows", "block_rows"), [(17, 25), (1703, 25), (1703, 700)])
def test_a_restart_cuts_as_the_first_run_did(n_rows: int, block_rows: int) -> None:
    parts = [BINS.count(rows_of(n_rows, seed)) for seed in range(9)]
    whole = BlockCutter(BINS, block_rows=block_rows, seed=3)
    expected = [block.tolist() for part in parts for block in blocks_of(whole, part)]
    first = BlockCutter(BINS, block_rows=block_rows, seed=3)
    found = [block.tolist() for part in parts[:4] for block in blocks_of(first, part)]
    second = BlockCutter(BINS, block_rows=block_rows, seed=3)
    second.restore(json.loads(json.dumps(first.state())))
    found += [block.tolist() for part in parts[4:] for block in blocks_of(second, part)]
    assert found == expected
    assert len(found) == 9 * n_rows // block_rows
    assert second.n_blocks == whole.n_blocks == len(found)
    assert (second.ties(len(found)) == whole.ties(len(found))).all()


@pytest.mark.parametrize(("n_rows", "place"), [(2000, 0), (2000, 7), (2000, 19), (7150, 70)])
def test_a_random_split_is_fair(n_rows: int, place: int) -> None:
    bins = FrozenBins((BINS.features[0],))
    counts = bins.count(np.linspace(-1, 1, n_rows)[:, None])
    drawn = []
    for seed in range(300):
        blocks = blocks_of(BlockCutter(bins, block_rows=100, seed=seed), counts)
        drawn.append([blocks[place][1], blocks[place - 1][1]])
    low, before = np.array(drawn).T
    assert low.mean() == pytest.approx(50.0, abs=1.0)
    expected = np.sqrt(25.0 * (1 - 99 / (n_rows - 1)))  # hypergeometric
    assert low.std() == pytest.approx(expected, abs=0.8)
    assert np.corrcoef(low, before)[0, 1] == pytest.approx(-100 / (n_rows - 100), abs=0.15)


def test_columns_are_split_each_for_itself() -> None:
    rows = np.column_stack([np.linspace(-1, 1, 2000), np.arange(2000) >= 1000])
    drawn = []
    for seed in range(300):
        cutter = BlockCutter(BINS, block_rows=100, seed=seed)
        (_, _, third, *_) = blocks_of(cutter, BINS.count(rows))
        number, category = BINS.split(third)
        drawn.append([number[1], category[0]])
    assert abs(np.corrcoef(np.array(drawn).T)[0, 1]) < 0.15


def test_ties_are_uniform_and_differ_from_block_to_block() -> None:
    cutter = BlockCutter(BINS, block_rows=1, seed=3)
    ties = np.concatenate([cutter.ties(number) for number in range(1, 501)])
    assert ((ties > 0.0) & (ties <= 1.0)).all() and len(set(ties)) == len(ties)
    assert np.mean(ties) == pytest.approx(0.5, abs=0.03)


def test_scores_are_distances_to_the_shape() -> None:
    shape = np.array([0, 0.5, 0.5, 0, 0, 0.6, 0.4, 0, 0, 0.0])
    same = np.array([0, 5, 5, 0, 0, 6, 4, 0, 0, 0])
    assert block_scores(BINS, same, shape).tolist() == pytest.approx([0.0, 0.0])
    moved = np.array([0, 2, 8, 0, 0, 6, 0, 0, 4, 0])
    assert block_scores(BINS, moved, shape).tolist() == pytest.approx([0.3, 0.4])
    missing = np.array([0, 0, 0, 0, 10, 0, 0, 0, 0, 10])
    assert block_scores(BINS, missing, shape).tolist() == pytest.approx([1.0, 1.0])
    together = block_scores(BINS, np.array([same, moved, missing]), shape)
    assert together.tolist() == [
        block_scores(BINS, each, shape).tolist() for each in (same, moved, missing)
    ]


def test_a_column_without_rows_is_at_no_distance() -> None:
    shape = np.array([0, 0.5, 0.5, 0, 0, 0.6, 0.4, 0, 0, 0.0])
    assert block_scores(BINS, np.zeros(10, dtype=np.int64), shape).tolist() == [0.0, 0.0]
