"""The written model of a search's efficiency against the real board on a simulated clock."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.cluster.efficiency import search_efficiency
from tenfold.project.measures import Task
from tenfold.training.board import Board
from tenfold.training.evaluate import Config, Fate, Outcome
from tests.tenfold.training.conftest import question_of

SPREAD = 0.5


def seconds_of(number: int, mean_s: float) -> float:
    """Of a configuration: log-normal, whoever fits it and whenever."""
    sigma = math.sqrt(math.log1p(SPREAD**2))
    draw = np.random.default_rng([7, number]).normal()
    return float(mean_s * math.exp(sigma * draw - sigma**2 / 2))


def simulate(
    sessions: int, *, search_s: float, config_s: float, start_s: float, board_s: float
) -> float:
    """Play a search: sessions come to the board one after another, each is served, fits for as long
    as its configuration takes, and comes again. The board is the real one, samplers and all.

    Returns:
        The share of the sessions' seconds that went into what was scored.
    """
    board = Board(question_of(Task.BINARY, families=("linear",)), trials=None, timed=True)
    scored_s, free_at = 0.0, 0.0
    arrivals: list[tuple[float, int]] = [(start_s, session) for session in range(sessions)]
    owed: dict[int, tuple[Config, float, bool]] = {}
    while arrivals:
        came_at, session = heapq.heappop(arrivals)
        now = free_at = max(came_at, free_at) + board_s
        if session in owed:
            config, spent_s, ended = owed.pop(session)
            board.tell(_outcome(config, spent_s, ended=ended))
            scored_s += spent_s if ended else 0.0
        board.left_s = max(0.0, search_s - now)
        config = board.ask(str(session))
        if not isinstance(config, Config):
            continue  # the search is over for this session
        spent_s = seconds_of(config.number, config_s)
        ended = now + spent_s <= search_s
        spent_s = min(spent_s, max(0.0, search_s - now))
        owed[session] = (config, spent_s, ended)
        heapq.heappush(arrivals, (now + spent_s, session))
    return scored_s / (sessions * search_s)


def _outcome(config: Config, spent_s: float, *, ended: bool) -> Outcome:
    if not ended:
        return Outcome.failure(config.number, "the time was up", Fate.STOPPED, seconds=spent_s)
    score = float(np.random.default_rng([11, config.number]).normal(0.8, 0.02))
    return Outcome(config.number, score, (score,) * 3, seconds=spent_s, early=(score,) * 3)


@pytest.mark.parametrize(
    ("sessions", "search_s", "config_s", "board_s"),
    [
        pytest.param(1, 120.0, 2.0, 0.015, id="one"),
        pytest.param(2, 120.0, 2.0, 0.015, id="two"),
        pytest.param(16, 60.0, 3.0, 0.015, id="sixteen"),
        pytest.param(64, 36.0, 4.0, 0.015, id="sixty-four"),
        pytest.param(32, 20.0, 1.0, 0.03, id="thirty-two, and the board is nearly full"),
        pytest.param(64, 15.0, 1.0, 0.03, id="sixty-four, and the board is the bound"),
    ],
)
def test_the_model_and_the_simulation_agree(
    sessions: int, search_s: float, config_s: float, board_s: float
) -> None:
    played = simulate(sessions, search_s=search_s, config_s=config_s, start_s=5.0, board_s=board_s)
    said = search_efficiency(
        sessions,
        search_s=search_s,
        config_s=config_s,
        start_s=5.0,
        board_s=board_s,
        spread=SPREAD,
    )
    assert said == pytest.approx(played, rel=0.05)


def test_two_sessions_keep_what_is_asked_of_them() -> None:
    """At least 85 % from one to two."""
    one, two = (search_efficiency(n, search_s=60.0, config_s=2.0) for n in (1, 2))
    assert two / one >= 0.98
    assert two >= 0.85


@given(
    st.integers(1, 200),
    st.floats(1.0, 1e4),
    st.floats(0.01, 1e3),
    st.floats(0.0, 0.1),
)
def test_a_share_is_a_share_and_more_sessions_lose_more(
    sessions: int, search_s: float, config_s: float, board_s: float
) -> None:
    def share(n: int) -> float:
        return search_efficiency(n, search_s=search_s, config_s=config_s, board_s=board_s)

    assert 0.0 <= share(sessions) <= 1.0
    assert share(sessions + 1) <= share(sessions) + 1e-9
    assert (sessions + 1) * share(sessions + 1) >= sessions * share(sessions) - 1e-6
