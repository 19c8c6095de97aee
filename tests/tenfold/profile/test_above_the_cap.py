"""Beyond the exact caps: whatever the data and the cuts, within the errors that are stated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.profile.categories import MAX_CATEGORIES, CategoryProfile
from tenfold.profile.numbers import MAX_EXACT, SUMMARY_CELLS, NumberProfile
from tests.tenfold.profile.scanned import category_profile

N_NUMBERS = MAX_EXACT + 60_000
N_STRINGS = 3 * MAX_CATEGORIES
DISTINCT_ERROR = 0.08
"""Five standard errors of the estimate."""

Draw = Callable[[np.random.Generator], np.ndarray]
SPREADS: dict[str, Draw] = {
    "normal": lambda random: random.normal(1e3, 10.0, N_NUMBERS),
    "lognormal": lambda random: random.lognormal(0.0, 3.0, N_NUMBERS),
    "cauchy": lambda random: random.standard_cauchy(N_NUMBERS),
    "whole numbers": lambda random: random.integers(0, 2**53, N_NUMBERS).astype(np.float64),
    "two signs far from zero": lambda random: (
        np.where(np.arange(N_NUMBERS) % 2, 1.0, -1.0) * random.uniform(1.0, 9.0, N_NUMBERS)
    ),
    "a spike and a tail": lambda random: np.where(
        np.arange(N_NUMBERS) % 40, random.uniform(5.0, 6.0, N_NUMBERS), random.choice([0.0, 1e9])
    ),
}
probabilities = np.linspace(0.0, 1.0, 101)


def cut(values: np.ndarray, cuts: list[float]) -> list[np.ndarray]:
    """Parts between shares of the rows."""
    return np.split(values, [round(share * len(values)) for share in sorted(cuts)])


cuts_of_rows = st.lists(st.floats(0.0, 1.0), max_size=4)


@settings(max_examples=6)
@given(
    seed=st.integers(0, 10**6),
    spread=st.sampled_from(sorted(SPREADS)),
    cuts=cuts_of_rows,
    shuffle=st.randoms(use_true_random=False),
)
def test_numbers_keep_their_stated_error_and_any_cut_their_cells(
    seed: int, spread: str, cuts: list[float], shuffle: object
) -> None:
    values = SPREADS[spread](np.random.default_rng(seed))
    parts = [NumberProfile.from_values(part) for part in cut(values, cuts)]
    shuffle.shuffle(parts)  # type: ignore[attr-defined]
    found = NumberProfile.merge_all(parts)
    ranked = np.sort(values)
    position = probabilities * (len(values) - 1)
    between = np.abs(ranked[np.array([np.floor(position), np.ceil(position)], dtype=np.intp)])
    apart = np.abs(found.quantiles(probabilities) - np.quantile(ranked, probabilities))
    assert np.all(apart <= found.quantile_error * between.max(axis=0) * (1 + 1e-9))
    n_distinct = 1 + np.count_nonzero(np.diff(ranked))
    assert found.is_exact == (n_distinct <= MAX_EXACT)
    assert found.is_exact or len(found.values) <= SUMMARY_CELLS
    assert abs(found.n_distinct / n_distinct - 1) <= (0 if found.is_exact else DISTINCT_ERROR)
    assert (found.count, found.minimum, found.maximum) == (len(values), ranked[0], ranked[-1])
    assert found.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-9 * values.std())
    assert found.variance == pytest.approx(values.var(), rel=1e-9)
    whole = NumberProfile.from_values(values)
    assert (found.level, found.n_distinct) == (whole.level, whole.n_distinct)
    assert np.array_equal(found.values, whole.values)
    assert np.array_equal(found.counts, whole.counts)


@settings(max_examples=6)
@given(
    seed=st.integers(0, 10**6),
    power=st.floats(1.05, 1.6),
    cuts=cuts_of_rows,
    shuffle=st.randoms(use_true_random=False),
)
def test_categories_keep_their_stated_error_and_those_of_the_domain_are_exact(
    seed: int, power: float, cuts: list[float], shuffle: object
) -> None:
    random = np.random.default_rng(seed)
    ranks = np.concatenate([np.arange(N_STRINGS // 2), random.zipf(power, N_STRINGS) % N_STRINGS])
    values = np.array([f"level {rank}" for rank in random.permutation(ranks)])
    domain = (*(f"level {rank}" for rank in random.integers(0, N_STRINGS, 50)), "never seen")
    parts = [
        category_profile(pa.array(part, pa.string()), domain=domain) for part in cut(values, cuts)
    ]
    shuffle.shuffle(parts)  # type: ignore[attr-defined]
    found = CategoryProfile.merge_all(parts, domain=domain)
    true = Counter(values.tolist())
    assert not found.is_exact
    assert len(found.counts) <= MAX_CATEGORIES
    assert {name: found.counts.get(name, 0) for name in domain} == {
        name: true[name] for name in domain
    }
    for name, n_rows in true.items():
        assert n_rows - found.error <= found.counts.get(name, 0) <= n_rows
    assert sum(found.counts.values()) + found.other == found.count == len(values)
    assert abs(found.n_distinct / len(true) - 1) <= DISTINCT_ERROR
