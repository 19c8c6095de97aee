"""The rate of requests: a token bucket that holds one token."""

from __future__ import annotations

from tenfold.data.http.world import Clock

__all__ = ["TokenBucket"]


class TokenBucket:
    """Lets at most ``rate_per_s`` requests pass a second, evenly; for one thread.

    The bucket holds one token: a larger one would let twice the rate pass in its first second.

    Args:
        rate_per_s: above zero.
        clock: waits.
    """

    def __init__(self, rate_per_s: float, *, clock: Clock) -> None:
        self._every_s = 1.0 / rate_per_s
        self._clock = clock
        self._full_at = clock.now()

    def take(self) -> None:
        """Wait for a token and take it."""
        now = self._clock.now()
        if self._full_at > now:
            self._clock.sleep(self._full_at - now)
        self._full_at = max(now, self._full_at) + self._every_s
