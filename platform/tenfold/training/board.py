"""The board of a search: hands out configurations and learns from their outcomes. No Ray in it.

**Same trials, whatever the concurrency.** Configuration ``n`` is drawn when exactly the outcomes
``0 .. n - LAG`` have been told to the sampler, in that order, however many sessions run and whoever
comes first. Outcomes that come early wait; an ask that comes early waits. So a search with a fixed
number of trials is a pure function of rows, project and seed.

**Anytime.** The order is baseline, then the best bet of each family (cheapest family first), then
the other defaults, then what the sampler (Optuna's TPE) proposes. When the time is up nothing new
is handed out; the baseline and the first model always run to their end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from tenfold.models import FAMILIES, Family
from tenfold.project.measures import Task
from tenfold.training.evaluate import Config, Outcome
from tenfold.training.journal import Journal, MemoryJournal
from tenfold.training.question import Question

__all__ = ["LAG", "WAIT", "Board", "Tried"]

LAG = 8
"""Most configurations under way at once. Until the sampler has some ten results it draws at random,
so this costs nothing on small budgets; more sessions than this would wait."""
STARTUP_TRIALS = 10
MAX_HANDOUTS = 2
"""A configuration whose session died twice is counted as failed: it may be what kills them."""
WAIT: Final = "wait"
"""Ask again after the next outcome."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One finished configuration with its outcome (without the out-of-fold scores)."""

    config: Config
    outcome: Outcome


class Board:
    """State of one search. Not safe for threads: one owner (an actor, or a loop in a test).

    Args:
        question: what is asked.
        trials: stop after so many configurations (the baseline not counted); None for no limit.
        journal: where events and out-of-fold scores go.
    """

    def __init__(
        self, question: Question, *, trials: int | None, journal: Journal | None = None
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.question = question
        self.trials = trials
        self.tried: list[Tried] = []
        self.journal: Journal = MemoryJournal() if journal is None else journal
        self.time_is_up = False
        self._study = optuna.create_study(
            direction="maximize" if question.maximize else "minimize",
            sampler=optuna.samplers.TPESampler(
                seed=question.seed, n_startup_trials=STARTUP_TRIALS, constant_liar=True
            ),
        )
        self._queue = _defaults(question)
        self._asked: dict[int, tuple[Any, Config]] = {}
        self._open: dict[int, str] = {}
        self._handouts: dict[int, int] = {}
        self._early: dict[int, Outcome] = {}
        self._n_told = 0
        self._n_learned = 0

    @property
    def best(self) -> Tried | None:
        """The best configuration told so far; of equal scores the earlier one."""
        found: Tried | None = None
        for tried in self.tried:
            if math.isnan(tried.outcome.score):
                continue
            if found is None or self._beats(tried, found):
                found = tried
        return found

    def _beats(self, one: Tried, other: Tried) -> bool:
        """A model beats the baseline only by score; the baseline never wins a tie or a NaN."""
        return self.question.better(one.outcome.score, other.outcome.score)

    def ask(self, session: str) -> Config | str | None:
        """The next configuration, `WAIT`, or None when the search is over.

        A session that asks while it still owes an outcome has died and come back: it gets the same
        configuration again, or that one is counted as failed.
        """
        owed = next((number for number, who in self._open.items() if who == session), None)
        if owed is not None:
            if self._handouts[owed] < MAX_HANDOUTS:
                self._handouts[owed] += 1
                return self._asked[owed][1]
            self.tell(Outcome(owed, float("nan"), error="its process died"))
        number = len(self._asked)
        if self._is_over(number):
            return None
        if number >= self._n_told + LAG:
            return WAIT
        config = self._draw(number)
        self._open[number], self._handouts[number] = session, 1
        return config

    def _is_over(self, number: int) -> bool:
        if self.trials is not None and number > self.trials:
            return True
        if not self._queue and number > 0 and not self._searchable():
            return True
        return self.time_is_up and number >= self._n_must

    @property
    def _n_must(self) -> int:
        """Configurations that run whatever the time: the baseline and the first model."""
        return 1 + bool(self.question.families and self.question.task is not Task.CLUSTERING)

    def _searchable(self) -> list[str]:
        return [name for name in self.question.families if FAMILIES[name].space is not None]

    def _draw(self, number: int) -> Config:
        while self._n_learned <= number - LAG:
            self._teach(self.tried[self._n_learned].outcome)
            self._n_learned += 1
        if self._queue:
            family, fixed = self._queue.pop(0)
            if family == "dummy":
                config = Config(number, family, dict(fixed), must=True)
                self._asked[number] = (None, config)
                return config
            self._study.enqueue_trial(
                {"family": family, **{f"{family}.{key}": value for key, value in fixed.items()}}
            )
        trial = self._study.ask()
        family = trial.suggest_categorical("family", self._searchable())
        space = FAMILIES[family].space
        params = {} if space is None else dict(space(trial, self.question.task.value))
        for name, values in FAMILIES[family].choices(self.question.traits).items():
            params[name] = trial.suggest_categorical(f"{family}.{name}", list(values))
        config = Config(number, family, params, must=number < self._n_must)
        self._asked[number] = (trial, config)
        return config

    def drop(self, session: str) -> None:
        """Counts what a session owes as failed: it will not come back."""
        for number in [number for number, who in self._open.items() if who == session]:
            self.tell(Outcome(number, float("nan"), error="its process died"))

    def tell(self, outcome: Outcome) -> None:
        """Takes an outcome; a second one of the same configuration is ignored."""
        if outcome.number not in self._open:
            return
        del self._open[outcome.number]
        self._early[outcome.number] = outcome
        while self._n_told in self._early:
            self._keep(self._early.pop(self._n_told))
            self._n_told += 1

    def _keep(self, outcome: Outcome) -> None:
        config = self._asked[outcome.number][1]
        if outcome.oof is not None:
            self.journal.keep(outcome.number, outcome.oof)
        self.tried.append(Tried(config, replace(outcome, oof=None)))

    def _teach(self, outcome: Outcome) -> None:
        """Tells the sampler."""
        from optuna.trial import TrialState

        trial = self._asked[outcome.number][0]
        if trial is None:
            return
        if np.isnan(outcome.score):
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, outcome.score)


def _defaults(question: Question) -> list[tuple[str, dict[str, Any]]]:
    """Baseline, then the first default of each family, then the second ones; at the end of each
    family's, its first default with the other preparations, one at a time."""
    columns = [
        [(name, params) for params in _family_defaults(FAMILIES[name], question)]
        for name in question.families
    ]
    task = question.task.value
    start = [("dummy", dict[str, Any]())] if task in FAMILIES["dummy"].tasks else []
    return start + [item for row in zip_longest(*columns) for item in row if item is not None]


def _family_defaults(family: Family, question: Question) -> list[dict[str, Any]]:
    choices = family.choices(question.traits)
    best = {name: values[0] for name, values in choices.items()}
    defaults = [dict(params) | best for params in family.defaults(question.task.value)]
    others = [
        defaults[0] | {name: value} for name, values in choices.items() for value in values[1:]
    ]
    return defaults + others
