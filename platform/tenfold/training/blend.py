"""Which configurations answer together, with what weights: greedy selection and its front.

Source: R. Caruana et al., "Ensemble selection from libraries of models" (2004): from an empty
blend, add again and again, with replacement, the candidate that helps the metric most on
out-of-fold rows; the best prefix counts. Only out-of-fold scores are looked at, so nothing here has
seen a row it judges; that the *choice* has is what `nested_score` takes out: the weights that judge
a fold are chosen on the other folds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.evaluation import measure
from tenfold.models.blend import MIN_PROBABILITY, tempered
from tenfold.project.measures import Task
from tenfold.training.question import Question

__all__ = [
    "MAX_CANDIDATES",
    "MIN_BLEND_ROWS",
    "Judge",
    "Mix",
    "Point",
    "Scores",
    "choose_mix",
    "choose_temperature",
    "front",
    "greedy",
    "mixed",
    "nested_score",
    "spread_of_difference",
]

STEPS = 25
"""More would add weights below 4 %, which nobody could tell from noise."""
MAX_MEMBERS = 4
"""Distinct members of a blend: each costs a last fit, and its own microseconds a row."""
MAX_CANDIDATES = 24
"""The best by score: later ones never entered a blend on the tables of `docs/finish.md`."""
MIN_BLEND_ROWS = 300
"""With fewer judged rows weights are noise: the best single configuration answers."""
MAX_JUDGED_ROWS = 50_000
"""Rows that a selection looks at; evenly spaced ones of more."""
REPLICATES = 60
"""Resamples behind a standard error: known to a tenth of itself."""
MIN_CALIBRATION_ROWS = 1_000
"""Judged rows below which a temperature is not worth its own noise."""

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mix:
    """Candidates with weights that sum to 1.

    Attributes:
        weights: configuration to weight, the largest first.
        score: the metric of the mixed out-of-fold scores, mean of the folds.
    """

    weights: tuple[tuple[int, float], ...]
    score: float

    @property
    def members(self) -> tuple[int, ...]:
        """The configurations."""
        return tuple(number for number, _weight in self.weights)


class Judge:
    """The rows that candidates are judged on: those that every fold plan judges.

    Args:
        question: metric, task and folds.
        truth: of the training rows (n_rows,).
        fold: of the same rows.
        known: rows with out-of-fold scores; booleans (n_rows,).
    """

    def __init__(
        self,
        question: Question,
        truth: NDArray[Any],
        fold: NDArray[np.int8],
        known: NDArray[np.bool_],
    ) -> None:
        rows = np.flatnonzero(known)
        if len(rows) > MAX_JUDGED_ROWS:
            rows = rows[np.linspace(0, len(rows) - 1, MAX_JUDGED_ROWS).astype(np.intp)]
        self.question = question
        self.rows = rows
        self.truth = truth[rows]
        self.fold = fold[rows]

    def take(self, oof: NDArray[np.float32]) -> Scores:
        """The judged rows of some out-of-fold scores."""
        return oof[self.rows].astype(np.float64)

    def score(self, scores: Scores, *, folds: Sequence[int] | None = None) -> float:
        """Mean of the folds' metrics; each fold's threshold comes from the other folds."""
        values = []
        for fold in sorted(set(self.fold.tolist())) if folds is None else folds:
            here = self.fold == fold
            threshold = self.question.threshold(scores[~here], self.truth[~here])
            judged = self.question.judge(self.truth[here], scores[here], threshold)
            values.append(measure(self.question.metric, judged))
        found = [value for value in values if not np.isnan(value)]
        return float(np.mean(found)) if found else float("nan")

    def without(self, fold: int) -> Judge:
        """The same without the rows of a fold."""
        left = Judge.__new__(Judge)
        keep = self.fold != fold
        left.question = self.question
        left.rows, left.truth, left.fold = self.rows[keep], self.truth[keep], self.fold[keep]
        return left


def mixed(weights: Sequence[tuple[int, float]], scores: Mapping[int, Scores]) -> Scores:
    """The weighted mean of some candidates' scores."""
    return np.asarray(sum(weight * scores[number] for number, weight in weights))


def greedy(judge: Judge, scores: Mapping[int, Scores]) -> list[Mix]:
    """The best blend of each number of members: 1, 2 … up to `MAX_MEMBERS`, fewer where more
    members do not help.

    Args:
        judge: the rows and the metric.
        scores: candidate to its scores on the judge's rows, at least one.
    """
    better = judge.question.better
    numbers = sorted(scores)
    best: dict[int, Mix] = {}
    for number in numbers:
        single = Mix(((number, 1.0),), judge.score(scores[number]))
        if 1 not in best or better(single.score, best[1].score):
            best[1] = single
    if len(judge.rows) < MIN_BLEND_ROWS:
        return [best[1]]
    bag = Counter(best[1].members)
    total = scores[best[1].members[0]].copy()
    for step in range(2, STEPS + 1):
        allowed = numbers if len(bag) < MAX_MEMBERS else sorted(bag)
        tried = [(judge.score((total + scores[n]) / step), n) for n in allowed]
        found, number = tried[0]
        for value, other in tried[1:]:
            if better(value, found):
                found, number = value, other
        bag[number] += 1
        total += scores[number]
        size = len(bag)
        if size not in best or better(found, best[size].score):
            best[size] = Mix(_weights(bag), found)
    out: list[Mix] = []
    for size in sorted(best):
        if not out or better(best[size].score, out[-1].score):
            out.append(best[size])
    return out


def _weights(bag: Counter[int]) -> tuple[tuple[int, float], ...]:
    n = sum(bag.values())
    return tuple((number, count / n) for number, count in sorted(bag.items(), key=_by_weight))


