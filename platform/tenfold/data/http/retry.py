"""Patience: try again after what passes by itself, wait twice as long each time, and not forever.

The waits are exponential with full jitter: uniform between zero and a bound that doubles (Brooker,
"Exponential Backoff and Jitter", AWS Architecture Blog, 2015), so that clients that failed together
do not come back together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import numpy as np

from tenfold.data.http.world import Clock

__all__ = ["Again", "GaveUp", "is_transient", "patiently", "retry_after_s"]

T = TypeVar("T")
FIRST_WAIT_S = 0.5
"""Bound of the first wait: most restarts of a server's worker take less."""


class Again(Exception):
    """This try failed in a way that passes by itself.

    Args:
        reason: what happened, for the error after the last try.
        wait_s: what the server asked to wait; 0 where it did not.
    """

    def __init__(self, reason: str, *, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class GaveUp(Exception):
    """All tries failed; the message is the last reason."""


def is_transient(status: int) -> bool:
    """Whether the same request may succeed later: 408, 425, 429 and 5xx.

    >>> [is_transient(status) for status in (429, 503, 404, 200)]
    [True, True, False, False]
    """
    return status in (408, 425, 429) or 500 <= status <= 599


def retry_after_s(value: str | None, date: str | None = None) -> float:
    """Seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3); 0 where it says nothing readable.

    Args:
        value: a number of seconds or a moment.
        date: the server's own ``Date``, which a moment counts from; else this machine's time.

    >>> retry_after_s("7"), retry_after_s("soon"), retry_after_s(None)
    (7.0, 0.0, 0.0)
    >>> retry_after_s("Fri, 27 Nov 2026 10:00:30 GMT", "Fri, 27 Nov 2026 10:00:00 GMT")
    30.0
    """
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        return float(value.strip()[:12])
    until = _moment(value)
    if until is None:
        return 0.0
    now = (_moment(date) if date is not None else None) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def patiently(
    call: Callable[[], T],
    *,
    retries: int,
    clock: Clock,
    chance: np.random.Generator,
    most_wait_s: float,
) -> T:
    """The result of the first try that does not ask for another.

    Args:
        call: one try; raises `Again` to be called again, anything else to stop.
        retries: tries after the first.
        clock: waits.
        chance: draws the waits.
        most_wait_s: bound of each wait, whatever the server asks for.

    Raises:
        GaveUp: the last try failed too.
    """
    for attempt in range(retries + 1):
        try:
            return call()
        except Again as failure:
            if attempt == retries:
                raise GaveUp(str(failure)) from None
            bound = min(most_wait_s, math.ldexp(FIRST_WAIT_S, attempt))
            clock.sleep(max(float(chance.uniform(0.0, bound)), min(failure.wait_s, most_wait_s)))
    raise GaveUp("no try was allowed")


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
