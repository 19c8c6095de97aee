from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.monitor import kolmogorov_smirnov, population_stability

counts = st.lists(st.integers(0, 1000), min_size=2, max_size=12)


@given(counts)
def test_nothing_differs_from_itself(cells: list[int]) -> None:
    assert population_stability(cells, cells) == 0.0
    assert kolmogorov_smirnov(cells, cells) == 0.0


@given(
    st.integers(2, 12).flatmap(
        lambda k: st.tuples(*[st.lists(st.integers(0, 1000), min_size=k, max_size=k)] * 2)
    )
)
def test_effects_stay_in_range(pair: tuple[list[int], list[int]]) -> None:
    assert population_stability(*pair) >= 0.0
    assert 0.0 <= kolmogorov_smirnov(*pair) <= 1.0


def test_noise_is_removed() -> None:
    generator = np.random.default_rng(0)
    p = np.full(20, 0.05)
    psi, ks, raw = [], [], []
    for _ in range(300):
        before, now = generator.multinomial(20_000, p), generator.multinomial(500, p)
        psi.append(population_stability(before, now))
        ks.append(kolmogorov_smirnov(before, now))
        share = now / 500
        raw.append(float(np.sum((share - p) * np.log(np.maximum(share, 1e-4) / p))))
    assert np.mean(raw) > 0.03  # what the uncorrected index shows on healthy windows
    assert np.mean(psi) < 0.008 and np.mean(ks) < 0.02


def test_a_real_shift_shows_at_its_size() -> None:
    before = np.array([5000, 5000])
    assert population_stability(before, [600, 400]) == pytest.approx(0.0405, abs=0.002)
    assert kolmogorov_smirnov(before, [6000, 4000]) == pytest.approx(0.1, abs=0.01)


def test_no_rows_no_effect() -> None:
    assert population_stability([1, 2], [0, 0]) == 0.0
    assert kolmogorov_smirnov([0, 0], [1, 2]) == 0.0
