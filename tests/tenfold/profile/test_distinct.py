from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenfold.profile.distinct import (
    KEPT_HASHES,
    estimate_distinct,
    hash_numbers,
    hash_strings,
    smallest_hashes,
)


def test_few_values_are_counted_exactly() -> None:
    assert estimate_distinct(smallest_hashes([hash_numbers(np.arange(1000.0))])) == 1000


def test_many_values_are_estimated_within_five_standard_errors() -> None:
    for n in (10_000, 300_000):
        numbers = estimate_distinct(smallest_hashes([hash_numbers(np.arange(float(n)))]))
        assert abs(numbers / n - 1.0) < 5 / np.sqrt(KEPT_HASHES)
    strings = estimate_distinct(smallest_hashes([hash_strings(map(str, range(20_000)))]))
    assert abs(strings / 20_000 - 1.0) < 5 / np.sqrt(KEPT_HASHES)


@given(st.permutations(range(4)))
def test_the_order_of_merging_does_not_matter(order: list[int]) -> None:
    parts = [hash_numbers(np.arange(i * 2000.0, i * 2000.0 + 3000)) for i in range(4)]
    at_once = smallest_hashes(parts)
    stepwise = smallest_hashes([parts[order[0]]])
    for i in order[1:]:
        stepwise = smallest_hashes([stepwise, parts[i]])
    assert np.array_equal(at_once, stepwise)
