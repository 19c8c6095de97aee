"""The board of a search: hands out configurations and learns from their outcomes. No Ray in it.

**Anytime.** The order is baseline, then the best bet of each family (cheapest family first), then
the rest of the portfolio, then what the samplers propose. Time ends it whenever it must.

**Two laws of order.** With a number of trials, configuration ``n`` is drawn when exactly the
outcomes ``0 .. n - LAG`` have been learned from, in that order, however many sessions run and
whoever comes first: outcomes that come early wait, and an ask that comes early waits. So such a
search is a pure function of rows, project and seed. With a wall-clock budget nobody waits: the
board learns at once, and weighs what a configuration promises against the seconds it will take.

**Resumed.** Every ask and every outcome is in the journal before anybody hears of it; `resumed`
plays it back. What was under way is handed out first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tenfold.project.measures import Task
from tenfold.training.clock import TimeModel
from tenfold.training.evaluate import Config, Fate, Outcome
from tenfold.training.journal import KEPT_BYTES, Journal, MemoryJournal
from tenfold.training.portfolio import FOLLOWED, Entry, following, portfolio
from tenfold.training.proposals import Proposals
from tenfold.training.question import Question
from tenfold.training.rungs import Rungs

__all__ = ["LAG", "WAIT", "Board", "LastFits", "Patience", "Tried", "best_of"]

LAG = 8
"""Most configurations under way at once where the order is law. Until a sampler has some eight
results it draws at random, so this costs nothing on few trials; more sessions would wait."""
MAX_HANDOUTS = 2
"""A configuration whose session died twice is counted as failed: it may be what kills them."""
LOST = ""
"""The session of what an earlier run had under way."""
UNSEEN_SHARE = 0.25
"""A family that was never seen is tried if a quarter of what is predicted is left: the prediction
may be far off, and what is stopped by the clock costs nothing else."""
WAIT: Final = "wait"
"""Ask again after the next outcome."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One finished configuration with its outcome (without the out-of-fold scores)."""

    config: Config
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Patience:
    """When a configuration counts as hung: it takes ``factor`` times what all but one in fifty of
    its kind take, and at least ``floor_s``. A machine that swaps is slow, too."""

    floor_s: float = 60.0
    factor: float = 10.0

    def limit_s(self, late_s: float) -> float:
        """Seconds, by those that are rarely passed.

        >>> Patience().limit_s(2.0), Patience().limit_s(20.0)
        (60.0, 200.0)
        """
        return max(self.floor_s, self.factor * late_s)


@dataclass(frozen=True, slots=True)
class LastFits:
    """What the fits after a search take, so that their time can be kept.

    Attributes:
        per_second: seconds of one last fit for each second of a configuration: the last fit sees
            all rows once, a configuration sees some of them in every fold.
        n_fits: last fits in the time of one after another: seeds, members of a blend.
        most_s: seconds that are kept at most; one fit is always kept.
        least_s: seconds that are kept at least, for members of a blend that are slower than the
            best configuration.
    """

    per_second: float = 0.0
    n_fits: float = 1.0
    most_s: float = math.inf
    least_s: float = 0.0

    def seconds(self, config_s: float) -> float:
        """After a configuration that took so many seconds.

        >>> LastFits(0.25, 2.0).seconds(10.0), LastFits(0.25, 9.0, most_s=4.0).seconds(10.0)
        (5.0, 4.0)
        >>> LastFits(0.25, 2.0, least_s=6.0).seconds(10.0)
        6.0
        """
        one = self.per_second * config_s
        return max(one, min(one * self.n_fits, self.most_s), self.least_s)


