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
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.cluster.placement import ON_CPU, Placement
from tenfold.errors import DataError
from tenfold.evaluation import Judged, measure, silhouette
from tenfold.features import CrossFit, Recipe
from tenfold.features.second import Stage
from tenfold.models import COLUMNS, FAMILIES, Fit, FitStopped, fitting, n_outputs
from tenfold.profile import Profile
from tenfold.project.measures import Task
from tenfold.schema import Schema
from tenfold.training.folds import STOP_EVERY, FoldUse
from tenfold.training.narrow import narrowed
from tenfold.training.native import checked_slots
from tenfold.training.question import THRESHOLD_METRICS, Question
from tenfold.training.rows import TrainingRows

__all__ = [
    "Bar",
    "Config",
    "Fate",
    "Outcome",
    "Workspace",
    "directions_of",
    "evaluate",
    "n_classes_of",
    "objective_of",
    "stopping_rows",
]

LOOK_STEP, LOOK_SEED = 3, 100_003
"""What another look at a configuration changes, see `Workspace`: which rows of ten, the seed."""
CACHE_BYTES = 1024**3
"""Prepared matrices a session keeps; beyond it the least recently used fold is prepared again."""
CURVE_POINTS = 50
"""Points of a learning curve that are kept: as many as a person sees."""


class Fate(StrEnum):
    """What became of a configuration."""

    SCORED = "scored"
    PRUNED = "pruned"
    """Stopped after some folds: others were better on the same ones."""
    STOPPED = "stopped"
    """The time was up."""
    FAILED = "failed"
    """It raised."""
    DIVERGED = "diverged"
    """Its scores were not finite."""
    DIED = "died"
    """Its process ended: out of memory, or a crash in native code."""
    HUNG = "hung"
    """It took far longer than was predicted and was killed."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a configuration must reach to go on: ``score`` in the mean of its first ``folds``."""

    folds: int
    score: float