def _by_weight(item: tuple[int, int]) -> tuple[int, int]:
    return -item[1], item[0]


def nested_score(judge: Judge, scores: Mapping[int, Scores], *, size: int) -> float:
    """The score of a blend of up to ``size`` members whose weights have not seen the fold that they
    are judged on."""
    values = []
    for fold in sorted(set(judge.fold.tolist())):
        others = judge.without(fold)
        keep = judge.fold != fold
        if len(set(others.fold.tolist())) < 2:
            return float("nan")
        chosen = greedy(others, {n: s[keep] for n, s in scores.items()})
        fit = [mix for mix in chosen if len(mix.weights) <= size][-1]
        values.append(judge.score(mixed(fit.weights, scores), folds=[fold]))
    return float(np.mean(values))


def spread_of_difference(judge: Judge, one: Scores, other: Scores, *, seed: int) -> float:
    """Standard error of the difference of two scores, by a bootstrap of the same rows for both."""
    random = np.random.default_rng(seed)
    question, n_rows = judge.question, len(judge.rows)
    thresholds = [question.threshold(scores, judge.truth) for scores in (one, other)]
    judged = [
        question.judge(judge.truth, scores, threshold)
        for scores, threshold in zip((one, other), thresholds, strict=True)
    ]
    gaps = []
    for _ in range(REPLICATES):
        weights = random.multinomial(n_rows, np.full(n_rows, 1.0 / n_rows)).astype(np.float64)
        values = [measure(question.metric, rows, weights=weights) for rows in judged]
        gaps.append(values[0] - values[1])
    found = np.array(gaps)[~np.isnan(gaps)]
    return float(np.std(found, ddof=1)) if len(found) > 1 else float("inf")


@dataclass(frozen=True, slots=True)
class Point:
    """A mix on the front.

    Attributes:
        mix: who answers.
        micros: microseconds a row, preparation and engine on one thread.
        size_bytes: of the model's native files.
        behind: of the best score, in standard errors of the difference; 0 for the best.
    """

    mix: Mix
    micros: float
    size_bytes: int
    behind: float


def front(
    judge: Judge,
    mixes: Sequence[Mix],
    scores: Mapping[int, Scores],
    *,
    cost: Callable[[Mix], tuple[float, int]],
    seed: int = 0,
) -> list[Point]:
    """What each mix is worth and costs, the cheapest first.

    Args:
        judge: rows and metric.
        mixes: of `greedy`.
        scores: of the candidates, on the judge's rows.
        cost: microseconds a row and bytes of a mix.
        seed: of the resamples.
    """
    best = mixes[0]
    for mix in mixes[1:]:
        if judge.question.better(mix.score, best.score):
            best = mix
    points = []
    for mix in mixes:
        behind = 0.0
        if mix is not best:
            gap = abs(mix.score - best.score)
            spread = spread_of_difference(
                judge, mixed(mix.weights, scores), mixed(best.weights, scores), seed=seed
            )
            behind = gap / spread if spread > 0 else (0.0 if gap == 0 else float("inf"))
        points.append(Point(mix, *cost(mix), behind))
    return sorted(points, key=lambda point: (point.micros, len(point.mix.weights)))


def choose_mix(
    points: Sequence[Point], *, within: float = 1.0, most_micros: float | None = None
) -> Point:
    """The fastest within so many standard errors of the best.

    Args:
        points: at least one.
        within: standard errors.
        most_micros: what a row may cost: of those the best is looked for; without any the fastest.

    >>> slow, fast = Mix(((1, 0.5), (2, 0.5)), 0.91), Mix(((1, 1.0),), 0.90)
    >>> points = [Point(fast, 10.0, 1, 0.8), Point(slow, 30.0, 2, 0.0)]
    >>> choose_mix(points).mix is fast, choose_mix(points, within=0.0).mix is slow
    (True, True)
    """
    limit = float("inf") if most_micros is None else most_micros
    allowed = [point for point in points if point.micros <= limit]
    if not allowed:
        return min(points, key=lambda point: point.micros)
    least = min(point.behind for point in allowed)
    good = [point for point in allowed if point.behind <= max(within, least)]
    return min(good, key=lambda point: point.micros)


def choose_temperature(judge: Judge, scores: Scores) -> float:
    """The temperature of probabilities, kept only where it helps rows that did not choose it.

    Each fold's rows are judged at the temperature that the other folds choose; it stays 1 unless
    the log loss falls by more than a standard error of the fall.
    """
    if judge.question.task not in (Task.BINARY, Task.MULTICLASS):
        return 1.0
    if len(judge.rows) < MIN_CALIBRATION_ROWS:
        return 1.0
    truth = judge.truth.astype(np.intp)
    gains = np.zeros(len(truth))
    for fold in sorted(set(judge.fold.tolist())):
        here = judge.fold == fold
        chosen = _best_temperature(scores[~here], truth[~here])
        plain, warm = (_losses(tempered(scores[here], t), truth[here]) for t in (1.0, chosen))
        gains[here] = plain - warm
    error = float(np.std(gains) / np.sqrt(len(gains)))
    return _best_temperature(scores, truth) if float(np.mean(gains)) > error > 0 else 1.0


def _losses(scores: Scores, truth: NDArray[np.intp]) -> NDArray[np.float64]:
    chosen = scores[np.arange(len(truth)), truth]
    return np.asarray(-np.log(np.maximum(chosen, MIN_PROBABILITY)))


def _best_temperature(scores: Scores, truth: NDArray[np.intp]) -> float:
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        return float(np.mean(_losses(tempered(scores, float(np.exp(log_t))), truth)))

    found = minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))
