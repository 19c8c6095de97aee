"""From everything that a search tried to the answer: candidates, front, choice, seeds, calibration.

What is fitted on all rows on the way is kept by the fitter, so that nothing is fitted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.models import FAMILIES
from tenfold.models.calibration import NO_CALIBRATION
from tenfold.project.measures import Task
from tenfold.training.answer import Answer, Part
from tenfold.training.blend import (
    FEW_ROWS,
    MAX_CANDIDATES,
    MAX_JUDGED_ROWS,
    SELECTION_ROWS,
    Blends,
    Judge,
    Mix,
    Scores,
    mixed,
    nested_scores,
)
from tenfold.training.board import Tried
from tenfold.training.calibrate import choose_calibration
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.even import blends_for
from tenfold.training.fitter import Fitter
from tenfold.training.front import Point, behind_of, choose_point
from tenfold.training.placed import evaluate_placed
from tenfold.training.search import Material
from tenfold.training.second_look import look_again

__all__ = ["PREFERENCES", "Chosen", "Preference", "choose_answer", "recalibrated"]

SEEDS = 4
"""Fits of a part whose mean answers: four regain on all rows what a bag of folds would give."""
SEED_MICROS = 150.0
"""Microseconds a row that several seeds may cost together."""
FREE_MICROS = 100.0
"""Microseconds a row up to which all answers are equally fast: a served request takes 400 at best.
On small tables a standard error is wide and the best blend seldom passes it, and yet is the better
bet: on nine samples of 750 rows it won on the test rows of eight, by .005 of ROC AUC in the mean.
"""

DEAR_MICROS = 500.0
"""Microseconds a row beyond which a faster answer may be another standard error behind."""

FEW_ROWS_FREE = 2.0
"""Times the free microseconds where rows are few: there a blend of families costs about 100, and
takes 1 to 7 % off the log loss (`tenfold.training.even`)."""
LED = 0.1
"""Standard errors that everything else is behind a blend which is taken for the best."""

NOTHING_BETTER = "no blend was better than the best configuration"
NO_TIME = "there was no time to fit a blend on all rows"

OofOf = Callable[[int], NDArray[np.float32] | None]


@dataclass(frozen=True, slots=True)
class Preference:
    """How much score is worth against microseconds.

    Attributes:
        within: standard errors behind the best score that a faster answer may be.
        seeds: fits of each random member, at most.
        seed_micros: microseconds a row that several seeds may cost together.
        free_micros: microseconds a row up to which all are equally fast, and the best answers.
        dear_micros: microseconds a row beyond which a faster answer may be twice as far behind.
    """

    within: float = 1.0
    seeds: int = SEEDS
    seed_micros: float = SEED_MICROS
    free_micros: float = FREE_MICROS
    dear_micros: float = DEAR_MICROS


PREFERENCES: Final[Mapping[str, Preference]] = MappingProxyType(
    {
        "balanced": Preference(),
        "accuracy": Preference(within=0.0, seed_micros=float("inf"), dear_micros=float("inf")),
        "latency": Preference(within=2.0, seeds=1, free_micros=0.0, dear_micros=float("inf")),
    }
)
"""By ``train.prefer`` of the project."""


@dataclass(frozen=True)
class Chosen:
    """The answer and why.

    Attributes:
        answer: the recipe.
        oof: its out-of-fold scores, mixed and calibrated; None for segments.
        front: what else could have answered, the fastest first, those that were not fitted last;
            empty where there was no choice.
        pick: of the front; with the seeds that answer.
        families: configuration to family, of all members of the front.
        single: score of the best single configuration.
        nested: score of the pick whose weights have not seen the fold that they are judged on; NaN
            for a single configuration.
        reason: in words.
    """

    answer: Answer
    oof: NDArray[np.float32] | None
    front: tuple[Point, ...]
    pick: Point | None
    families: Mapping[int, str]
    single: float
    nested: float
    reason: str

    def front_dicts(self) -> list[dict[str, Any]]:
        """The front as JSON values, the fastest first; nulls where a candidate was not fitted."""
        return [
            {
                "members": [
                    {"number": number, "family": self.families[number], "weight": round(weight, 4)}
                    for number, weight in point.mix.weights
                ],
                "seeds": point.seeds,
                "score": point.mix.score,
                "us_per_row": round(point.micros, 1) if point.is_timed else None,
                "bytes": point.size_bytes if point.is_timed else None,
                "behind": round(point.behind, 2) if np.isfinite(point.behind) else None,
                "picked": point is self.pick,
            }
            for point in self.front
        ]


def _lone(material: Material, best: Tried, oof_of: OofOf) -> Chosen:
    """The best configuration as it is: where blends make no sense, or their fits are too dear."""
    oof = None if material.question.task is Task.CLUSTERING else oof_of(best.config.number)
    return Chosen(
        answer=Answer((_part(best, material.more_rows),)),
        oof=oof,
        front=(),
        pick=None,
        families={best.config.number: best.config.family},
        single=best.outcome.score,
        nested=float("nan"),
        reason="the best configuration",
    )


def choose_answer(
    material: Material,
    best: Tried,
    tried: Sequence[Tried],
    oof_of: OofOf,
    *,
    fitter: Fitter,
    left_s: Callable[[], float] | None = None,
    single: bool = False,
    prefer: Preference = PREFERENCES["balanced"],
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
        prefer: score against microseconds.
        most_micros: microseconds a row that an answer may cost; None for no limit. If nothing is
            so fast, the fastest answers.
    """
    if material.question.task is Task.CLUSTERING or best.config.family == "dummy" or single:
        return _lone(material, best, oof_of)
    by_number: Mapping[int, Tried] = {t.config.number: t for t in tried}
    searched = _candidates(material, best, tried, oof_of)
    by_number, oofs = look_again(material, by_number, searched, left_s=left_s)
    few = _judge(material, list(oofs.values()), most_rows=SELECTION_ROWS)
    families = {number: by_number[number].config.family for number in oofs}
    blends = blends_for(few, families, seed=material.question.seed)
    if len(few.rows) < FEW_ROWS:
        prefer = replace(prefer, free_micros=FEW_ROWS_FREE * prefer.free_micros)
    found = blends(few, {number: few.take(oof) for number, oof in oofs.items()})
    if oofs is not searched:
        best = by_number[found[0].members[0]]
    judge = _judge(material, list(oofs.values()))
    scores = {number: judge.take(oof) for number, oof in oofs.items()}
    mixes = _mixes(judge, scores, found, best, by_number)
    points = behind_of(judge, mixes, scores, seed=material.question.seed)
    points = _timed(points, by_number, material, fitter, left_s)
    points, pick, nested, gave_way = _pick(
        points, few, oofs, blends=blends, prefer=prefer, most_micros=most_micros
    )
    calibration = choose_calibration(judge, mixed(pick.mix.weights, scores))
    answer = replace(_answer(pick.mix, by_number, material.more_rows), calibration=calibration)
    room = prefer.seed_micros if most_micros is None else min(prefer.seed_micros, most_micros)
    seeds = _seeds(answer, room / pick.micros, fitter, left_s, most=prefer.seeds)
    front = sorted(points, key=lambda p: (not p.is_timed, p.micros, len(p.mix.weights)))
    if seeds > 1:
        answer = answer.with_seeds(seeds)
        pick = pick.measured(*fitter.measure(answer), seeds=seeds)
        front.append(pick)
        front.sort(key=lambda p: (not p.is_timed, p.micros, len(p.mix.weights)))
    whole = sum(weight * oofs[number].astype(np.float64) for number, weight in pick.mix.weights)
    return Chosen(
        answer=answer,
        oof=calibration.apply(np.asarray(whole)).astype(np.float32),
        front=tuple(front),
        pick=pick,
        families={n: by_number[n].config.family for p in front for n in p.mix.members},
        single=mixes[0].score,
        nested=nested,
        reason=NOTHING_BETTER if gave_way else _reason(points, pick, prefer, most_micros),
    )


