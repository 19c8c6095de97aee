from __future__ import annotations

import numpy as np
import pytest

from tenfold.data.http.rate import TokenBucket
from tenfold.data.http.retry import Again, GaveUp, is_transient, patiently, retry_after_s
from tests.tenfold.data.http.world import FakeClock


class Flaky:
    """Fails so many times, then gives its number of calls."""

    def __init__(self, n_failures: int, *, wait_s: float = 0.0) -> None:
        self.n_calls = 0
        self._n_failures = n_failures
        self._wait_s = wait_s

    def __call__(self) -> int:
        self.n_calls += 1
        if self.n_calls <= self._n_failures:
            raise Again(f"failure {self.n_calls}", wait_s=self._wait_s)
        return self.n_calls


def try_it(
    call: Flaky, *, retries: int = 6, seed: int = 1, most_wait_s: float = 120.0
) -> FakeClock:
    clock = FakeClock()
    chance = np.random.default_rng(seed)
    patiently(call, retries=retries, clock=clock, chance=chance, most_wait_s=most_wait_s)
    return clock


def test_a_first_success_waits_for_nothing() -> None:
    assert try_it(Flaky(0), retries=0).sleeps == []


def test_waits_are_drawn_below_bounds_that_double_and_are_the_same_for_one_seed() -> None:
    sleeps = try_it(Flaky(6)).sleeps
    assert len(sleeps) == 6
    assert all(0 <= wait < 0.5 * 2**n for n, wait in enumerate(sleeps))
    assert sleeps == try_it(Flaky(6)).sleeps
    assert sleeps != try_it(Flaky(6), seed=2).sleeps


def test_full_jitter_uses_the_whole_range() -> None:
    firsts = [try_it(Flaky(1), seed=seed).sleeps[0] for seed in range(200)]
    assert min(firsts) < 0.05 and max(firsts) > 0.45
    assert np.mean(firsts) == pytest.approx(0.25, abs=0.03)


def test_it_ends_after_the_last_try_with_the_last_reason() -> None:
    call = Flaky(99)
    with pytest.raises(GaveUp, match="failure 4"):
        try_it(call, retries=3)
    assert call.n_calls == 4


def test_what_the_server_asks_for_is_waited_for_up_to_a_bound() -> None:
    assert try_it(Flaky(2, wait_s=30.0)).sleeps == [30.0, 30.0]
    assert try_it(Flaky(2, wait_s=1e9)).sleeps == [120.0, 120.0]
    assert all(wait <= 3.0 for wait in try_it(Flaky(12), retries=12, most_wait_s=3.0).sleeps)


def test_other_errors_stop_at_once() -> None:
    def broken() -> int:
        raise KeyError("x")

    clock = FakeClock()
    with pytest.raises(KeyError):
        patiently(broken, retries=5, clock=clock, chance=np.random.default_rng(0), most_wait_s=1.0)
    assert clock.sleeps == []


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_statuses_that_pass_by_themselves(status: int) -> None:
    assert is_transient(status)


@pytest.mark.parametrize("status", [200, 304, 400, 401, 403, 404, 409, 422, 451, 600])
def test_statuses_that_stay(status: int) -> None:
    assert not is_transient(status)


@pytest.mark.parametrize(
    ("value", "date", "wanted"),
    [
        ("120", None, 120.0),
        (" 3 ", None, 3.0),
        ("-5", None, 0.0),
        ("1.5", None, 0.0),
        ("9" * 5000, None, 999_999_999_999.0),
        ("soon", None, 0.0),
        ("Fri, 99 Nov 2026 10:00:30 GMT", None, 0.0),
        ("Fri, 27 Nov 2026 10:00:30 GMT", "Fri, 27 Nov 2026 10:00:10 GMT", 20.0),
        ("Fri, 27 Nov 2026 10:00:30 -0000", "Fri, 27 Nov 2026 10:00:10 GMT", 20.0),
        ("Fri, 27 Nov 2026 10:00:00 GMT", "Fri, 27 Nov 2026 10:00:10 GMT", 0.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", None, 0.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", "nonsense", 0.0),
    ],
)
def test_retry_after(value: str, date: str | None, wanted: float) -> None:
    assert retry_after_s(value, date) == wanted


def test_the_rate_is_never_exceeded_and_never_undercut() -> None:
    clock = FakeClock()
    bucket = TokenBucket(4.0, clock=clock)
    at = []
    for _ in range(9):
        bucket.take()
        at.append(clock.now())
    assert np.diff(at) == pytest.approx([0.25] * 8)


def test_a_pause_does_not_save_up_tokens() -> None:
    clock = FakeClock()
    bucket = TokenBucket(1.0, clock=clock)
    bucket.take()
    clock.time = 100.0
    bucket.take()
    bucket.take()
    assert clock.sleeps == [1.0]
