"""What a search tries after the portfolio: the family by gain a second, its parameters by TPE.

Every family has a study of its own (Optuna's multivariate TPE with a constant liar: what is under
way counts as poor, so sessions side by side do not all try the same). A family is drawn with a
chance in proportion to the improvement it can be expected to bring in a second: from the better
half of its scores, as a normal distribution, above the best score of all; a small share goes to
every family, because early scores mislead and a blend wants different models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tenfold.models import COLUMNS, FAMILIES
from tenfold.project.measures import Task
from tenfold.training.evaluate import Config, Fate, Outcome
from tenfold.training.narrow import shares_to_try
from tenfold.training.question import Question

__all__ = ["Proposals", "expected_gain"]

STARTUP_TRIALS = 8
"""Scores of a family before TPE models them; portfolio entries that lie in its space count."""
LEAST_SHARE = 0.1
"""Of the draws, for all families together, whatever their scores."""
SMALLEST_SPREAD = 1e-3
"""Of a family's scores, as a share of the spread of all: two equal scores do not mean that the
third will be equal."""


class Proposals:
    """Draws configurations and learns from outcomes. One owner; a pure function of what it was
    told, in order."""

    def __init__(self, question: Question) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._question = question
        self._sign = 1.0 if question.maximize else -1.0
        self._scores: dict[str, list[float]] = {}
        self._trials: dict[int, Any] = {}
        self._studies = {
            name: optuna.create_study(
                direction="maximize" if question.maximize else "minimize",
                sampler=optuna.samplers.TPESampler(
                    seed=question.seed + place,
                    n_startup_trials=STARTUP_TRIALS,
                    multivariate=True,
                    constant_liar=True,
                ),
            )
            for place, name in enumerate(question.families)
            if FAMILIES[name].space is not None
        }

    @property
    def families(self) -> tuple[str, ...]:
        """Those with something to search."""
        return tuple(self._studies)

    def study(self, family: str) -> Any:
        """Optuna's study of a family that has something to search; not to be changed."""
        return self._studies[family]

    def draw(
        self, number: int, *, among: Sequence[str], seconds: Callable[[str], float]
    ) -> tuple[str, dict[str, Any]]:
        """Family and parameters of configuration ``number``.

        Args:
            number: decides the luck, with the question's seed.
            among: families to choose from, one at least.
            seconds: that a configuration of a family takes.
        """
        family = self._choose(number, among, seconds)
        trial = self._studies[family].ask()
        self._trials[number] = trial
        return family, self._params(family, trial)

    def _params(self, family: str, trial: Any) -> dict[str, Any]:
        question, space = self._question, FAMILIES[family].space
        params = {} if space is None else dict(space(trial, question.task.value))
        for name, values in FAMILIES[family].choices(question.traits).items():
            params[name] = trial.suggest_categorical(f"{family}.{name}", list(values))
        shares = shares_to_try(question.traits.n_columns)
        if len(shares) > 1 and question.task is not Task.CLUSTERING:
            share = trial.suggest_categorical(f"{family}.{COLUMNS}", list(shares))
            params |= {} if share == 1.0 else {COLUMNS: share}
        return params

    def _choose(self, number: int, among: Sequence[str], seconds: Callable[[str], float]) -> str:
        best = max((s for scores in self._scores.values() for s in scores), default=math.nan)
        rates = np.array(
            [
                expected_gain(self._scores.get(name, []), best, spread=self._spread())
                / seconds(name)
                for name in among
            ]
        )
        even = np.full(len(among), 1.0 / len(among))
        total = float(rates.sum())
        chances = even if total <= 0.0 else rates / total
        chances = (1.0 - LEAST_SHARE) * chances + LEAST_SHARE * even
        luck = np.random.default_rng([self._question.seed, number]).random()
        return among[min(int(np.searchsorted(np.cumsum(chances), luck)), len(among) - 1)]

    def _spread(self) -> float:
        every = [s for scores in self._scores.values() for s in scores]
        return float(np.std(every)) if every else 1.0

    def learn(self, config: Config, outcome: Outcome) -> None:
        """Takes an outcome: of a draw, or of the portfolio or an earlier run where its parameters
        lie in the family's space."""
        if config.family not in self._studies:
            return
        if outcome.fate is Fate.SCORED:
            self._scores.setdefault(config.family, []).append(self._sign * outcome.score)
        trial = self._trials.pop(config.number, None)
        if trial is None:
            self._learn_fixed(config, outcome)
        else:
            self._learn_drawn(trial, self._studies[config.family], outcome)

    def _learn_drawn(self, trial: Any, study: Any, outcome: Outcome) -> None:
        from optuna.trial import TrialState

        if outcome.fate is Fate.SCORED:
            study.tell(trial, outcome.score)
        elif outcome.fate is Fate.PRUNED:
            trial.report(float(np.mean(outcome.early)), len(outcome.early))
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, state=TrialState.FAIL)

    def _learn_fixed(self, config: Config, outcome: Outcome) -> None:
        from optuna.trial import create_trial

        if outcome.fate is not Fate.SCORED:
            return
        tracer = _Tracer(config.family, config.params)
        try:
            params = self._params(config.family, tracer)
        except KeyError:  # it lacks a parameter of the space
            return
        if params != dict(config.params) or not tracer.inside:
            return
        self._studies[config.family].add_trial(
            create_trial(
                params=tracer.params, distributions=tracer.distributions, value=outcome.score
            )
        )


class _Tracer:
    """Stands in for an Optuna trial: walks a space with parameters that are there already."""

    def __init__(self, family: str, params: Mapping[str, Any]) -> None:
        self._prefix = f"{family}."
        self._known = {COLUMNS: 1.0, **params}
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, Any] = {}
        self.inside = True

    def _take(self, name: str, distribution: Any, inside: Callable[[Any], bool]) -> Any:
        value = self._known[name.removeprefix(self._prefix)]
        self.params[name], self.distributions[name] = value, distribution
        self.inside &= inside(value)
        return value

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """The value that is there."""
        from optuna.distributions import FloatDistribution

        return float(self._take(name, FloatDistribution(low, high, log=log), _between(low, high)))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """The value that is there."""
        from optuna.distributions import IntDistribution

        return int(self._take(name, IntDistribution(low, high, log=log), _between(low, high)))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """The value that is there."""
        from optuna.distributions import CategoricalDistribution

        values = tuple(choices)
        return self._take(name, CategoricalDistribution(values), values.__contains__)


def _between(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and low <= value <= high


def expected_gain(scores: Sequence[float], best: float, *, spread: float) -> float:
    """By how much the next score of a family may be expected to pass the best one.

    Args:
        scores: of the family, larger is better.
        best: of all families; NaN if there is none.
        spread: standard deviation of the scores of all families.

    Returns:
        In the unit of the scores, from 0; ``spread`` where the family has no score yet.

    >>> expected_gain([0.9, 0.91], 0.91, spread=0.1) > expected_gain([0.5, 0.6], 0.91, spread=0.1)
    True
    """
    if not scores or math.isnan(best):
        return spread or 1.0
    better = sorted(scores)[len(scores) // 2 :]
    middle = float(np.mean(better))
    width = max(float(np.std(better)), SMALLEST_SPREAD * (spread or 1.0))
    z = (middle - best) / width
    density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return width * (z * 0.5 * math.erfc(-z / math.sqrt(2.0)) + density)