def _mixes(
    judge: Judge,
    scores: Mapping[int, Scores],
    found: Sequence[Mix],
    best: Tried,
    by_number: Mapping[int, Tried],
) -> list[Mix]:
    """The best configuration, the blends by size, the best configuration of each other family; with
    scores on all the judge's rows."""
    families: dict[str, int] = {}
    for number in scores:  # the best first
        families.setdefault(by_number[number].config.family, number)
    lone = {best.config.number, *(m for mix in found[:1] for m in mix.members), *families.values()}
    ordered = [
        ((best.config.number, 1.0),),
        *(mix.weights for mix in found if len(mix.weights) > 1),
        *(((number, 1.0),) for number in scores if number in lone),
    ]
    return [Mix(weights, judge.score(mixed(weights, scores))) for weights in dict.fromkeys(ordered)]


def _answer(mix: Mix, by_number: Mapping[int, Tried], more_rows: float) -> Answer:
    parts = [replace(_part(by_number[n], more_rows), weight=w) for n, w in mix.weights]
    return Answer(tuple(parts))


def _timed(
    points: Sequence[Point],
    by_number: Mapping[int, Tried],
    material: Material,
    fitter: Fitter,
    left_s: Callable[[], float] | None,
) -> list[Point]:
    """The points with what they cost; those whose last fits the time does not allow, without. The
    first always is."""
    fitted: set[int] = set()
    out: list[Point] = []
    for place, point in enumerate(points):
        new = set(point.mix.members) - fitted
        seconds = sum(
            by_number[n].outcome.seconds * material.last_fit_share(by_number[n].config.family)
            for n in new
        )
        if place > 0 and left_s is not None and seconds > left_s():
            out.append(point)
            continue
        answer = _answer(point.mix, by_number, material.more_rows)
        out.append(point.measured(*fitter.measure(answer)))
        fitted |= new
    return out


