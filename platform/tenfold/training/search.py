"""The search: long-lived Ray Tune sessions that ask one board for configurations.

A fresh Tune trial costs seconds and a fold's quantized matrix as much as fifty trees, so a
*session* is one Tune trial that keeps its rows and matrices and evaluates many configurations. The
board is an actor; its state is `Board`, which holds all the rules. A session that dies is started
again by Tune and gets the configuration it owes once more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.errors import OurError
from tenfold.features.second import Stage
from tenfold.profile import Profile
from tenfold.schema import Schema
from tenfold.training.board import LAG, WAIT, Board, Tried
from tenfold.training.evaluate import Config, Outcome, Workspace, evaluate
from tenfold.training.journal import FolderJournal, Journal
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows

__all__ = ["Limits", "Material", "SearchResult", "search", "search_inline"]

OnResult = Callable[[Mapping[str, Any]], None]
MAX_SESSION_FAILURES = 3
"""Deaths that Tune forgives a session; then it is given up and what it owed counts as failed."""
BOARD_CALL_TIMEOUT_S = 3600.0
"""An ask may wait for the slowest configuration under way; nothing else takes this long."""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything a session works on; put into the object store once.

    ``rows`` are the training rows in hash order without the sealed ones; ``stages`` are what was
    constructed and selected for each set of folds, none by default.
    """

    rows: TrainingRows
    profiles: Mapping[int, Profile]
    schema: Schema
    question: Question
    threads: int
    stages: Mapping[tuple[int, ...], Stage] = field(default_factory=dict)

    def workspace(self) -> Workspace:
        """A session's own place to work."""
        return Workspace(
            self.rows,
            profiles=self.profiles,
            schema=self.schema,
            question=self.question,
            threads=self.threads,
            stages=self.stages,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how wide a search runs.

    Attributes:
        trials: configurations beside the baseline, or None.
        seconds: wall time from now, or None. At least one of the two should be set.
        sessions: sessions side by side.
        cpus: logical CPUs that a session asks Ray for.
    """

    trials: int | None
    seconds: float | None
    sessions: int = 1
    cpus: float = 1.0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best configuration with its out-of-fold scores, and everything that was tried.

    Attributes:
        best: by score; of equal scores the earlier one.
        oof: of the best, float32 (n_rows, k) in the order of the training rows, NaN for rows that
            no fold judges.
        tried: everything, by number.
        journal: of the search, see `oof_of`.
    """

    best: Tried
    oof: NDArray[np.float32]
    tried: tuple[Tried, ...]
    journal: Journal

    def oof_of(self, number: int) -> NDArray[np.float32] | None:
        """The out-of-fold scores of a configuration that was tried, like ``oof``; read-only, mapped
        from the search's journal, which lives until the training has published.

        Args:
            number: ``tried[i].config.number``.

        Returns:
            None where it failed, or is too far behind to be kept.
        """
        return self.journal.oof_of(number)


def _result(board: Board) -> SearchResult:
    best = board.best
    oof = None if best is None else board.journal.oof_of(best.config.number)
    if best is None or oof is None:
        reasons = {tried.outcome.error for tried in board.tried}
        raise OurError(
            f"a search must end with one model, {len(board.tried)} configurations failed: "
            f"{sorted(str(reason) for reason in reasons)}; run again with -v"
        )
    return SearchResult(best, oof, tuple(board.tried), board.journal)


def search_inline(
    material: Material, limits: Limits, *, on_result: OnResult | None = None
) -> SearchResult:
    """The same search in this process, one configuration after another: equal trials, equal result.

    Raises:
        OurError: every configuration failed.
    """
    board = Board(material.question, trials=limits.trials)
    work, began = material.workspace(), time.monotonic()

    def is_over() -> bool:
        return limits.seconds is not None and time.monotonic() - began >= limits.seconds

    while True:
        board.time_is_up = is_over()
        config = board.ask("inline")
        if not isinstance(config, Config):
            return _result(board)
        outcome = evaluate(work, config, stop=is_over)
        board.tell(outcome)
        if on_result is not None:
            on_result(_report(config, outcome))


def search(
    material: Material, limits: Limits, *, storage: Path, on_result: OnResult | None = None
) -> SearchResult:
    """Search on the connected Ray.

    Args:
        material: rows and question.
        limits: how long, how wide.
        storage: a folder for Tune's own files and the journal, reachable from every node.
        on_result: called in this thread for each outcome, with number, family, score, seconds.

    Raises:
        OurError: every configuration failed, or no session could run.
    """
    import ray

    journal = FolderJournal(storage / "journal")
    board = _actor().remote(material.question, limits.trials, limits.seconds, journal)
    try:
        _tune(material, limits, storage=storage, board=board, on_result=on_result)
        state: Board = ray.get(board.state.remote())
        return _result(state)
    finally:
        ray.kill(board)


def _tune(
    material: Material, limits: Limits, *, storage: Path, board: Any, on_result: OnResult | None
) -> None:
    from ray import tune

    sessions = max(1, min(limits.sessions, LAG))
    trainable = tune.with_resources(
        tune.with_parameters(_session, material=material, board=board),
        {"cpu": limits.cpus},
    )
    tuner = tune.Tuner(
        trainable,
        param_space={"session": tune.grid_search(list(range(sessions)))},
        tune_config=tune.TuneConfig(max_concurrent_trials=sessions),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(storage),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_SESSION_FAILURES),
            callbacks=[_callback(board, on_result)],
        ),
    )
    tuner.fit()