@dataclass(frozen=True, slots=True)
class Config:
    """What to try.

    Attributes:
        number: counts from 0, the baseline.
        family: name in the table of families.
        params: of its fit and its preparation.
        must: whether it runs on for some seconds when the time is up: the first models of a search.
        bars: after which folds it stops unless it is good enough; () for none.
    """

    number: int
    family: str
    params: Mapping[str, Any]
    must: bool = False
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a configuration.

    Attributes:
        number: the configuration's.
        score: mean of the folds that can be judged (one class alone has no rank), NaN if it failed
            or was stopped.
        fold_scores: one a fold; () if it failed or was stopped.
        early: one a fold that was judged before it ended, each as if it stood alone: what bars are
            compared with.
        rounds: mean rounds that the folds' models kept, of those that had rows to stop them; 0 for
            none.
        seconds: wall time.
        oof: out-of-fold scores float32 (n_rows, k) in the order of the training rows, NaN for rows
            that no fold judges (slice 0 of ordered rows); None if it failed.
        error: why there is no score.
        fate: what became of it.
        curve: (round or epoch, loss on the stopping rows) of the first fold's fit, thinned.
    """

    number: int
    score: float
    fold_scores: tuple[float, ...] = ()
    rounds: int = 0
    seconds: float = 0.0
    oof: NDArray[np.float32] | None = field(default=None, repr=False)
    error: str | None = None
    fate: Fate = Fate.SCORED
    early: tuple[float, ...] = ()
    curve: tuple[tuple[int, float], ...] = field(default=(), repr=False)

    @classmethod
    def failure(cls, number: int, error: str, fate: Fate, **more: Any) -> Outcome:
        """One without a score.

        >>> Outcome.failure(3, "ValueError: no", Fate.FAILED).score
        nan
        """
        return cls(number, float("nan"), error=error, fate=fate, **more)


@dataclass(frozen=True, slots=True)
class FoldData:
    """A fold prepared for one recipe."""

    fit: NDArray[np.float32]
    fit_truth: NDArray[Any]
    fit_weights: NDArray[np.float64] | None
    stop: tuple[NDArray[np.float32], NDArray[Any]] | None
    judged: NDArray[np.float32]
    judged_rows: NDArray[np.int64]
    names: tuple[str, ...]
    slots: tuple[int, ...]
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
        placement: the devices of the families; its owner has asked Ray for them.
        look: 0 for a search; with another number the same configurations are fitted with another
            seed and stopped by other rows, so that luck is drawn again.
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
        placement: Placement = ON_CPU,
        look: int = 0,
    ) -> None:
        self.rows = rows
        self.profiles = profiles
        self.schema = schema
        self.question = question
        self.threads = threads
        self.placement = placement
        self.look = look
        self._stages: dict[tuple[int, ...], Stage] = dict(stages or {})
        self._prepared: OrderedDict[Any, FoldData] = OrderedDict()

    def stage(self, folds: tuple[int, ...], *, columns: float = 1.0) -> Stage:
        """What stands between the codes of the rows and the operations fitted on some folds; with
        ``columns`` below 1, that share of the features only."""
        if folds not in self._stages:
            profiles = {fold: self.profiles[fold] for fold in folds}
            self._stages[folds] = Stage(self.schema, profiles)
        return narrowed(self._stages[folds], columns)

    def crossfit(self, folds: tuple[int, ...], recipe: Recipe, *, columns: float = 1.0) -> CrossFit:
        """The preparation fitted on some folds, from their profiles and their stage; it reads the
        codes that the stage's `narrow` gives."""
        stage = self.stage(folds, columns=columns)
        return stage.crossfit(recipe, ordered=self.question.ordered)

    def fold(
        self, use: FoldUse, recipe: Recipe, *, stops_early: bool, columns: float = 1.0
    ) -> FoldData:
        """The matrices of one split."""
        key = (use, tuple(sorted(recipe.to_dict().items())), stops_early, columns)
        if key in self._prepared:
            self._prepared.move_to_end(key)
            return self._prepared[key]
        made = self._prepare(use, recipe, stops_early=stops_early, columns=columns)
        self._prepared[key] = made
        while (
            len(self._prepared) > 1
            and sum(data.size_bytes for data in self._prepared.values()) > CACHE_BYTES
        ):
            self._prepared.popitem(last=False)
        return made

    def _prepare(
        self, use: FoldUse, recipe: Recipe, *, stops_early: bool, columns: float
    ) -> FoldData:
        rows = self.rows
        stage = self.stage(use.train, columns=columns)
        prep = stage.crossfit(recipe, ordered=self.question.ordered)
        codes = stage.narrow(rows.codes)
        inside = np.flatnonzero(np.isin(rows.fold, use.train))
        judged = np.flatnonzero(rows.fold == use.valid)
        hold = stopping_rows(
            rows.position[inside],
            ordered=self.question.ordered,
            look=self.look,
            cases=rows.cases[inside],
        )
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
            names=prep.served.feature_names,
            slots=prep.served.slots,
            cache={},
        )


