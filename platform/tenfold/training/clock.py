"""How long a configuration will take: a model of seconds, learned while the search runs.

Log seconds of a family are a constant plus a line in the logarithms of its numeric parameters
(rounds, depth, width and the like), fitted by ridge regression to what was told so far. Before a
family was seen, a rate of cells stands in, scaled by how far off it was for the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.cluster.work import config_seconds
from tenfold.training.evaluate import Config, Outcome

__all__ = ["Forecast", "TimeModel"]

MIN_FOR_SLOPES = 5
"""With fewer outcomes of a family its mean is all there is to say."""
RIDGE = 1.0
UNSEEN_SPREAD, SPREAD = 1.0, 0.25
"""Standard deviation of log seconds: of a family that was never seen, and the least of one that
was (machines are shared)."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds that are as likely too many as too few, and the spread of their logarithm."""

    seconds: float
    spread: float

    @property
    def late_s(self) -> float:
        """Seconds that one configuration in fifty takes longer than.

        >>> round(Forecast(10.0, 0.25).late_s, 1)
        16.5
        """
        return self.seconds * math.exp(2.0 * self.spread)


class TimeModel:
    """Learns from outcomes, predicts configurations. One owner.

    Args:
        n_cells: rows times columns of the table.
        n_folds: that a configuration is judged on.

    >>> model = TimeModel(n_cells=30_000, n_folds=5)
    >>> model.learn(Config(1, "linear", {"c": 1.0}), Outcome(1, 0.8, seconds=4.0, early=(0.8,) * 5))
    >>> round(model.predict("linear", {"c": 2.0}).seconds, 1)
    4.0
    """

    def __init__(self, *, n_cells: int, n_folds: int) -> None:
        self._prior = math.log(config_seconds(n_cells, n_folds=n_folds))
        self._n_folds = n_folds
        self._seen: dict[str, list[tuple[Mapping[str, Any], float]]] = {}

    def learn(self, config: Config, outcome: Outcome) -> None:
        """Takes the seconds of an outcome; one that was pruned counts as if it had gone on."""
        n_done = len(outcome.early)
        if outcome.seconds <= 0.0 or n_done == 0:
            return
        whole = outcome.seconds * self._n_folds / min(n_done, self._n_folds)
        self._seen.setdefault(config.family, []).append((config.params, math.log(whole)))

    def knows(self, family: str) -> bool:
        """Whether an outcome of the family was told."""
        return family in self._seen

    def predict(self, family: str, params: Mapping[str, Any]) -> Forecast:
        """Seconds of a configuration over all folds."""
        seen = self._seen.get(family)
        if not seen:
            return Forecast(math.exp(self._prior + self._off()), UNSEEN_SPREAD)
        logs = np.array([log for _, log in seen])
        mean = float(logs.mean())
        if len(seen) < MIN_FOR_SLOPES:
            return Forecast(math.exp(mean), self._spread(logs - mean))
        slopes = _Slopes.fit([params for params, _ in seen], logs)
        guess = min(max(slopes(params), float(logs.min()) - 1.0), float(logs.max()) + 1.0)
        return Forecast(math.exp(guess), self._spread(slopes.residuals))

    def fastest(self, family: str) -> float:
        """Seconds that its quickest configuration took, or what is predicted of an unseen one."""
        seen = self._seen.get(family)
        if not seen:
            return self.predict(family, {}).seconds
        return math.exp(min(log for _, log in seen))

    def _off(self) -> float:
        """By how much the rate was wrong for the families that were seen, in log seconds."""
        off = [log - self._prior for seen in self._seen.values() for _, log in seen]
        return float(np.median(off)) if off else 0.0

    @staticmethod
    def _spread(residuals: NDArray[np.float64]) -> float:
        """Of the residuals, with one made-up one of an unseen family among them."""
        total = UNSEEN_SPREAD**2 + float(residuals @ residuals)
        return max(SPREAD, math.sqrt(total / (1 + len(residuals))))


@dataclass(frozen=True, slots=True)
class _Slopes:
    """A ridge regression on the logarithms of numeric parameters."""

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    level: float
    residuals: NDArray[np.float64]

    @classmethod
    def fit(cls, params: list[Mapping[str, Any]], logs: NDArray[np.float64]) -> _Slopes:
        names = tuple(sorted({name for some in params for name in some if _numeric(some[name])}))
        x = np.array([_logs(some, names) for some in params]).reshape(len(params), len(names))
        mean, scale = x.mean(axis=0), x.std(axis=0)
        scale[scale == 0.0] = 1.0
        z, level = (x - mean) / scale, float(logs.mean())
        weights = np.linalg.solve(z.T @ z + RIDGE * np.eye(len(names)), z.T @ (logs - level))
        return cls(names, mean, scale, weights, level, logs - level - z @ weights)

    def __call__(self, params: Mapping[str, Any]) -> float:
        z = (np.array(_logs(params, self.names)) - self.mean) / self.scale
        return self.level + float(z @ self.weights)


def _numeric(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _logs(params: Mapping[str, Any], names: tuple[str, ...]) -> list[float]:
    """Zero, which stands for no bound or none of it, is as if the name were absent."""
    return [
        math.log(abs(params[name])) if _numeric(params.get(name)) and params[name] else 0.0
        for name in names
    ]