def _session(config: Mapping[str, Any], *, material: Material, board: Any) -> None:
    """One long-lived Tune trial."""
    import ray
    from ray import tune

    work = material.workspace()
    name = _session_name(config)
    while True:
        asked, seconds = ray.get(board.ask.remote(name), timeout=BOARD_CALL_TIMEOUT_S)
        if asked is None:
            return
        outcome = evaluate(work, asked, stop=_until(seconds))
        ray.get(board.tell.remote(outcome), timeout=BOARD_CALL_TIMEOUT_S)
        tune.report(_report(asked, outcome))


def _session_name(config: Mapping[str, Any]) -> str:
    return f"session-{config['session']}"


def _until(seconds: float | None) -> Callable[[], bool] | None:
    if seconds is None:
        return None
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _report(config: Config, outcome: Outcome) -> dict[str, Any]:
    return {
        "number": config.number,
        "family": config.family,
        "score": outcome.score,
        "seconds": outcome.seconds,
        "error": outcome.error or "",
    }


def _callback(board: Any, on_result: OnResult | None) -> Any:
    from ray import tune

    class Told(tune.Callback):  # type: ignore[misc, unused-ignore]
        """Passes each outcome on, in the driver's thread, and gives up a dead session."""

        def on_trial_result(
            self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any
        ) -> None:
            if on_result is not None and "number" in result:
                on_result(result)

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            board.drop.remote(_session_name(trial.config))

    return Told()


class BoardActor:
    """The board behind Ray: an ask waits until there is something to do.

    Asynchronous methods of one event loop, so `Board` has one owner.
    """

    def __init__(
        self, question: Question, trials: int | None, seconds: float | None, journal: Journal
    ) -> None:
        self._board = Board(question, trials=trials, journal=journal)
        self._changed = asyncio.Condition()
        self._end = None if seconds is None else time.monotonic() + seconds

    def _left(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    async def ask(self, session: str) -> tuple[Config | None, float | None]:
        """The next configuration and the seconds left, or None when the search is over."""
        async with self._changed:
            while True:
                left = self._left()
                self._board.time_is_up = left == 0.0
                config = self._board.ask(session)
                if config is None or isinstance(config, Config):
                    return config, left
                assert config == WAIT  # noqa: S101
                try:
                    await asyncio.wait_for(self._changed.wait(), left)
                except TimeoutError:
                    continue

    async def tell(self, outcome: Outcome) -> None:
        """Takes an outcome and wakes whoever waits."""
        async with self._changed:
            self._board.tell(outcome)
            self._changed.notify_all()

    async def drop(self, session: str) -> None:
        """Gives up a session that will not come back."""
        async with self._changed:
            self._board.drop(session)
            self._changed.notify_all()

    async def state(self) -> Board:
        """The board as it is."""
        return self._board


def _actor() -> Any:
    import ray

    return ray.remote(num_cpus=0, max_concurrency=1000)(BoardActor)