class _Picked(NamedTuple):
    """The front, who of it answers, the score of its weights on folds that they have not seen (NaN
    of a single one), and whether a blend gave way to it."""

    points: list[Point]
    pick: Point
    nested: float = float("nan")
    gave_way: bool = False


def _pick(
    points: list[Point],
    few: Judge,
    oofs: Mapping[int, NDArray[np.float32]],
    *,
    blends: Blends,
    prefer: Preference,
    most_micros: float | None,
) -> _Picked:
    """Who answers. A blend that is not better, on folds which its weights have not seen, than the
    configuration that those folds would have chosen alone was chosen by luck: a single one answers.
    Both are chosen without the fold that judges them: the best of hundreds of configurations on its
    own rows flatters itself, too. On few rows it flatters itself so much that only these scores
    count: a blend that is not worse there, by more than a standard error of the folds, is taken for
    the best, whatever a single one has on the rows that it was chosen on."""
    leads = len(few.rows) < FEW_ROWS

    def choose(some: Sequence[Point]) -> Point:
        one, two = (
            choose_point(
                some,
                within=times * prefer.within,
                most_micros=most_micros,
                free_micros=prefer.free_micros,
            )
            for times in (1, 2)
        )
        return one if one.micros <= prefer.dear_micros else two

    blended = [point for point in points if len(point.mix.weights) > 1]
    pick = blended[-1] if leads and blended else choose(points)
    if len(pick.mix.weights) == 1:
        return _Picked(points, pick)
    scores = {number: few.take(oof) for number, oof in oofs.items()}
    values = nested_scores(few, scores, size=len(pick.mix.weights), blends=blends)
    alone = nested_scores(few, scores, size=1, blends=blends)
    gain = np.subtract(values, alone) if few.question.maximize else np.subtract(alone, values)
    gain = gain[~np.isnan(gain)]  # folds that have a score
    # What is measured says that on few rows a blend is better: only a clear no is believed.
    doubt = -float(np.std(gain, ddof=1)) / len(gain) ** 0.5 if leads and len(gain) > 1 else 0.0
    if not (len(gain) and float(np.mean(gain)) > doubt):
        singles = [point for point in points if len(point.mix.weights) == 1]
        return _Picked(points, choose(singles), gave_way=True)
    nested = float(np.nanmean(values))
    if leads:
        first = pick
        points = [
            replace(point, behind=0.0 if point is first else max(point.behind, LED))
            for point in points
        ]
        pick = choose(points)
    return _Picked(points, pick, nested if len(pick.mix.weights) > 1 else float("nan"))


