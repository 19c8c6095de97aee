"""Which configurations answer together, with what weights: greedy selection.

Source: R. Caruana et al., "Ensemble selection from libraries of models" (2004): from an empty
blend, add again and again, with replacement, the candidate that helps the metric most on
out-of-fold rows; the best prefix counts. Only out-of-fold scores are looked at, so nothing here has
seen a row it judges; that the *choice* has is what `nested_scores` takes out: the weights that
judge a fold are chosen on the other folds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.evaluation import measure
from tenfold.project.measures import Task
from tenfold.training.question import THRESHOLD_METRICS, Question

__all__ = [
    "FEW_ROWS",
    "MAX_CANDIDATES",
    "MAX_MEMBERS",
    "Blends",
    "Judge",
    "Mix",
    "Scores",
    "greedy",
    "mixed",
    "nested_scores",
]

STEPS = 25
"""More would add weights below 4 %, which nobody could tell from noise."""
MAX_MEMBERS = 4
"""Distinct members of a blend: each costs a last fit, and its own microseconds a row."""
PATIENCE = 6
"""Steps without a better blend after which no further ones are taken."""
MAX_CANDIDATES = 12
"""The best by score, and the best of each family: of longer lists three to six survive (source: the
paper, and TabRepo, 2023), and each costs every step."""
FEW_ROWS = 1_000
"""Judged rows below which weights are noise, and so is who is best: see `tenfold.training.even`."""
SELECTION_ROWS = 20_000
"""Rows that weights are chosen on; evenly spaced ones of more. A step then costs milliseconds."""
MAX_JUDGED_ROWS = 50_000
"""Rows that what was chosen is judged on; evenly spaced ones of more."""

Scores = NDArray[np.float64]
Blends = Callable[["Judge", Mapping[int, Scores]], "list[Mix]"]
"""From candidates' scores on the judge's rows to the best one alone and blends, fewer members
first."""


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
        most_rows: evenly spaced ones of more.
    """

    def __init__(
        self,
        question: Question,
        truth: NDArray[Any],
        fold: NDArray[np.int8],
        known: NDArray[np.bool_],
        *,
        most_rows: int = MAX_JUDGED_ROWS,
    ) -> None:
        rows = np.flatnonzero(known)
        if len(rows) > most_rows:
            rows = rows[np.linspace(0, len(rows) - 1, most_rows).astype(np.intp)]
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
            threshold = self.threshold(scores[~here], self.truth[~here])
            judged = self.question.judge(self.truth[here], scores[here], threshold)
            values.append(measure(self.question.metric, judged))
        found = [value for value in values if not np.isnan(value)]
        return float(np.mean(found)) if found else float("nan")

    def threshold(self, scores: Scores, truth: NDArray[Any]) -> float | None:
        """Of a binary answer; a half where the metric does not look at it."""
        if self.question.metric in THRESHOLD_METRICS:
            return self.question.threshold(scores, truth)
        return 0.5 if self.question.task is Task.BINARY else None

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
    bag = Counter(best[1].members)
    total = scores[best[1].members[0]].copy()
    highest, since = best[1].score, 0
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
        since = 0 if better(found, highest) else since + 1
        highest = found if since == 0 else highest
        if since == PATIENCE:
            break
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


def nested_scores(
    judge: Judge, scores: Mapping[int, Scores], *, size: int, blends: Blends = greedy
) -> list[float]:
    """The score on each fold of a blend of up to ``size`` members that was chosen without it.

    Args:
        judge: the rows and the metric.
        scores: candidate to its scores on the judge's rows.
        size: members, at most.
        blends: how they are chosen.

    Returns:
        One a fold, in their order; none where less than two others are left to choose on.
    """
    values = []
    for fold in sorted(set(judge.fold.tolist())):
        others = judge.without(fold)
        keep = judge.fold != fold
        if len(set(others.fold.tolist())) < 2:
            return []
        chosen = blends(others, {n: s[keep] for n, s in scores.items()})
        fit = [mix for mix in chosen if len(mix.weights) <= size][-1]
        values.append(judge.score(mixed(fit.weights, scores), folds=[fold]))
    return values
