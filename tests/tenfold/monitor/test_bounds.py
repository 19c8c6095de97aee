from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tenfold.monitor.bounds import mean_upper, rate_upper, wilson


@given(st.integers(0, 500), st.integers(1, 500), st.floats(1e-6, 0.2))
def test_the_exact_limit_is_where_so_few_events_become_unlikely(k: int, n: int, d: float) -> None:
    events = min(k, n)
    limit = float(rate_upper(events, n, delta=d))
    assert events / n <= limit <= 1.0
    if events < n:
        assert stats.binom.cdf(events, n, limit) == pytest.approx(d, rel=1e-3)


def test_limits_hold_as_often_as_promised() -> None:
    generator = np.random.default_rng(0)
    values = generator.beta(2, 8, size=(2000, 300))
    limits = [mean_upper(v.mean(), v.var(ddof=1), 300, delta=0.05) for v in values]
    assert np.mean(np.array(limits) < 0.2) <= 0.05
    events = generator.binomial(300, 0.1, size=2000)
    assert np.mean(rate_upper(events, 300, delta=0.05) < 0.1) <= 0.06


def test_nothing_known_bounds_nothing() -> None:
    assert rate_upper(0, 0, delta=0.1) == 1.0
    assert mean_upper(0.1, 0.0, 1, delta=0.1) == 1.0
    assert wilson(0.0, 0) == (0.0, 1.0)


def test_wilson_agrees_with_scipy() -> None:
    for events, n in ((0, 10), (3, 10), (10, 10), (130, 1000)):
        expected = stats.binomtest(events, n).proportion_ci(0.95, method="wilson")
        assert wilson(events / n, n, z=1.959964) == pytest.approx((expected.low, expected.high))
