from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tenfold.profile.categories import MAX_CATEGORIES, CategoryProfile
from tests.tenfold.profile.scanned import category_profile

columns = st.lists(st.none() | st.text("abc<é\x00 ", max_size=3), max_size=30)


def summarize(values: list[str | None]) -> CategoryProfile:
    return category_profile(pa.array(values, type=pa.string()))


@given(columns)
def test_counts_are_those_of_a_counter(values: list[str | None]) -> None:
    profile = summarize(values)
    expected = Counter(value for value in values if value is not None)
    assert dict(profile.counts) == dict(expected)
    assert list(profile.counts) == sorted(expected)
    assert profile.nulls == values.count(None)
    assert profile.n_distinct == len(expected)
    assert profile.top(2) == tuple(
        sorted(expected.items(), key=lambda item: (-item[1], item[0]))[:2]
    )


@given(st.lists(columns, min_size=1, max_size=4))
def test_merging_in_any_order_is_counting_all(parts: list[list[str | None]]) -> None:
    whole = summarize([value for part in parts for value in part])
    for order in (parts, parts[::-1]):
        merged = summarize(order[0])
        for part in order[1:]:
            merged = merged.merge(summarize(part))
        assert (merged.counts, merged.count, merged.nulls) == (
            whole.counts,
            whole.count,
            whole.nulls,
        )


def test_beyond_the_cap_the_domain_stays_exact_and_heavy_hitters_keep_their_error() -> None:
    rng = np.random.default_rng(0)
    tail = [f"t{i}" for i in rng.permutation(3 * MAX_CATEGORIES)]
    values = tail + ["heavy"] * 5000 + [tail[0]] * 3 + ["rare-of-domain"]
    rng.shuffle(values)
    domain = ("never-seen", "rare-of-domain")
    parts = [
        category_profile(pa.array(values[at : at + 30_000]), domain=domain)
        for at in range(0, len(values), 30_000)
    ]
    merged = CategoryProfile.merge_all(parts, domain=domain)
    assert not merged.is_exact
    assert len(merged.counts) <= MAX_CATEGORIES
    assert merged.counts["rare-of-domain"] == 1
    assert 5000 - merged.error <= merged.counts["heavy"] <= 5000
    assert merged.error <= len(parts) + 1
    assert sum(merged.counts.values()) + merged.other == merged.count == len(values)
    assert abs(merged.n_distinct / (len(tail) + 2) - 1) < 0.08


def test_frequencies_are_shares_of_the_rows_with_a_value() -> None:
    assert summarize(["a", "a", "b", None]).frequencies(["a", "c"]) == [2 / 3, 0.0]
    assert summarize([]).frequencies(["a"]) == [0.0]


def test_strings_are_sorted_as_python_sorts_them() -> None:
    values = ["é", "e", "Z", "\U0001f600", "\ufffd", "", "a\x00b", "a", None, "zz", "e"]
    found = category_profile(pa.array(values, pa.string()))
    assert list(found.counts) == sorted({v for v in values if v is not None})
    assert found.counts == Counter(v for v in values if v is not None)
    assert category_profile(pa.array([None], pa.string())).counts == {}
