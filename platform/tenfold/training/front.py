"""What each candidate is worth and costs, and which of them answers.

A candidate is a configuration or a blend. Its worth is the metric on out-of-fold rows; how far it
is behind the best is counted in standard errors of the *difference*, from resamples of the same
rows for both: two models that err on the same rows are told apart by far fewer of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tenfold.evaluation import measure
from tenfold.training.blend import Judge, Mix, Scores, mixed

__all__ = ["Point", "behind_of", "choose_point", "resampled", "standard_error"]

REPLICATES = 50
"""Resamples behind a standard error: known to a tenth of itself."""


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate on the front.

    Attributes:
        mix: who answers.
        behind: of the best score, in standard errors of the difference; 0 for the best.
        micros: microseconds a row, preparation and engine on one thread; NaN where its last fit was
            not worth the time.
        size_bytes: of the model's native files; 0 where it was not fitted.
        seeds: fits of each random member whose mean answers. The score is that of one: by
            convexity a mean of several is no worse than one of them can be expected to be.
    """

    mix: Mix
    behind: float
    micros: float = float("nan")
    size_bytes: int = 0
    seeds: int = 1

    @property
    def is_timed(self) -> bool:
        """Whether it was fitted and measured, and so can answer."""
        return not np.isnan(self.micros)

    def measured(self, micros: float, size_bytes: int, *, seeds: int = 1) -> Point:
        """The same with what it costs."""
        return replace(self, micros=micros, size_bytes=size_bytes, seeds=seeds)


def resampled(judge: Judge, scores: Scores, *, seed: int) -> NDArray[np.float64]:
    """The metric on bootstrap resamples of the judge's rows (n_replicates,); equal seeds draw equal
    rows, so replicates of two candidates are paired.

    Source: B. Efron and R. Tibshirani, "An introduction to the bootstrap" (1993), chapter 10.
    """
    random, n_rows = np.random.default_rng(seed), len(judge.rows)
    threshold = judge.threshold(scores, judge.truth)
    rows = judge.question.judge(judge.truth, scores, threshold)
    even = np.full(n_rows, 1.0 / n_rows)
    draws = (random.multinomial(n_rows, even).astype(np.float64) for _ in range(REPLICATES))
    return np.array([measure(judge.question.metric, rows, weights=draw) for draw in draws])


def standard_error(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Of the difference of two candidates, from their paired replicates.

    >>> standard_error(np.array([0.9, 0.8, 0.7]), np.array([0.8, 0.7, 0.6])) < 1e-12
    True
    """
    gaps = one - other
    gaps = gaps[~np.isnan(gaps)]
    return float(np.std(gaps, ddof=1)) if len(gaps) > 1 else float("inf")


def behind_of(
    judge: Judge, mixes: Sequence[Mix], scores: Mapping[int, Scores], *, seed: int
) -> list[Point]:
    """How far each candidate is behind the best of them, in the order given.

    Args:
        judge: rows and metric.
        mixes: at least one, with scores on the judge's rows.
        scores: of their members, on the judge's rows.
        seed: of the resamples.
    """
    best = mixes[0]
    for mix in mixes[1:]:
        if judge.question.better(mix.score, best.score):
            best = mix
    if len(mixes) == 1:
        return [Point(best, 0.0)]
    made = {mix: resampled(judge, mixed(mix.weights, scores), seed=seed) for mix in mixes}
    return [Point(mix, _behind(mix, best, made)) for mix in mixes]


def _behind(mix: Mix, best: Mix, made: Mapping[Mix, NDArray[np.float64]]) -> float:
    gap = abs(mix.score - best.score)
    if mix is best or gap == 0.0:
        return 0.0
    error = standard_error(made[mix], made[best])
    return gap / error if error > 0.0 else float("inf")


def choose_point(
    points: Sequence[Point],
    *,
    within: float = 1.0,
    most_micros: float | None = None,
    free_micros: float = 0.0,
) -> Point:
    """The fastest within so many standard errors of the best; of equally fast ones the best.

    Args:
        points: at least one of them timed.
        within: standard errors.
        most_micros: what a row may cost: of those the best is looked for; without any the fastest.
        free_micros: what a row costs up to here is as fast as any: the rest of a request hides it.

    >>> fast = Point(Mix(((1, 1.0),), 0.90), 0.8, 10.0)
    >>> slow = Point(Mix(((2, 1.0),), 0.91), 0.0, 30.0)
    >>> choose_point([fast, slow]) is fast, choose_point([fast, slow], within=0.0) is slow
    (True, True)
    >>> choose_point([fast, slow], free_micros=50.0) is slow
    True
    """
    timed = [point for point in points if point.is_timed]
    limit = float("inf") if most_micros is None else most_micros
    allowed = [point for point in timed if point.micros <= limit]
    if not allowed:
        return min(timed, key=lambda point: point.micros)
    least = min(point.behind for point in allowed)
    good = [point for point in allowed if point.behind <= max(within, least)]
    return min(good, key=lambda p: (max(p.micros, free_micros), p.behind, p.micros))
