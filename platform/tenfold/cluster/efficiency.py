"""How much of a search's seconds goes into fits: a written model, for any number of sessions.

A session asks the board, fits, tells, and asks again. What is lost: the start of the sessions; the
waits at the board, which serves one at a time; and what is under way when the time is up, which the
clock stops. The first is a constant. The waits are those of a closed queue with one server of fixed
service time (mean value analysis; M. Reiser and S. S. Lavenberg, JACM 27(2), 1980, with half a
service as what is left of the one that is being served). The last is, by renewal theory, the age of
a configuration that the clock meets: half a configuration, and more where their lengths differ.

A test plays the real board against a simulated clock, and holds the two together within 5 %.
"""

from __future__ import annotations

__all__ = ["BOARD_S", "START_S", "search_efficiency"]

START_S = 5.0
"""Until sessions ask for the first time (measured on two cores)."""
BOARD_S = 0.015
"""Of the board for one configuration: 5 to 12 ms for ask and tell after some hundred of them
(measured), and Ray's two calls."""
SPREAD = 0.5
"""Standard deviation of a configuration's seconds, as a share of their mean, in one family."""


def search_efficiency(
    sessions: int,
    *,
    search_s: float,
    config_s: float,
    start_s: float = START_S,
    board_s: float = BOARD_S,
    spread: float = SPREAD,
) -> float:
    """The share of the sessions' seconds that goes into fits that end in time.

    Args:
        sessions: side by side, from 1.
        search_s: wall time of the search, above 0, in seconds.
        config_s: seconds of a mean configuration, above 0.
        start_s: seconds until the sessions ask.
        board_s: seconds that the board takes for one configuration.
        spread: of the configurations' seconds, as a share of their mean, from 0.

    Returns:
        From 0 to 1. Sessions times this is how many times as much is tried as by one session that
        loses nothing.

    >>> [round(search_efficiency(n, search_s=120.0, config_s=2.0), 2) for n in (1, 2, 16, 64)]
    [0.94, 0.94, 0.94, 0.94]
    >>> round(search_efficiency(64, search_s=120.0, config_s=0.5), 2)
    0.5
    """
    met_s = config_s * (1.0 + spread**2) / 2.0
    within = max(0.0, 1.0 - (start_s + met_s) / search_s)
    return within * config_s / (config_s + _at_the_board_s(sessions, config_s, board_s))


def _at_the_board_s(sessions: int, config_s: float, board_s: float) -> float:
    """Seconds of one visit at the board, the waiting included."""
    queue = busy = visit_s = 0.0
    for n in range(1, sessions + 1):
        visit_s = board_s * (1.0 + queue - busy / 2.0)
        rate = min(n / (config_s + visit_s), 1.0 / board_s if board_s else float("inf"))
        busy = rate * board_s
        visit_s = max(visit_s, n / rate - config_s)
        queue = rate * visit_s
    return visit_s
