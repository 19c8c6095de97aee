"""From everything that a search tried to the answer: candidates, front, choice, seeds, calibration.

What is fitted on all rows on the way is kept by the fitter, so that nothing is fitted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.models import FAMILIES
from tenfold.models.blend import tempered
from tenfold.project.measures import Task
from tenfold.training.answer import Answer, Part
from tenfold.training.blend import (
    MAX_CANDIDATES,
    Judge,
    Mix,
    Point,
    Scores,
    choose_mix,
    choose_temperature,
    front,
    greedy,
    mixed,
    nested_score,
)
from tenfold.training.board import Tried
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.fitter import Fitter
from tenfold.training.search import Material

__all__ = ["Chosen", "choose_answer"]

SEEDS = 4
"""Fits of a part whose mean answers: four regain on all rows what a bag of folds would give."""
SEED_MICROS = 300.0
"""Microseconds a row that several seeds may cost together."""

OofOf = Callable[[int], NDArray[np.float32] | None]


@dataclass(frozen=True)
class Chosen:
    """The answer and why.

    Attributes:
        answer: the recipe.
        oof: its out-of-fold scores, mixed and calibrated; None for segments.
        front: what else could have answered, the fastest first; empty for segments.
        pick: of the front.
        nested: score of the pick whose weights have not seen the fold that they are judged on; NaN
            for a single configuration.
        reason: in words.
    """

    answer: Answer
    oof: NDArray[np.float32] | None
    front: tuple[Point, ...]
    pick: Point | None
    nested: float
    reason: str

    def front_dicts(self) -> list[dict[str, Any]]:
        """The front as JSON values, the fastest first."""
        return [
            {
                "members": [list(pair) for pair in point.mix.weights],
                "score": point.mix.score,
                "us_per_row": round(point.micros, 1),
                "bytes": point.size_bytes,
                "behind": round(point.behind, 2),
                "picked": point is self.pick,
            }
            for point in self.front
        ]


def choose_answer(
    material: Material,
    best: Tried,
    tried: Sequence[Tried],
    oof_of: OofOf,
    *,
    fitter: Fitter,
    left_s: Callable[[], float] | None = None,
    single: bool = False,
    within: float = 1.0,
    most_micros: float | None = None,
) -> Chosen:
    """Choose who answers.

    Args:
        material: training rows and question.
        best: of the search.
        tried: everything that has an outcome.
        oof_of: out-of-fold scores of a configuration by its number, float32 (n_rows, k).
        fitter: fits on all rows.
        left_s: seconds that last fits may still take; None for no limit, and a repeatable choice.
        single: only the best configuration, with one seed: for fits that are too dear for more.
        within: standard errors behind the best score that a faster answer may be.
        most_micros: microseconds a row that an answer may cost; None for no limit. If nothing is
            so fast, the fastest answers.
    """
    parts = {t.config.number: _part(t) for t in tried}
    lone = _part(best)
    if material.question.task is Task.CLUSTERING or best.config.family == "dummy" or single:
        oof = None if material.question.task is Task.CLUSTERING else oof_of(best.config.number)
        return Chosen(Answer((lone,)), oof, (), None, float("nan"), "the best configuration")
    oofs = _candidates(material, best, tried, oof_of)
    judge = _judge(material, list(oofs.values()))
    scores = {number: judge.take(oof) for number, oof in oofs.items()}
    mixes = _affordable(greedy(judge, scores), material, tried, left_s)

    def cost(mix: Mix) -> tuple[float, int]:
        own = [parts[number] for number in mix.members]
        return sum(map(fitter.micros, own)), sum(map(fitter.size_bytes, own))

    seed = material.question.seed
    points = front(judge, mixes, scores, cost=cost, seed=seed)
    pick = choose_mix(points, within=within, most_micros=most_micros)
    nested = float("nan")
    if len(pick.mix.weights) > 1:
        nested = nested_score(judge, scores, size=len(pick.mix.weights))
    temperature = choose_temperature(judge, mixed(pick.mix.weights, scores))
    answer = Answer(
        tuple(_weighed(parts[number], weight) for number, weight in pick.mix.weights), temperature
    )
    room = SEED_MICROS if most_micros is None else min(SEED_MICROS, most_micros)
    answer = answer.with_seeds(_seeds(answer, room / max(pick.micros, 1e-9), fitter, left_s))
    whole = sum(weight * oofs[number].astype(np.float64) for number, weight in pick.mix.weights)
    oof = tempered(np.asarray(whole), temperature).astype(np.float32)
    return Chosen(answer, oof, tuple(points), pick, nested, _reason(points, pick, within))


def recalibrated(material: Material, answer: Answer) -> tuple[Answer, NDArray[np.float32] | None]:
    """The same parts on other rows: out-of-fold scores of each, mixed, and a temperature for them.

    Args:
        material: the other rows.
        answer: its parts and weights stay.

    Returns:
        The answer with its new temperature, and its out-of-fold scores; None where a part cannot
        be judged.
    """
    work = material.workspace()
    scores: dict[int, Scores] = {}
    for number, part in enumerate(answer.parts):
        config = Config(number, part.family, part.params, must=True)
        oof = evaluate(work, config).oof
        if oof is None:
            return replace(answer, temperature=1.0), None
        scores[number] = oof.astype(np.float64)
    whole = mixed([(n, part.weight) for n, part in enumerate(answer.parts)], scores)
    if material.question.task is Task.CLUSTERING:
        return answer, whole.astype(np.float32)
    judge = _judge(material, [whole.astype(np.float32)])
    temperature = choose_temperature(judge, whole[judge.rows])
    made = tempered(whole, temperature).astype(np.float32)
    return replace(answer, temperature=temperature), made


def _part(tried: Tried) -> Part:
    return Part.of(tried.config.family, tried.config.params, rounds=tried.outcome.rounds)


def _weighed(part: Part, weight: float) -> Part:
    return Part(part.family, part.params, weight)


def _candidates(
    material: Material, best: Tried, tried: Sequence[Tried], oof_of: OofOf
) -> dict[int, NDArray[np.float32]]:
    """Out-of-fold scores of the best configurations that judge the same rows as the best one."""
    question = material.question
    ranked = sorted(
        (t for t in tried if t.config.family != "dummy" and not np.isnan(t.outcome.score)),
        key=lambda t: (-t.outcome.score if question.maximize else t.outcome.score, t.config.number),
    )
    found: dict[int, NDArray[np.float32]] = {}
    known: NDArray[np.bool_] | None = None
    for one in [best, *ranked]:
        number = one.config.number
        if number in found or len(found) == MAX_CANDIDATES:
            continue
        oof = oof_of(number)
        if oof is None:
            continue
        judged = ~np.isnan(oof[:, 0])
        known = judged if known is None else known
        if np.array_equal(judged, known):
            found[number] = oof
    return found


def _judge(material: Material, oofs: Sequence[NDArray[np.float32]]) -> Judge:
    known = ~np.isnan(oofs[0][:, 0])
    return Judge(material.question, material.rows.truth, material.rows.fold, known)


def _affordable(
    mixes: list[Mix],
    material: Material,
    tried: Sequence[Tried],
    left_s: Callable[[], float] | None,
) -> list[Mix]:
    """The mixes whose last fits the time allows; the single best one always."""
    if left_s is None:
        return mixes
    rows = [int(np.isin(material.rows.fold, use.train).sum()) for use in material.question.folds]
    share = material.rows.n_rows / max(1, sum(rows))
    seconds = {t.config.number: t.outcome.seconds * share for t in tried}
    kept, left = [mixes[0]], left_s()
    for mix in mixes[1:]:
        numbers = set(mix.members).union(*(other.members for other in kept))
        if sum(seconds[number] for number in numbers) > left:
            break
        kept.append(mix)
    return kept


def _seeds(
    answer: Answer, fit_in: float, fitter: Fitter, left_s: Callable[[], float] | None
) -> int:
    """As many as time and microseconds allow; ``fit_in`` is how often the answer's fit in."""
    random = [part for part in answer.parts if FAMILIES[part.family].random]
    if not random:
        return 1
    most = max(1, min(SEEDS, int(fit_in)))
    if left_s is None:
        return most
    each = sum(map(fitter.seconds, random))
    return max(1, min(most, 1 + int(left_s() / max(each, 1e-3))))


def _reason(points: Sequence[Point], pick: Point, within: float) -> str:
    if len(points) == 1:
        return "no blend was better than the best configuration"
    if pick.behind == 0.0:
        return f"the best of {len(points)}; none within {within:g} standard error of it is faster"
    return f"the fastest within {within:g} standard error of the best: {pick.behind:.1f} behind"
