"""Rungs: stop a configuration after some folds when others were better on the same ones.

Asynchronous successive halving (L. Li et al., "A System for Massively Parallel Hyperparameter
Tuning", 2018) with folds as the resource: folds are what every family has, and scores on the same
fold are paired. A configuration carries its bars from the start, so a session decides alone.

**Only where early tells of late.** Whether it does depends on the table: measured on eight boosters
each, the rank after a part of the work goes with the last rank at 0.9 on adult and diamonds and at
-0.3 to 0.4 on credit and bank. So the first `N_FULL` configurations and every `AUDIT`-th later one
run to their end, and only these are asked: Spearman's correlation of the mean of the first folds
with the mean of the *other* folds. (With the mean of all folds noise alone would correlate at 0.8
after three of five.) Below `MIN_CORRELATION` there are no bars, until it rises again.
"""

from __future__ import annotations

import numpy as np

from tenfold.training.evaluate import Bar, Config, Fate, Outcome

__all__ = ["MIN_CORRELATION", "N_FULL", "Rungs"]

N_FULL = 8
"""Configurations that run to their end before any bar is set."""
AUDIT = 4
"""Every so many-th configuration runs to its end whatever its rank, so that the correlation is not
only that of the survivors."""
MIN_CORRELATION = 0.6
REDUCTION = 2.0
"""One configuration in so many passes a bar. Three or four are usual where a rung is cheap; a fold
of five is a fifth of the work and its noise is large."""


class Rungs:
    """Sets the bars of a search. One owner.

    Args:
        n_folds: that a configuration is judged on, from 2.
        maximize: whether a larger score is better.
    """

    def __init__(self, n_folds: int, *, maximize: bool) -> None:
        self._sign = 1.0 if maximize else -1.0
        self._n_folds = n_folds
        self._whole: list[tuple[float, ...]] = []
        self._reached: dict[int, list[float]] = {level: [] for level in self.levels}

    @property
    def levels(self) -> tuple[int, ...]:
        """After how many folds there is a bar: one, and half of them.

        >>> Rungs(5, maximize=True).levels, Rungs(2, maximize=True).levels
        ((1, 2), (1,))
        """
        return tuple(sorted({1, max(1, self._n_folds // 2)}))

    def learn(self, config: Config, outcome: Outcome) -> None:
        """Takes the fold scores of an outcome."""
        scores = outcome.early
        if config.family == "dummy" or not np.isfinite(scores).all():
            return
        for level in self.levels:
            if len(scores) >= level:
                self._reached[level].append(self._sign * float(np.mean(scores[:level])))
        if outcome.fate is Fate.SCORED and not config.bars and len(scores) == self._n_folds:
            self._whole.append(tuple(self._sign * score for score in scores))

    def correlation(self, level: int) -> float:
        """Spearman's, of the mean of the first folds with the mean of the others, over those that
        ran without bars; 0 where nothing can be said."""
        if len(self._whole) < N_FULL:
            return 0.0
        scores = np.array(self._whole)
        early, late = scores[:, :level].mean(axis=1), scores[:, level:].mean(axis=1)
        return spearman(early, late)

    def bars(self, number: int) -> tuple[Bar, ...]:
        """Of configuration ``number``: none while early does not tell of late, or if it is an
        audit."""
        if number % AUDIT == 0:
            return ()
        return tuple(
            Bar(level, self._sign * float(np.quantile(self._reached[level], 1 - 1 / REDUCTION)))
            for level in self.levels
            if self.correlation(level) >= MIN_CORRELATION
        )


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation, equal values sharing their mean rank; 0 where a side is
    constant.

    Args:
        one: float64 (n,).
        other: float64 (n,).

    >>> spearman(np.array([1.0, 2.0, 9.0]), np.array([3.0, 5.0, 6.0]))
    1.0
    """
    from scipy.stats import rankdata

    a, b = rankdata(one), rankdata(other)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0.0 else 0.0