class Board:
    """State of one search. Not safe for threads: one owner (an actor, or a loop in a test).

    Args:
        question: what is asked.
        trials: stop after so many configurations (the baseline not counted); None for no limit.
        timed: a wall clock ends the search, see the second law above; the owner sets ``left_s``.
        journal: where events and out-of-fold scores go.
        last_fits: whose time is kept when a clock ends the search.
        patience: when a configuration counts as hung.
        most_bytes: of out-of-fold scores; beyond it those of the worst configurations go.
        warm: configurations to try right behind the baseline.

    Attributes:
        tried: what has an outcome, in the order it was learned from.
        left_s: seconds until everything of the search must be over, the last fits included; None
            where no clock counts.
    """

    def __init__(
        self,
        question: Question,
        *,
        trials: int | None,
        timed: bool = False,
        journal: Journal | None = None,
        last_fits: LastFits = LastFits(),
        patience: Patience = Patience(),
        most_bytes: int = KEPT_BYTES,
        warm: Sequence[Entry] = (),
    ) -> None:
        self.question = question
        self.trials = trials
        self.journal: Journal = MemoryJournal() if journal is None else journal
        self.tried: list[Tried] = []
        self.left_s: float | None = None
        self._timed = timed
        self._last_fits = last_fits
        self._patience = patience
        self._queue = portfolio(question, warm=warm)
        self._proposals = Proposals(question)
        self._rungs = Rungs(len(question.folds), maximize=question.maximize)
        traits = question.traits
        self._clock = TimeModel(
            n_cells=traits.n_rows * traits.n_columns, n_folds=len(question.folds)
        )
        self._asked: dict[int, Config] = {}
        self._open: dict[int, str] = {}
        self._handouts: dict[int, int] = {}
        self._reasons: dict[str, str] = {}
        self._early: dict[int, Outcome] = {}
        self._most_bytes = most_bytes
        self._kept = self.journal.kept()
        self._n_learned = 0

    @classmethod
    def resumed(
        cls, question: Question, *, trials: int | None, journal: Journal, **more: Any
    ) -> Board:
        """The board as an earlier run of the same search left it; a new one where there was none,
        or where its journal is not what this code would have written.

        Arguments are those of the class.
        """
        board = cls(question, trials=trials, journal=journal, **more)
        if board._replay():
            return board
        journal.rewrite([])
        return cls(question, trials=trials, journal=journal, **more)

    def _replay(self) -> bool:
        events = []
        for event in self.journal.events():
            if isinstance(event, Config):
                if not self._asks_again(event):
                    return False
            elif event.number in self._open:
                self._take(event)
            events.append(event)
        self.journal.rewrite(events)  # a line that was cut must not stay before the next one
        return True

    def _asks_again(self, config: Config) -> bool:
        """Bring the board to where it handed this configuration out; False if it never would."""
        number = config.number
        if number != len(self._asked):
            return False
        if self._timed:  # what it chose hung on the clock: take its word
            self._queue = [e for e in self._queue if not _is(e, config)]
        elif self._must_wait(number) or self._draw(number) != config:
            return False
        self._asked[number] = config
        self._open[number], self._handouts[number] = LOST, 0
        return True

    @property
    def has_begun(self) -> bool:
        """Whether the first configuration has an outcome."""
        return bool(self.tried)

    @property
    def under_way(self) -> tuple[Config, ...]:
        """Configurations that a session works on."""
        return tuple(self._asked[number] for number, who in self._open.items() if who != LOST)

    @property
    def best(self) -> Tried | None:
        """The best configuration told so far."""
        return best_of(self.question, self.tried)

    @property
    def search_left_s(self) -> float | None:
        """Seconds that are left to search, the best one's last fits taken off; None for no end."""
        if self.left_s is None:
            return None
        best = self.best
        return self.left_s - self._last_fits.seconds(0.0 if best is None else best.outcome.seconds)

    def owed_by(self, session: str) -> list[int]:
        """Numbers of the configurations that a session works on: one at most."""
        return [number for number, who in self._open.items() if who == session]

    def limit_s(self, config: Config) -> float:
        """Seconds after which a configuration counts as hung."""
        return self._patience.limit_s(self._clock.predict(config.family, config.params).late_s)

    def ask(self, session: str) -> Config | str | None:
        """The next configuration, `WAIT`, or None when the search is over.

        A session that asks while it still owes an outcome has died and come back: it gets the same
        configuration again, or that one is counted as failed.
        """
        for owed in self.owed_by(session):
            if self._handouts[owed] < MAX_HANDOUTS and not self._is_late(owed):
                return self._hand_out(owed, session)
            self._fail(owed, session)
        lost = min((n for n, who in self._open.items() if who == LOST), default=None)
        if lost is not None and not self._is_late(lost):
            return self._hand_out(lost, session)
        number = len(self._asked)
        if self._is_over(number):
            return None
        if self._must_wait(number):
            return WAIT
        config = self._draw(number)
        if config is None:
            return None
        self.journal.add(config)
        self._asked[number] = config
        self._handouts[number] = 0
        return self._hand_out(number, session)

    def _hand_out(self, number: int, session: str) -> Config:
        self._open[number] = session
        self._handouts[number] += 1
        return self._asked[number]

    def _fail(self, number: int, session: str) -> None:
        reason = self._reasons.pop(session, "its process died")
        self.tell(Outcome.failure(number, reason, Fate.DIED))

    def _must_wait(self, number: int) -> bool:
        return not self._timed and number >= len(self.tried) + LAG

    def _is_late(self, number: int) -> bool:
        left = self.search_left_s
        return left is not None and left <= 0.0 and number >= self._n_must

    def _is_over(self, number: int) -> bool:
        if self.trials is not None and number > self.trials:
            return True
        if not self._queue and number > 0 and not self._proposals.families:
            return True
        return self._is_late(number)

    @property
    def _n_must(self) -> int:
        """Configurations that are handed out whatever the time: the baseline, the first model."""
        return 1 + bool(self.question.families and self.question.task is not Task.CLUSTERING)

    def _draw(self, number: int) -> Config | None:
        """Configuration ``number``; None if none fits the time that is left."""
        while not self._timed and self._n_learned <= number - LAG:
            self._learn(self.tried[self._n_learned])
        must = number < self._n_must
        entry = self._next_entry(must=must)
        if entry is not None:
            self._queue.remove(entry)
            bars = () if entry.first else self._rungs.bars(number)
            params = following(entry, self._best_params(entry.family))
            return Config(number, entry.family, params, must=must, bars=bars)
        among = [name for name in self._proposals.families if self._fits(name)]
        if not among:
            return None
        family, params = self._proposals.draw(number, among=among, seconds=self._seconds())
        return Config(number, family, params, must=must, bars=self._rungs.bars(number))

    def _next_entry(self, *, must: bool) -> Entry | None:
        """The next of the portfolio; against a clock, of those that fit it the one that is worth
        most a second."""
        if not self._timed or must:
            return self._queue[0] if self._queue else None
        able = [entry for entry in self._queue if self._fits_entry(entry)]
        leading = {entry.family for entry in able if not entry.follows}
        able = [entry for entry in able if not (entry.follows and entry.family in leading)]
        firsts = [entry for entry in able if entry.first]
        return firsts[0] if firsts else max(able, key=self._worth_a_second, default=None)

    def _best_params(self, family: str) -> Mapping[str, Any]:
        """Of the best of a family that was learned from; empty for none."""
        known = self.tried if self._timed else self.tried[: self._n_learned]
        best = best_of(self.question, (one for one in known if one.config.family == family))
        return {} if best is None else best.config.params

    def _worth_a_second(self, entry: Entry) -> float:
        return entry.worth / self._clock.predict(entry.family, entry.params).seconds

    def _fits_entry(self, entry: Entry) -> bool:
        seconds = self._clock.predict(entry.family, entry.params).seconds
        return self._has_time(entry.family, seconds)

    def _fits(self, family: str) -> bool:
        return not self._timed or self._has_time(family, self._clock.fastest(family))

    def _has_time(self, family: str, seconds: float) -> bool:
        """Whether a configuration and, should it be the best, its last fits end in time."""
        if self.left_s is None:
            return True
        likely = seconds * (1.0 if self._clock.knows(family) else UNSEEN_SHARE)
        return likely + self._last_fits.seconds(likely) <= self.left_s

    def _seconds(self) -> Callable[[str], float]:
        """What a configuration of a family costs; where time is no measure, all cost the same."""
        return self._clock.fastest if self._timed else lambda _family: 1.0

    def explain(self, session: str, reason: str) -> None:
        """Says why a session's process ended, before it comes back."""
        self._reasons[session] = reason

    def drop(self, session: str) -> None:
        """Counts what a session owes as failed: it will not come back."""
        for number in self.owed_by(session):
            self._fail(number, session)

    def give_up(self, number: int) -> Outcome:
        """Counts a configuration that hangs as failed: whoever has it will be killed. One that
        only outlasted the clock is counted as stopped."""
        fate, reason = Fate.HUNG, "it took far longer than was predicted"
        if self._is_late(number):
            fate, reason = Fate.STOPPED, "the time was up"
        outcome = Outcome.failure(number, reason, fate)
        self.tell(outcome)
        return outcome

    def tell(self, outcome: Outcome) -> None:
        """Takes an outcome; a second one of the same configuration is ignored."""
        if outcome.number not in self._open:
            return
        if outcome.oof is not None:
            self.journal.keep(outcome.number, outcome.oof)
            self._kept[outcome.number] = int(outcome.oof.nbytes)
        self.journal.add(outcome)
        self._take(outcome)
        self._make_room()

    def _take(self, outcome: Outcome) -> None:
        del self._open[outcome.number]
        self._clock.learn(self._asked[outcome.number], outcome)
        self._early[outcome.number] = replace(outcome, oof=None)
        while self._early:
            number = min(self._early) if self._timed else len(self.tried)
            if number not in self._early:
                return
            self.tried.append(Tried(self._asked[number], self._early.pop(number)))
            if self._timed:
                self._learn(self.tried[-1])

    def _make_room(self) -> None:
        """The worst out-of-fold scores go when all take too much of the disk."""
        scores = {t.config.number: t.outcome.score for t in self.tried}
        while sum(self._kept.values()) > self._most_bytes and len(self._kept) > 1:
            known = [number for number in self._kept if number in scores]
            if not known:
                return
            pick = min if self.question.maximize else max
            worst = pick(known, key=lambda number: scores[number])
            self.journal.drop(worst)
            del self._kept[worst]

    def _learn(self, tried: Tried) -> None:
        self._n_learned += 1
        self._proposals.learn(tried.config, tried.outcome)
        self._rungs.learn(tried.config, tried.outcome)


def best_of(question: Question, tried: Iterable[Tried]) -> Tried | None:
    """The best of some configurations; of equal scores the one with the lower number, so that a
    model beats the baseline only by score."""
    found: Tried | None = None
    for one in sorted(tried, key=lambda t: t.config.number):
        if math.isnan(one.outcome.score):
            continue
        if found is None or question.better(one.outcome.score, found.outcome.score):
            found = one
    return found


def _is(entry: Entry, config: Config) -> bool:
    """Whether a configuration was handed out for an entry, whatever it followed then."""
    free = FOLLOWED if entry.follows else ()
    own, given = (
        {name: value for name, value in params.items() if name not in free}
        for params in (entry.params, config.params)
    )
    return entry.family == config.family and own == given
