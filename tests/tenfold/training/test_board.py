"""The board hands out the same configurations whatever the concurrency, and loses none."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.models import Traits
from tenfold.project.measures import Task
from tenfold.training.board import LAG, WAIT, Board
from tenfold.training.evaluate import Config, Outcome
from tenfold.training.journal import FolderJournal
from tenfold.training.portfolio import FOLLOWED, portfolio
from tenfold.training.question import Question


def question(*families: str, task: Task = Task.BINARY) -> Question:
    return Question(task, ("no", "yes"), "roc_auc", False, 3, 0, families or ("linear", "boosting"))


def score_of(config: Config) -> float:
    """A made-up landscape with a best place."""
    if config.family == "boosting":
        return 0.9 - abs(config.params["eta"] - 0.07) - 0.01 * abs(config.params["max_depth"] - 5)
    return {"linear": 0.8, "network": 0.7, "dummy": 0.5}[config.family]


def play(board: Board, *, sessions: int, seed: int) -> list[Config]:
    """Runs a search with sessions that finish in a random order."""
    luck = random.Random(seed)
    running: dict[str, Config] = {}
    asked: list[Config] = []
    idle = [f"s{i}" for i in range(sessions)]
    while True:
        for name in list(idle):
            config = board.ask(name)
            if isinstance(config, Config):
                running[name] = config
                asked.append(config)
                idle.remove(name)
        if not running:
            return asked
        name = luck.choice(sorted(running))
        config = running.pop(name)
        idle.append(name)
        board.tell(Outcome(config.number, score_of(config)))


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 2 * LAG), st.integers(0, 1000))
def test_same_configurations_whatever_the_concurrency(sessions: int, seed: int) -> None:
    alone = Board(question(), trials=18)
    expected = play(alone, sessions=1, seed=0)
    board = Board(question(), trials=18)
    asked = play(board, sessions=sessions, seed=seed)
    assert sorted(asked, key=lambda c: c.number) == expected
    assert [t.config for t in board.tried] == expected
    assert board.best == alone.best
    assert len(expected) == 19


def test_the_order_is_baseline_best_bets_then_the_rest() -> None:
    configs = play(Board(question("linear", "boosting", "network"), trials=6), sessions=1, seed=0)
    names = [config.family for config in configs[:5]]
    assert names == ["dummy", "linear", "boosting", "network", "boosting"]
    assert [config.must for config in configs[:3]] == [True, True, False]


def test_a_table_without_traits_is_searched_as_before() -> None:
    for config in play(
        Board(question("linear", "boosting", "network"), trials=20), sessions=1, seed=0
    ):
        assert not {"many", "numbers"} & config.params.keys()


def test_preparations_are_drawn_when_the_table_calls_for_them() -> None:
    asked = replace(question("linear", "boosting"), traits=Traits(70, skewed=True))
    configs = play(Board(asked, trials=50), sessions=1, seed=0)
    drawn = {(c.family, c.params["many"]) for c in configs[len(portfolio(asked)) :]}
    assert {("boosting", "target"), ("boosting", "ordinal")} <= drawn


def test_at_most_lag_are_under_way() -> None:
    board = Board(question(), trials=50)
    configs = [board.ask(f"s{i}") for i in range(LAG + 1)]
    assert configs[-1] == WAIT
    assert isinstance(configs[0], Config)
    board.tell(Outcome(1, 0.7))
    assert board.ask("x") == WAIT
    board.tell(Outcome(0, 0.5))
    assert isinstance(board.ask("x"), Config)


def test_time_up_still_gives_the_baseline_and_one_model() -> None:
    board = Board(question(), trials=None, timed=True)
    board.left_s = 0.0
    configs = play(board, sessions=3, seed=0)
    assert [config.family for config in configs] == ["dummy", "linear"]
    assert board.best is not None
    assert board.best.config.family == "linear"


def test_a_session_that_comes_back_gets_its_configuration_then_it_fails() -> None:
    board = Board(question(), trials=4)
    first = board.ask("s")
    assert board.ask("s") == first
    second = board.ask("s")
    assert isinstance(second, Config)
    assert second.number == 1
    assert board.tried[0].outcome.error == "its process died"


def test_what_a_dropped_session_owes_counts_as_failed() -> None:
    board = Board(question(), trials=3)
    board.ask("s")
    board.drop("s")
    board.drop("never seen")
    assert [tried.outcome.error for tried in board.tried] == ["its process died"]


def test_a_failed_configuration_does_not_stop_the_search() -> None:
    board = Board(question(), trials=4)
    for config in outcomes(board):
        score = float("nan") if config.number in (0, 2) else 0.6
        board.tell(Outcome(config.number, score, error="no"))
    assert len(board.tried) == 5
    assert board.best is not None
    assert board.best.config.number == 1


def test_a_second_outcome_is_ignored() -> None:
    board = Board(question(), trials=2)
    config = board.ask("s")
    assert isinstance(config, Config)
    board.tell(Outcome(config.number, 0.5))
    board.tell(Outcome(config.number, 0.99))
    assert [tried.outcome.score for tried in board.tried] == [0.5]


def outcomes(board: Board) -> Iterator[Config]:
    while isinstance(config := board.ask("s"), Config):
        yield config


@pytest.mark.parametrize("trials", [0, 1, 3])
def test_trials_are_counted_beside_the_baseline(trials: int) -> None:
    assert len(play(Board(question(), trials=trials), sessions=2, seed=1)) == trials + 1


def test_clusters_have_no_baseline() -> None:
    board = Board(Question(Task.CLUSTERING, (), "silhouette", False, 3, 0, ("kmeans",)), trials=2)
    config = board.ask("s")
    assert isinstance(config, Config)
    assert config.family == "kmeans"
    assert config.params == {"k": 5}


def test_later_entries_follow_the_best_preparation_of_their_family() -> None:
    """Sets of categories are better here: whatever comes behind the first that has them, has them;
    and by the clock all that follows comes behind."""
    traits = Traits(20, n_rows=10_000, n_columns=10, category_share=0.5)
    board = Board(replace(question("boosting"), traits=traits), trials=None, timed=True)
    board.left_s = 1e6
    entries, native = portfolio(board.question), []
    for _entry in entries:
        config = board.ask("one")
        assert isinstance(config, Config)
        native.append(config.params.get("categories") == "native")
        score = 0.5 + 0.1 * native[-1]
        board.tell(Outcome(config.number, score, seconds=1.0, early=(score,) * 3))
    n_follow = sum(entry.follows for entry in entries)
    assert n_follow > 3
    n_first = len(entries) - n_follow
    alone = [False] * (n_first - 2) + [True, False]  # sets, then finer bins with codes
    assert native == alone + [True] * n_follow


def test_an_entry_that_followed_is_not_handed_out_again_by_a_resumed_search(
    tmp_path: Path,
) -> None:
    traits = Traits(20, n_rows=10_000, n_columns=10, category_share=0.5)
    asked_for = replace(question("boosting"), traits=traits)
    n_entries = len(portfolio(asked_for))
    shapes = []
    for n_played in (n_entries - 3, 3):  # the first board was killed between the two
        journal = FolderJournal(tmp_path)
        board = Board.resumed(asked_for, trials=None, journal=journal, timed=True)
        board.left_s = 1e6
        for _ in range(n_played):
            config = board.ask("one")
            assert isinstance(config, Config)
            native = config.params.get("categories") == "native"
            score = 0.5 + 0.1 * native
            board.tell(Outcome(config.number, score, seconds=1.0, early=(score,) * 3))
            kept = {k: v for k, v in config.params.items() if k not in FOLLOWED}
            shapes.append((native, kept))
        assert native
    assert len(board.tried) == n_entries
    bodies = [kept for _native, kept in shapes if kept]
    expected = [
        {k: v for k, v in e.params.items() if k not in FOLLOWED} for e in portfolio(asked_for)
    ]
    assert sorted(map(str, bodies)) == sorted(map(str, (one for one in expected if one)))
