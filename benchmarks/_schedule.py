"""A model of many sessions around one board, in made-up time: who waits for whom.

Sessions ask the real `Board`; only the seconds are made up. The board is one process: asks and
outcomes are served one after another, each for the seconds that were measured. A configuration
takes log-normal seconds by its family. What comes out is the share of the sessions' time, from
their start to the last outcome, that went into configurations.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from tenfold.project.measures import Task
from tenfold.training.board import Board
from tenfold.training.evaluate import Config, Outcome
from tenfold.training.question import Question

__all__ = ["Costs", "Schedule", "simulate"]

SECONDS = {"dummy": 0.05, "linear": 0.8, "boosting": 1.0, "network": 3.0}
"""Of a middling configuration of each family, as a share of the mean below."""
SPREAD = 0.6
"""Standard deviation of log seconds within a family."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured of the platform, in seconds.

    Attributes:
        ask_s: the board's own time for one ask.
        tell_s: the board's own time for one outcome, its journal included.
        session_s: a session's own time beside each configuration: messages and reports.
    """

    ask_s: float
    tell_s: float
    session_s: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """What became of a simulated search.

    Attributes:
        efficiency: share of the sessions' time that went into configurations.
        board_share: share of the time that the board was busy.
        n_configs: that ended.
    """

    efficiency: float
    board_share: float
    n_configs: int


def simulate(
    n_sessions: int,
    *,
    mean_s: float,
    costs: Costs,
    seconds: float | None = 600.0,
    trials: int | None = None,
    seed: int = 0,
) -> Schedule:
    """One search in made-up time.

    Args:
        n_sessions: side by side.
        mean_s: seconds of a middling boosting configuration.
        costs: of the platform.
        seconds: the wall clock, or None for a number of trials, where order is law.
        trials: a number of configurations.
        seed: of the made-up seconds.
    """
    board = Board(_question(), trials=trials, timed=seconds is not None)
    clock = _Line(costs)
    busy = last = 0.0
    asks = [(0.0, number) for number in range(n_sessions)]
    heapq.heapify(asks)
    waiting: list[tuple[float, int]] = []
    ends: list[tuple[float, int, int, float]] = []
    while asks or ends:
        if ends and (not asks or ends[0][0] <= asks[0][0]):
            now, session, number, spent = heapq.heappop(ends)
            done = clock.serve(now, costs.tell_s)
            board.tell(_outcome(number, spent))
            busy, last = busy + spent, max(last, done)
            heapq.heappush(asks, (done + costs.session_s, session))
            for when, other in waiting:
                heapq.heappush(asks, (max(when, done), other))
            waiting = []
            continue
        now, session = heapq.heappop(asks)
        board.left_s = None if seconds is None else max(0.0, seconds - now)
        config = board.ask(f"s{session}")
        done = clock.serve(now, costs.ask_s)
        if isinstance(config, Config):
            spent = _spent(config, mean_s, seed)
            heapq.heappush(ends, (done + spent, session, config.number, spent))
        elif config is not None:
            waiting.append((done, session))
    return Schedule(busy / (n_sessions * last), clock.busy / last, len(board.tried))


class _Line:
    """One process that serves one after another."""

    def __init__(self, costs: Costs) -> None:
        self._free = 0.0
        self.busy = 0.0

    def serve(self, now: float, spent: float) -> float:
        self._free = max(now, self._free) + spent
        self.busy += spent
        return self._free


def _question() -> Question:
    families = ("linear", "boosting", "network")
    return Question(
        Task.BINARY, ("no", "yes"), "roc_auc", ordered=False, n_folds=5, seed=0, families=families
    )


def _spent(config: Config, mean_s: float, seed: int) -> float:
    luck = np.random.default_rng([seed, config.number]).normal()
    return mean_s * SECONDS[config.family] * float(np.exp(SPREAD * luck))


def _outcome(number: int, spent: float) -> Outcome:
    score = 0.9 + 0.01 * float(np.random.default_rng([7, number]).normal())
    return Outcome(number, score, (score,) * 5, seconds=spent, early=(score,) * 5)