def recalibrated(material: Material, answer: Answer) -> tuple[Answer, NDArray[np.float32] | None]:
    """The same parts on other rows: out-of-fold scores of each, mixed, and a calibration for them.

    Args:
        material: the other rows, and where they are fitted.
        answer: its parts and weights stay.

    Returns:
        The answer with its new calibration, and its out-of-fold scores; None where a part cannot
        be judged.
    """
    work = material.workspace()
    scores: dict[int, Scores] = {}
    for number, part in enumerate(answer.parts):
        config = Config(number, part.family, part.params, must=True)
        placed = material.placement.of_family(part.family).is_asked_for
        oof = (evaluate_placed(material, config) if placed else evaluate(work, config)).oof
        if oof is None:
            return replace(answer, calibration=NO_CALIBRATION), None
        scores[number] = oof.astype(np.float64)
    whole = mixed([(n, part.weight) for n, part in enumerate(answer.parts)], scores)
    if material.question.task is Task.CLUSTERING:
        return answer, whole.astype(np.float32)
    judge = _judge(material, [whole.astype(np.float32)])
    calibration = choose_calibration(judge, whole[judge.rows])
    made = calibration.apply(whole).astype(np.float32)
    return replace(answer, calibration=calibration), made


def _part(tried: Tried, more_rows: float) -> Part:
    return Part.of(
        tried.config.family,
        tried.config.params,
        rounds=tried.outcome.rounds,
        more_rows=more_rows,
    )


def _candidates(
    material: Material, best: Tried, tried: Sequence[Tried], oof_of: OofOf
) -> dict[int, NDArray[np.float32]]:
    """Out-of-fold scores of the best configuration, the best of each family, then the next best;
    only of those that judge the same rows as the best one."""
    question = material.question
    ranked = sorted(
        (t for t in tried if t.config.family != "dummy" and not np.isnan(t.outcome.score)),
        key=lambda t: (-t.outcome.score if question.maximize else t.outcome.score, t.config.number),
    )
    firsts = {t.config.family: t for t in reversed(ranked)}
    of_families = [t for t in ranked if t is firsts[t.config.family]]
    found: dict[int, NDArray[np.float32]] = {}
    known: NDArray[np.bool_] | None = None
    for one in [best, *of_families, *ranked]:
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


def _judge(
    material: Material, oofs: Sequence[NDArray[np.float32]], *, most_rows: int = MAX_JUDGED_ROWS
) -> Judge:
    known = ~np.isnan(oofs[0][:, 0])
    rows = material.rows
    return Judge(material.question, rows.truth, rows.fold, known, most_rows=most_rows)


def _seeds(
    answer: Answer,
    fit_in: float,
    fitter: Fitter,
    left_s: Callable[[], float] | None,
    *,
    most: int,
) -> int:
    """As many as time and microseconds allow; ``fit_in`` is how often the answer's fit in."""
    random = [part for part in answer.parts if FAMILIES[part.family].random]
    if not random:
        return 1
    most = max(1, int(min(most, fit_in)))
    if left_s is None:
        return most
    each = sum(map(fitter.seconds, random))
    return max(1, min(most, 1 + int(left_s() / max(each, 1e-3))))


def _reason(
    points: Sequence[Point], pick: Point, prefer: Preference, most_micros: float | None
) -> str:
    timed = [point for point in points if point.is_timed]
    if len(timed) == 1:
        left_out = any(len(point.mix.weights) > 1 for point in points)
        return NO_TIME if left_out else NOTHING_BETTER
    limit = "" if most_micros is None else f" of those below {most_micros:.0f} us a row"
    faster = any(p.micros < pick.micros and p.behind <= prefer.within for p in timed)
    if faster:  # than is worth anything
        behind = f", {pick.behind:.1f} standard errors behind the best" if pick.behind else ""
        free = f"up to {prefer.free_micros:.0f} us a row all are equally fast"
        return f"the best of {len(timed)}{limit} where {free}{behind}"
    if pick.behind == 0.0:
        nobody = f"none within {prefer.within:g} standard error is faster"
        return f"the best of {len(timed)}{limit}; {nobody}"
    found = f"of the best of {len(timed)}: {pick.behind:.1f} behind"
    if any(
        p.behind <= prefer.within < pick.behind and p.micros > prefer.dear_micros for p in timed
    ):
        nearer = f"what is within {prefer.within:g} takes more than {prefer.dear_micros:.0f} us"
        return f"the fastest{limit} within {2 * prefer.within:g} standard errors {found}; {nearer}"
    return f"the fastest{limit} within {prefer.within:g} standard error {found}"
