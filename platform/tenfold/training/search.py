"""The search: from rows and a question to what was tried and how it scored.

The baseline is judged in this process, within seconds of the start; then long-lived sessions on Ray
(`tenfold.training.sessions`) ask one board for configurations. A search that is shorter than
sessions take to start runs in this process alone, unless it is meant for GPUs or for some nodes,
which only sessions have. Everything goes through the journal in ``storage``: the same search with
the same storage goes on where it was killed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tenfold.cluster.placement import ON_CPU, Placement
from tenfold.errors import OurError
from tenfold.features.second import Stage
from tenfold.profile import Profile
from tenfold.schema import Schema
from tenfold.training.answer import grown
from tenfold.training.board import Board, LastFits, Patience, Tried, best_of
from tenfold.training.evaluate import Config, Workspace
from tenfold.training.folds import TEST_FOLD
from tenfold.training.journal import FolderJournal, Journal, MemoryJournal
from tenfold.training.portfolio import Entry
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows
from tenfold.training.watched import LEAVE_AFTER_S, Watched

__all__ = ["Limits", "Material", "OnTried", "SearchResult", "search", "search_inline"]

OnTried = Callable[[Tried], None]
"""Is told of each configuration that ended, in the caller's thread. Must be quick."""

INLINE_S = 10.0
"""A search with less time runs in this process: sessions take some five seconds to start."""
FIRST_MODEL_S = 5.0
"""The first model of a search may outlast the clock by this: a budget that is too small by little
still gives a model."""
N_FIRST = 2
"""The baseline and the first model: what every search should end with."""
DRIVER = "driver"
"""The session that this process is."""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything a session works on; put into the object store once.

    ``rows`` are the training rows in hash order without the sealed ones; ``stages`` are what was
    constructed and selected for each set of folds, none by default; ``placement`` is where sessions
    and last fits run, on CPU by default.
    """

    rows: TrainingRows
    profiles: Mapping[int, Profile]
    schema: Schema
    question: Question
    threads: int
    stages: Mapping[tuple[int, ...], Stage] = field(default_factory=dict)
    placement: Placement = ON_CPU

    def workspace(self, *, placement: Placement = ON_CPU, look: int = 0) -> Workspace:
        """A session's own place to work; on CPU, as this process, which asked Ray for nothing."""
        return Workspace(
            self.rows,
            profiles=self.profiles,
            schema=self.schema,
            question=self.question,
            threads=self.threads,
            stages=self.stages,
            placement=placement,
            look=look,
        )

    @property
    def known_rows(self) -> float:
        """Training rows that the profiles know for each row at hand: more than one where a sample
        is searched and the last fit sees all."""
        n_rows = sum(p.n_rows for fold, p in self.profiles.items() if fold != TEST_FOLD)
        return max(1.0, n_rows / max(1, self.rows.n_rows))

    @property
    def more_rows(self) -> float:
        """Rows of a last fit for each row of a fold's fit, see `Question.more_rows`."""
        return self.question.more_rows * self.known_rows

    def last_fit_share(self, *families: str) -> float:
        """Seconds of a fit on all rows of these for each second of a configuration over all folds.

        Args:
            families: of the last fits, the one with the most rounds counts.
        """
        rows = [int(np.isin(self.rows.fold, use.train).sum()) for use in self.question.folds]
        rounds = max((grown(family, self.more_rows) for family in families), default=1.0)
        return rounds * self.rows.n_rows / max(1, sum(rows))


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how wide a search runs.

    Attributes:
        trials: configurations beside the baseline, or None.
        seconds: wall time from now until the last fits must be over, or None. At least one of the
            two should be set. Without it the search is repeatable.
        sessions: sessions side by side.
        cpus: logical CPUs that a session asks Ray for.
        last_fits: what follows the search; its time is kept.
        patience: when a configuration counts as hung.
        warm: configurations to try right behind the baseline: those of an earlier model.
    """

    trials: int | None
    seconds: float | None
    sessions: int = 1
    cpus: float = 1.0
    last_fits: LastFits = LastFits()  # noqa: RUF009 - a frozen value
    patience: Patience = Patience()  # noqa: RUF009 - a frozen value
    warm: tuple[Entry, ...] = ()

    def board(self, question: Question, journal: Journal) -> Board:
        """The board of a search with these limits, as its journal left it."""
        return Board.resumed(
            question,
            trials=self.trials,
            timed=self.seconds is not None,
            journal=journal,
            last_fits=self.last_fits,
            patience=self.patience,
            warm=self.warm,
        )


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best configuration with its out-of-fold scores, and everything that was tried.

    Attributes:
        best: by score; of equal scores the earlier one.
        oof: of the best, float32 (n_rows, k) in the order of the training rows, NaN for rows that
            no fold judges.
        tried: everything that has an outcome, by number.
        journal: of the search, see `oof_of`.
        n_resumed: of ``tried``, those that an earlier run of the same search had done.
    """

    best: Tried
    oof: NDArray[np.float32]
    tried: tuple[Tried, ...]
    journal: Journal
    n_resumed: int = 0

    def oof_of(self, number: int) -> NDArray[np.float32] | None:
        """The out-of-fold scores of a configuration that was tried, like ``oof``; read-only, mapped
        from the search's journal, which lives until the training has published.

        Args:
            number: ``tried[i].config.number``.

        Returns:
            None where it failed, or is too far behind to be kept.
        """
        return self.journal.oof_of(number)


