"""One configuration over all folds: the unit of work of a search.

Nothing fitted has seen a row it is judged on: the preprocessor of a fold is fitted from the merged
profiles of its training folds (what it takes from the target not even from a training row's own
fold, see `CrossFit`), the rows that stop a fit early are a part of the *training* rows, and a
threshold that a metric needs comes from the other folds' out-of-fold rows.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.evaluation import Judged, measure, silhouette
from tenfold.features import CrossFit, Recipe
from tenfold.features.second import Stage
from tenfold.models import FAMILIES, Fit, FitStopped, n_outputs
from tenfold.profile import Profile
from tenfold.project.measures import Task
from tenfold.schema import Schema
from tenfold.training.folds import FoldUse
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows

__all__ = ["Config", "Outcome", "Workspace", "evaluate", "n_classes_of", "stopping_rows"]

STOP_EVERY = 10
"""One training row in ten decides when a fit stops: enough to see the bend, little to give away."""
CACHE_BYTES = 1024**3
"""Prepared matrices a session keeps; beyond it the least recently used fold is prepared again."""


@dataclass(frozen=True, slots=True)
class Config:
    """What to try. ``number`` counts from 0, the baseline."""

    number: int
    family: str
    params: Mapping[str, Any]
    must: bool = False
    """Whether it runs to its end even when the time is up: the first models of a search."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a configuration.

    Attributes:
        number: the configuration's.
        score: mean of the folds, NaN if it failed or was stopped.
        fold_scores: one a fold.
        rounds: mean rounds that the folds' models kept.
        seconds: wall time.
        oof: out-of-fold scores float32 (n_rows, k) in the order of the training rows, NaN for rows
            that no fold judges (slice 0 of ordered rows); None if it failed.
        error: why there is no score.
    """

    number: int
    score: float
    fold_scores: tuple[float, ...] = ()
    rounds: int = 0
    seconds: float = 0.0
    oof: NDArray[np.float32] | None = field(default=None, repr=False)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class FoldData:
    """A fold prepared for one recipe."""

    fit: NDArray[np.float32]
    fit_truth: NDArray[Any]
    fit_weights: NDArray[np.float64] | None
    stop: tuple[NDArray[np.float32], NDArray[Any]] | None
    judged: NDArray[np.float32]
    judged_rows: NDArray[np.int64]
    cache: dict[Any, Any]

    @property
    def size_bytes(self) -> int:
        """Bytes of the matrices."""
        return int(self.fit.nbytes + self.judged.nbytes + (self.stop[0].nbytes if self.stop else 0))


class Workspace:
    """Training rows with what was prepared from them: one a session, used by one thread.

    Args:
        rows: training rows in hash order, without the sealed ones.
        profiles: one a fold.
        schema: of the snapshot.
        question: what is asked.
        threads: threads of each fit, the same wherever the search runs.
        stages: what was constructed and selected for each set of folds that is fitted on, see
            `tenfold.training.making`; a set that is absent has nothing but its profile.
    """

    def __init__(
        self,
        rows: TrainingRows,
        *,
        profiles: Mapping[int, Profile],
        schema: Schema,
        question: Question,
        threads: int,
        stages: Mapping[tuple[int, ...], Stage] | None = None,
    ) -> None:
        self.rows = rows
        self.profiles = profiles
        self.schema = schema
        self.question = question
        self.threads = threads
        self._stages: dict[tuple[int, ...], Stage] = dict(stages or {})
        self._prepared: OrderedDict[Any, FoldData] = OrderedDict()

    def stage(self, folds: tuple[int, ...]) -> Stage:
        """What stands between the codes of the rows and the operations fitted on some folds."""
        if folds not in self._stages:
            profiles = {fold: self.profiles[fold] for fold in folds}
            self._stages[folds] = Stage(self.schema, profiles)
        return self._stages[folds]

    def crossfit(self, folds: tuple[int, ...], recipe: Recipe) -> CrossFit:
        """The preparation fitted on some folds, from their profiles and their stage; it reads the
        codes that the stage's `narrow` gives."""
        return self.stage(folds).crossfit(recipe, ordered=self.question.ordered)

    def fold(self, use: FoldUse, recipe: Recipe, *, stops_early: bool) -> FoldData:
        """The matrices of one split."""
        key = (use, tuple(sorted(recipe.to_dict().items())), stops_early)
        if key in self._prepared:
            self._prepared.move_to_end(key)
            return self._prepared[key]
        made = self._prepare(use, recipe, stops_early=stops_early)
        self._prepared[key] = made
        while (
            len(self._prepared) > 1
            and sum(data.size_bytes for data in self._prepared.values()) > CACHE_BYTES
        ):
            self._prepared.popitem(last=False)
        return made

    def _prepare(self, use: FoldUse, recipe: Recipe, *, stops_early: bool) -> FoldData:
        rows = self.rows
        prep = self.crossfit(use.train, recipe)
        codes = self.stage(use.train).narrow(rows.codes)
        inside = np.flatnonzero(np.isin(rows.fold, use.train))
        judged = np.flatnonzero(rows.fold == use.valid)
        hold = stopping_rows(rows.position[inside], ordered=self.question.ordered)
        hold = hold if stops_early else np.zeros(len(inside), dtype=bool)
        fit, stop = inside[~hold], inside[hold]
        return FoldData(
            fit=prep.transform_training(codes[fit], rows.fold[fit]),
            fit_truth=rows.truth[fit],
            fit_weights=None if rows.weights is None else rows.weights[fit],
            stop=(prep.transform_training(codes[stop], rows.fold[stop]), rows.truth[stop])
            if len(stop)
            else None,
            judged=prep.served.transform_codes(codes[judged]),
            judged_rows=judged,
            cache={},
        )


