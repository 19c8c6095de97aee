"""Bets against "the canary is no worse": two arms at the same time, two models on the same rows.

Both give log e-values of one block of counts: their product over blocks is a nonnegative
supermartingale under the null however long and often one looks, so `ChangeMixture` can add them up.

`rival_bets`
    yes-or-no events of two arms. The null is the half plane ``q <= ratio * p + slack`` of the rates
    p (champion) and q (canary), which may move from block to block, both together or each. Against
    an alternative (p1, q1) it bets with the likelihood ratio to the point of the null that is
    nearest in Kullback-Leibler distance, weighed by the block's requests: Turner, Ly, Grünwald,
    "Generic e-variables for exact sequential k-sample tests" (2021) and, for nulls with a margin,
    Turner, Grünwald (2023). That point (p0, q0) minimizes a convex function over a convex set, so
    the expected factors of all requests have a weighted mean of at most one, hence also their
    product. Nothing is assumed of how many requests a block has.
`mean_bets`
    a number in {-1, 0, 1} per row, e.g. whether two models disagree about it and to which side. The
    null bounds its conditional mean: products of ``1 + lambda (x - m)``; Waudby-Smith and Ramdas,
    "Estimating means of bounded random variables by betting" (2024).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["ALTERNATIVES", "LAMBDA_SHARES", "mean_bets", "rival_bets"]

ALTERNATIVES = (0.9, 0.5, 0.25, 0.12, 0.06, 0.03)
"""Canary's rates that are bet on, as shares of the way from the null's edge to one."""

LAMBDA_SHARES = (0.9, 0.6, 0.35, 0.2, 0.1)
"""Sizes of the bets on a mean, as shares of what could be lost at once."""

_SMALLEST_RATE = 1e-6
_ROOM = 1e-3
_HALVINGS = 50

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def rival_bets(
    events: Counts, requests: Counts, *, champion_rate: Floats, ratio: float, slack: float
) -> Floats:
    """Log e-values of one block of two arms.

    Args:
        events: ``(2, F)``: events of the champion, then of the canary, in each of F streams.
        requests: ``(2,)`` requests of the champion and the canary in the same time.
        champion_rate: ``(F,)`` in [0, 1]: what is bet on for the champion. Any guess is valid that
            was made before the block; a good one wins sooner.
        ratio: at least 1; the canary may have so many times the champion's rate,
        slack: in (0, 0.9); and so much more.

    Returns:
        ``(F, len(ALTERNATIVES))``.

    >>> bad = rival_bets(np.array([[0], [5]]), np.array([45, 5]),
    ...                  champion_rate=np.array([0.001]), ratio=1.0, slack=0.01)
    >>> good = rival_bets(np.array([[2], [0]]), np.array([45, 5]),
    ...                   champion_rate=np.array([0.04]), ratio=1.0, slack=0.01)
    >>> bool(bad.max() > 10), bool(good.max() < 0)
    (True, True)
    """
    # A guess that leaves no room above the edge is lowered: any guess is fair.
    p1 = np.clip(champion_rate, _SMALLEST_RATE, (1.0 - slack - _ROOM) / ratio)[:, None]
    edge = ratio * p1 + slack
    q1 = edge + np.array(ALTERNATIVES) * (1.0 - edge)
    n, m = float(requests[0]), float(requests[1])
    low, high = np.broadcast_to(p1, q1.shape), (q1 - slack) / ratio
    for _ in range(_HALVINGS):  # the derivative of the distance along the edge rises
        p0 = (low + high) / 2.0
        q0 = ratio * p0 + slack
        slope = n * (p0 - p1) / (p0 * (1.0 - p0)) + m * ratio * (q0 - q1) / (q0 * (1.0 - q0))
        low, high = np.where(slope < 0.0, p0, low), np.where(slope < 0.0, high, p0)
    p0 = (low + high) / 2.0
    q0 = ratio * p0 + slack
    ours = _log_ratio(events[0][:, None], n, p1, p0)
    bets: Floats = ours + _log_ratio(events[1][:, None], m, q1, q0)
    return bets


def mean_bets(plus: Counts, minus: Counts, n_rows: int, *, bound: Floats) -> Floats:
    """Log e-values of one block of numbers in {-1, 0, 1}.

    Args:
        plus: ``(F,)`` how many were 1.
        minus: ``(F,)`` how many were -1.
        n_rows: how many there were.
        bound: ``(F,)`` the null says that the conditional mean is at most this; above -1. From 1 on
            nothing can be proven.

    Returns:
        ``(F, len(LAMBDA_SHARES))``.

    >>> bool(mean_bets(np.array([9]), np.array([0]), 10, bound=np.array([0.1])).max() > 3)
    True
    """
    m = np.clip(bound, -0.99, 1.0)[:, None]
    size = np.array(LAMBDA_SHARES) / (1.0 + m)
    zero = n_rows - plus - minus
    bets: Floats = (
        plus[:, None] * np.log1p(size * (1.0 - m))
        + minus[:, None] * np.log1p(size * (-1.0 - m))
        + zero[:, None] * np.log1p(-size * m)
    )
    return np.where(m >= 1.0, 0.0, bets)


def _log_ratio(events: Counts, n: float, rate: Floats, null: Floats) -> Floats:
    return np.asarray(
        events * np.log(rate / null) + (n - events) * np.log((1.0 - rate) / (1.0 - null))
    )
