"""The model of many sessions: nobody waits against a clock, the board is no bottleneck."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from _schedule import Costs, simulate

FREE = Costs(0.0, 0.0, 0.0)


@pytest.mark.parametrize(("n_sessions", "least"), [(1, 0.99), (2, 0.95), (16, 0.85)])
def test_sessions_against_a_clock_are_busy(n_sessions: int, least: float) -> None:
    found = simulate(n_sessions, mean_s=4.0, costs=Costs(0.01, 0.01, 0.02), seconds=150.0)
    assert found.efficiency > least


def test_where_order_is_law_wide_searches_wait() -> None:
    """Never more than eight are under way: more sessions are idle, and none is stuck."""
    found = simulate(16, mean_s=4.0, costs=FREE, seconds=None, trials=60)
    assert found.n_configs == 61
    assert found.efficiency < 0.5


def test_a_slow_board_shows() -> None:
    quick = simulate(16, mean_s=1.0, costs=FREE, seconds=30.0)
    slow = simulate(16, mean_s=1.0, costs=Costs(0.2, 0.2, 0.0), seconds=30.0)
    assert slow.efficiency < 0.5 * quick.efficiency
    assert slow.board_share > 0.9