def stopping_rows(position: NDArray[np.int64], *, ordered: bool) -> NDArray[np.bool_]:
    """Which training rows decide when to stop: every tenth by hash, or the newest tenth of ordered
    rows; none when there are too few.

    >>> int(stopping_rows(np.arange(100), ordered=True).sum())
    10
    """
    n = len(position)
    hold = np.zeros(n, dtype=bool)
    if n < 5 * STOP_EVERY:
        return hold
    if ordered:
        hold[np.argsort(position, kind="stable")[-(n // STOP_EVERY) :]] = True
    else:
        hold[::STOP_EVERY] = True
    return hold


def n_classes_of(question: Question, params: Mapping[str, Any]) -> int:
    """Classes of a fit: the target's, or the segments a configuration asks for."""
    return int(params["k"]) if question.task is Task.CLUSTERING else len(question.classes)


def evaluate(work: Workspace, config: Config, *, stop: Callable[[], bool] | None = None) -> Outcome:
    """Fit and judge a configuration on every fold.

    A family's own errors (parameters that do not fit the rows) are outcomes, not exceptions: a
    search goes on without that configuration.
    """
    began = time.monotonic()
    try:
        return _evaluate(work, config, None if config.must else stop, began)
    except FitStopped:
        return Outcome(config.number, float("nan"), error="the time was up")
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        return Outcome(config.number, float("nan"), error=f"{type(error).__name__}: {error}")


def _evaluate(
    work: Workspace, config: Config, stop: Callable[[], bool] | None, began: float
) -> Outcome:
    question, family = work.question, FAMILIES[config.family]
    recipe = Recipe(**family.recipe(config.params))
    k = n_outputs(question.task, n_classes_of(question, config.params))
    oof = np.full((work.rows.n_rows, k), np.nan, dtype=np.float32)
    rounds: list[int] = []
    segments: list[float] = []
    for use in question.folds:
        data = work.fold(use, recipe, stops_early=family.stops_early)
        model = family.fit(_fit_of(work, config, data, stop))
        scores = model.predict(data.judged)
        oof[data.judged_rows] = scores
        rounds.append(model.rounds)
        if question.task is Task.CLUSTERING:
            segments.append(silhouette(data.judged, scores.argmax(axis=1)))
    fold_scores = tuple(segments) or _fold_scores(work, oof)
    return Outcome(
        number=config.number,
        score=float(np.mean(fold_scores)),
        fold_scores=fold_scores,
        rounds=round(float(np.mean(rounds))),
        seconds=time.monotonic() - began,
        oof=oof,
    )


def _fit_of(
    work: Workspace, config: Config, data: FoldData, stop: Callable[[], bool] | None
) -> Fit:
    question = work.question
    return Fit(
        matrix=data.fit,
        target=data.fit_truth,
        task=question.task.value,
        n_classes=n_classes_of(question, config.params),
        params=config.params,
        seed=question.seed,
        threads=work.threads,
        valid=data.stop,
        weights=data.fit_weights,
        stop=stop,
        cache=data.cache,
    )


def _fold_scores(work: Workspace, oof: NDArray[np.float32]) -> tuple[float, ...]:
    """The metric of each fold; its threshold, if any, comes from the other folds."""
    question, rows = work.question, work.rows
    scores = oof.astype(np.float64)
    out = []
    for use in question.folds:
        here = rows.fold == use.valid
        others = ~here & ~np.isnan(scores[:, 0])
        threshold = question.threshold(scores[others], rows.truth[others])
        judged: Judged = question.judge(rows.truth[here], scores[here], threshold)
        out.append(measure(question.metric, judged))
    return tuple(out)
