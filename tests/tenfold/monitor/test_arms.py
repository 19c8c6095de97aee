from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.monitor.arms import FAILURES, LATENCY_EDGES_S, SLOW_EDGES_S, ArmTotals, Pairs
from tenfold.monitor.levels import MAX_LEVELS

counts = st.integers(0, 10**6)


def lists(n: int) -> st.SearchStrategy[list[int]]:
    return st.lists(counts, min_size=n, max_size=n)


level = lists(MAX_LEVELS)
totals = st.builds(
    ArmTotals,
    arm=st.just("challenger"),
    version=st.just(2),
    requests=counts,
    failures=st.dictionaries(st.sampled_from(FAILURES), st.integers(1, 99)),
    latency_cells=lists(len(LATENCY_EDGES_S) + 1),
    latency_sum_s=st.integers(0, 2**30).map(float),
    calls=counts,
    slow=lists(len(SLOW_EDGES_S)),
    pairs=st.builds(Pairs, counts, level, level, level, level, level, counts),
)


def copy(total: ArmTotals) -> ArmTotals:
    return ArmTotals.from_dict(total.to_dict())


@given(totals, totals, totals)
def test_totals_merge_in_any_order_and_differences_are_what_was_added(
    one: ArmTotals, other: ArmTotals, third: ArmTotals
) -> None:
    left, right = copy(one), copy(third)
    left.add(other)
    left.add(third)
    right.add(one)
    right.add(other)
    assert left == right
    told = left.minus(third).minus(one).to_dict()
    told["failures"] = {reason: n for reason, n in told["failures"].items() if n}
    assert told == other.to_dict()


@given(totals)
def test_a_difference_changes_nothing(total: ArmTotals) -> None:
    before = total.to_dict()
    nothing = total.minus(total)
    assert total.to_dict() == before and nothing.requests == 0 and nothing.failed == 0


def test_totals_of_another_form_are_refused() -> None:
    told = ArmTotals("champion", 1).to_dict()
    told["slow"] = [1]
    with pytest.raises(ValueError, match="lists of other lengths"):
        ArmTotals.from_dict(told)