def stopping_rows(
    position: NDArray[np.int64],
    *,
    ordered: bool,
    look: int = 0,
    cases: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """Which training rows decide when to stop: every tenth by hash, equal rows together, or the
    newest tenth of ordered rows; none when there are too few.

    Args:
        position: place in time, shape (n_rows,).
        ordered: whether that counts.
        look: another number, other rows.
        cases: the case of each row in hash order; by default all rows differ.

    >>> int(stopping_rows(np.arange(100), ordered=True).sum())
    10
    """
    n = len(position)
    hold = np.zeros(n, dtype=bool)
    if not n:
        return hold
    new = np.ones(n, dtype=bool)
    if cases is not None:
        new[1:] = cases[1:] != cases[:-1]
    case = np.cumsum(new) - 1
    if case[-1] + 1 < 5 * STOP_EVERY:
        return hold
    if ordered:
        hold[np.argsort(position, kind="stable")[-(n // STOP_EVERY) :]] = True
    else:
        hold[case % STOP_EVERY == LOOK_STEP * look % STOP_EVERY] = True
    return hold


def n_classes_of(question: Question, params: Mapping[str, Any]) -> int:
    """Classes of a fit: the target's, or the segments a configuration asks for."""
    return int(params["k"]) if question.task is Task.CLUSTERING else len(question.classes)


def objective_of(question: Question, family: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a `Fit` that say what is asked of a regression and which way it must go.

    Args:
        question: what is asked.
        family: that is to be fitted.
        names: of the features.

    Raises:
        DataError: the family cannot do that.
    """
    if question.objective not in FAMILIES[family].objectives:
        raise DataError(
            f"a {question.objective} needs a family that fits it, {family} does not; train again"
        )
    return {
        "objective": question.objective.value,
        "quantile": question.quantile,
        "monotone": directions_of(question, family, names),
    }


def directions_of(question: Question, family: str, names: tuple[str, ...]) -> tuple[int, ...]:
    """Which way an answer must go with each feature, see `Fit.monotone`; () where it is free.

    Args:
        question: with the columns that are declared monotone.
        family: that is to be fitted.
        names: of the features; a number that a family holds is one feature of the same name.

    Raises:
        DataError: the family cannot hold it.
    """
    if not question.monotone:
        return ()
    if not FAMILIES[family].monotone:
        columns = ", ".join(name for name, _direction in question.monotone)
        raise DataError(
            f"monotone columns ({columns}) need a family that holds them, {family} does not; "
            "train again"
        )
    declared = dict(question.monotone)
    return tuple(declared.get(name, 0) for name in names)


def evaluate(work: Workspace, config: Config, *, stop: Callable[[], bool] | None = None) -> Outcome:
    """Fit and judge a configuration on every fold.

    Whatever a family raises is an outcome, not an exception: a search goes on without that
    configuration.

    Args:
        work: rows, and what was prepared of them before.
        config: what to try.
        stop: is asked now and then; True ends it with `Fate.STOPPED`.
    """
    trial = _Trial(work, config, stop)
    try:
        fate, error = trial.run()
    except FitStopped:
        fate, error = Fate.STOPPED, "the time was up"
    except MemoryError as fault:
        fate, error = Fate.FAILED, f"out of memory: {fault}".rstrip(": ")
    except Exception as fault:  # noqa: BLE001 - a family may come from anybody
        fate, error = Fate.FAILED, f"{type(fault).__name__}: {fault}"
    return trial.outcome(fate, error)


class _Trial:
    """One configuration under way: what it has of each fold so far."""

    def __init__(self, work: Workspace, config: Config, stop: Callable[[], bool] | None) -> None:
        self._work, self._config, self._stop = work, config, stop
        self._family = FAMILIES[config.family]
        self._began = time.monotonic()
        self._scores: list[float] = []
        self._early: list[float] = []
        self._rounds: list[int] = []
        self._curve: list[tuple[int, float]] = []
        k = n_outputs(work.question.task, n_classes_of(work.question, config.params))
        self._oof = np.full((work.rows.n_rows, k), np.nan, dtype=np.float32)

    def run(self) -> tuple[Fate, str | None]:
        """Fold by fold, as far as the bars let it."""
        question, family = self._work.question, self._family
        recipe = Recipe(**family.recipe(self._config.params))
        columns = float(self._config.params.get(COLUMNS, 1.0))
        bars = {bar.folds: bar.score for bar in self._config.bars}
        for n_done, use in enumerate(question.folds, start=1):
            data = self._work.fold(use, recipe, stops_early=family.stops_early, columns=columns)
            model = family.fit(self._fit_of(data))
            scores = model.predict(data.judged)
            if not np.isfinite(scores).all():
                return Fate.DIVERGED, f"the scores of fold {use.valid} are not finite"
            self._oof[data.judged_rows] = scores
            if data.stop is not None:
                self._rounds.append(model.rounds)
            self._early.append(self._early_score(data, scores))
            bar = bars.get(n_done)
            so_far = float(np.mean(self._early))
            if bar is not None and np.isfinite(so_far) and question.better(bar, so_far):
                return Fate.PRUNED, f"behind after {n_done} of {len(question.folds)} folds"
        segments = question.task is Task.CLUSTERING
        self._scores = self._early if segments else _fold_scores(self._work, self._oof)
        if not np.isfinite(self._scores).any():
            return Fate.DIVERGED, f"{question.metric} is not finite"
        return Fate.SCORED, None

    def outcome(self, fate: Fate, error: str | None) -> Outcome:
        """What came of it."""
        scored = fate is Fate.SCORED
        return Outcome(
            number=self._config.number,
            score=float(np.nanmean(self._scores)) if scored else float("nan"),
            fold_scores=tuple(self._scores) if scored else (),
            rounds=round(float(np.mean(self._rounds))) if self._rounds else 0,
            seconds=time.monotonic() - self._began,
            oof=self._oof if scored else None,
            error=error,
            fate=fate,
            early=tuple(self._early),
            curve=thinned(self._curve),
        )

    def _early_score(self, data: FoldData, scores: NDArray[np.float64]) -> float:
        """The metric of one fold when the others may not be there yet: a threshold, if any, is then
        its own, which flatters every configuration alike."""
        question = self._work.question
        if question.task is Task.CLUSTERING:
            return silhouette(data.judged, scores.argmax(axis=1))
        truth = self._work.rows.truth[data.judged_rows]
        threshold = 0.5 if question.task is Task.BINARY else None
        if question.metric in THRESHOLD_METRICS:
            threshold = question.threshold(scores, truth)
        return measure(question.metric, question.judge(truth, scores, threshold))

    def _fit_of(self, data: FoldData) -> Fit:
        question, config = self._work.question, self._config
        first = not self._early
        return Fit(
            matrix=data.fit,
            target=data.fit_truth,
            task=question.task.value,
            n_classes=n_classes_of(question, config.params),
            params=fitting(config.params),
            seed=question.seed + LOOK_SEED * self._work.look,
            threads=self._work.threads,
            valid=data.stop,
            weights=data.fit_weights,
            stop=self._stop,
            **objective_of(question, config.family, data.names),
            slots=checked_slots(config.family, data.slots),
            device=self._work.placement.device(config.family),
            precision=self._work.placement.precision_of(config.family),
            cache=data.cache,
            heard=(lambda n, loss: self._curve.append((n, loss))) if first else None,
        )


def thinned(curve: list[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """At most `CURVE_POINTS` points, evenly spread, the first and the last among them.

    >>> thinned([(1, 0.5), (2, 0.4)])
    ((1, 0.5), (2, 0.4))
    >>> len(thinned([(n, 0.0) for n in range(800)]))
    50
    """
    if len(curve) <= CURVE_POINTS:
        return tuple(curve)
    places = np.linspace(0, len(curve) - 1, CURVE_POINTS).round().astype(int)
    return tuple(curve[place] for place in places)


def _fold_scores(work: Workspace, oof: NDArray[np.float32]) -> list[float]:
    """The metric of each fold, its threshold, if any, from the other folds; where no fold can be
    judged alone (a class of very few rows), that of all rows together."""
    question, rows = work.question, work.rows
    scores = oof.astype(np.float64)
    known = ~np.isnan(scores[:, 0])
    out = []
    for use in question.folds:
        here = rows.fold == use.valid
        others = ~here & known
        threshold = question.threshold(scores[others], rows.truth[others])
        judged: Judged = question.judge(rows.truth[here], scores[here], threshold)
        out.append(measure(question.metric, judged))
    if np.isfinite(out).any():
        return out
    threshold = question.threshold(scores[known], rows.truth[known])
    return [measure(question.metric, question.judge(rows.truth[known], scores[known], threshold))]