def _result(
    question: Question, tried: list[Tried], journal: Journal, *, n_resumed: int
) -> SearchResult:
    """The best of those whose scores can be read back."""
    left = list(tried)
    while (best := best_of(question, left)) is not None:
        oof = journal.oof_of(best.config.number)
        if oof is not None:
            ordered = tuple(sorted(tried, key=lambda t: t.config.number))
            return SearchResult(best, oof, ordered, journal, n_resumed)
        left.remove(best)
    reasons = sorted({str(one.outcome.error) for one in tried})
    raise OurError(
        f"a search must end with one model, {len(tried)} configurations failed: {reasons}; "
        "run again with -v"
    )


class _Clock:
    """Seconds that are left, and what a configuration may use of them."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    @property
    def left_s(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.monotonic())


def search_inline(
    material: Material,
    limits: Limits,
    *,
    journal: Journal | None = None,
    on_tried: OnTried | None = None,
) -> SearchResult:
    """The same search in this process, one configuration after another: equal trials, equal result.

    Args:
        material: rows and question.
        limits: how long; the width is one.
        journal: of an earlier run, or to be written; in memory by default.
        on_tried: is told of what ended.

    Raises:
        OurError: every configuration failed.
        StoreError: the journal cannot be written.
    """
    kept = MemoryJournal() if journal is None else journal
    board = limits.board(material.question, kept)
    n_resumed = len(board.tried)
    clock = _Clock(_seconds_left(board, limits))
    with closing(Watched(material.workspace)) as session:
        _run(board, session, clock, on_tried=on_tried)
    return _result(material.question, board.tried, kept, n_resumed=n_resumed)


def search(
    material: Material, limits: Limits, *, storage: Path, on_tried: OnTried | None = None
) -> SearchResult:
    """Search on the connected Ray.

    Args:
        material: rows and question.
        limits: how long, how wide.
        storage: of this search, reachable from every node: Tune's own files and the journal. What
            an earlier run left there is gone on with; its seconds count.
        on_tried: is told of what ended, not of what an earlier run did.

    Raises:
        OurError: every configuration failed, or no session could run.
        StoreError: the journal cannot be written.
    """
    from tenfold.training.sessions import run_sessions

    journal = FolderJournal(storage / "journal")
    board = limits.board(material.question, journal)
    n_resumed = len(board.tried)
    clock = _Clock(_seconds_left(board, limits))
    heard = on_tried or (lambda _tried: None)
    with closing(Watched(material.workspace)) as session:
        _run(board, session, clock, on_tried=heard, only_baseline=True)
        left = clock.left_s
        if left is not None and left < INLINE_S and not material.placement.is_asked_for:
            _run(board, session, clock, on_tried=heard)
            return _result(material.question, board.tried, journal, n_resumed=n_resumed)
    tried = run_sessions(
        material, limits, left_s=left, storage=storage, journal=journal, on_tried=heard
    )
    if len(tried) < N_FIRST and not material.placement.nodes:
        # No session came to life in time, as on a cluster that is full.
        board = limits.board(material.question, journal)
        with closing(Watched(material.workspace)) as session:
            _run(board, session, clock, on_tried=heard)
        tried = board.tried
    return _result(material.question, tried, journal, n_resumed=n_resumed)


def _seconds_left(board: Board, limits: Limits) -> float | None:
    """The budget less what earlier runs of the search used of it."""
    if limits.seconds is None:
        return None
    used = sum(tried.outcome.seconds for tried in board.tried) / max(1, limits.sessions)
    return max(0.0, limits.seconds - used)


def _run(
    board: Board,
    session: Watched,
    clock: _Clock,
    *,
    on_tried: OnTried | None,
    only_baseline: bool = False,
) -> None:
    """Work on the board as one session: to its end, or as long as nothing was handed out yet. What
    hangs is given up, as it is in sessions on Ray."""
    while not (only_baseline and board.has_begun):
        board.left_s = clock.left_s
        config = board.ask(DRIVER)
        if not isinstance(config, Config):
            return
        allowed = allowed_s(board.search_left_s, config)
        within_s = board.limit_s(config)
        if allowed is not None:
            within_s = min(within_s, allowed + LEAVE_AFTER_S)
        outcome = session.evaluate(config, stop=until(allowed), within_s=within_s)
        board.left_s = clock.left_s
        if outcome is None:
            outcome = board.give_up(config.number)
        else:
            board.tell(outcome)
        if on_tried is not None:
            on_tried(Tried(config, outcome))


def allowed_s(left_s: float | None, config: Config) -> float | None:
    """Seconds after which a configuration is asked to stop; None for never.

    >>> allowed_s(3.0, Config(9, "linear", {})), allowed_s(0.0, Config(1, "linear", {}, must=True))
    (3.0, 5.0)
    """
    if left_s is None or config.family == "dummy":
        return None
    return max(0.0, left_s) + (FIRST_MODEL_S if config.must else 0.0)


def until(seconds: float | None) -> Callable[[], bool] | None:
    """A question that is answered with yes from so many seconds on."""
    if seconds is None:
        return None
    end = time.monotonic() + (seconds if math.isfinite(seconds) else 1e9)
    return lambda: time.monotonic() >= end
