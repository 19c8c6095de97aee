from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tenfold.settings import Settings
from tenfold.state import open_state


def test_rows_come_back_in_order_and_by_kind(settings: Settings) -> None:
    journal = open_state(settings).journal
    for number in range(5):
        journal.append("adult", "decision" if number % 2 else "swap", {"n": number})
    journal.append("bike", "decision", {"n": 99})
    assert [entry.body["n"] for entry in journal.tail("adult", 3)] == [2, 3, 4]
    assert [entry.body["n"] for entry in journal.tail("adult", kind="decision")] == [1, 3]
    found = [journal.count("adult", kind) for kind in ("decision", "swap", "alarm")]
    assert (found, journal.count("bike", "decision")) == ([2, 3, 0], 1)


def test_parallel_writers_lose_nothing(settings: Settings) -> None:
    state = open_state(settings)
    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(lambda n: state.journal.append("p", "k", {"n": n}), range(60)))
    assert len(set(ids)) == 60
    assert {entry.body["n"] for entry in state.journal.tail("p", 100)} == set(range(60))


def test_not_a_number_is_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        open_state(settings).journal.append("p", "k", {"loss": float("nan")})
