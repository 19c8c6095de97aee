"""From a recipe to a model: the last fits, the threshold, the engine, the test rows.

The threshold comes from out-of-fold rows, the engine from a comparison on all training rows; the
sealed test rows are touched once, at the end, by the engine that will answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.evaluation import (
    CalibrationBin,
    Estimate,
    Judged,
    calibration_table,
    davies_bouldin,
    estimate_all,
    measure_all,
    silhouette,
)
from tenfold.features import Preprocessor
from tenfold.features.joined import Joined
from tenfold.features.second import Stage
from tenfold.models import FAMILIES, EngineChoice, Fit, choose_engine
from tenfold.monitor import FrozenBins, LossRule, build_reference
from tenfold.profile import Profile
from tenfold.project.measures import Objective, Task, measures_for
from tenfold.schema import Schema
from tenfold.training.answer import Answer
from tenfold.training.conform import Conformed, conform
from tenfold.training.ensemble import Chosen
from tenfold.training.fitter import Fitter
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows
from tenfold.training.search import Material
from tenfold.training.study import Segments, study_segments

__all__ = ["Finished", "class_names", "finish", "judge_rows"]


@dataclass(frozen=True, slots=True)
class Finished:
    """A model with everything that its artifact and card say about it.

    Attributes:
        answer: the recipe.
        preprocessor: fitted on all training rows.
        engine: the scoring engine with the files.
        classes: names of the score columns, () for regression.
        threshold: binary only.
        metrics: on the sealed test rows.
        baseline: the dummy's, on the same rows.
        cross_validation: means of the folds' out-of-fold rows.
        calibration: of the positive class (binary) or the answered class, on the test rows.
        profile: of all training rows.
        reference: bytes of ``reference.json``.
        stage: what was constructed and selected.
        n_training: rows the last fit's statistics come from.
        n_test: sealed rows judged.
        chosen: why this answer; None where it was given, as in a refit.
        conformed: intervals or sets; None for a clustering and where no row was judged.
        segments: of a clustering: whether there are any, and what marks them.
    """

    answer: Answer
    preprocessor: Preprocessor | Joined
    engine: EngineChoice
    classes: tuple[str, ...]
    threshold: float | None
    metrics: dict[str, Estimate]
    baseline: dict[str, float]
    cross_validation: dict[str, float]
    calibration: tuple[CalibrationBin, ...]
    profile: Profile
    reference: bytes
    stage: Stage
    n_training: int
    n_test: int
    chosen: Chosen | None = None
    segments: Segments | None = None
    conformed: Conformed | None = None

    @property
    def family(self) -> str:
        """Of the model: a name in the table of families, or ``blend``."""
        return self.answer.family

    @property
    def params(self) -> dict[str, Any]:
        """Of the last fits, JSON values."""
        return self.answer.params


def finish(
    material: Material,
    test: TrainingRows,
    answer: Answer,
    *,
    oof: NDArray[np.float32] | None,
    block_rows: int = 500,
    fitter: Fitter | None = None,
    chosen: Chosen | None = None,
) -> Finished:
    """Make the model.

    Args:
        material: training rows in hash order, profiles, question.
        test: the sealed rows.
        answer: the recipe.
        oof: its out-of-fold scores (n_rows, k), mixed and calibrated, NaN where no fold judged;
            None keeps .5.
        block_rows: of the monitor's reference.
        fitter: what was fitted already; fits in this process by default.
        chosen: why this answer, for the card.
    """
    question, fits = material.question, fitter or Fitter(material)
    built = fits.build(answer)
    prep, profile = built.preprocessor, fits.profile()
    # From here on a row is what a request is: the columns that the model asks for.
    rows, test = (replace(some, codes=built.narrow(some.codes)) for some in (material.rows, test))
    engine = choose_engine(built.model, prep.transform_codes(rows.codes))
    threshold, cross = _from_oof(question, rows, oof)
    scores = engine.score(prep.transform_codes(test.codes))
    judged = question.judge(test.truth, scores, threshold)
    metrics = judge_rows(judged, prep.transform_codes(test.codes), seed=question.seed)
    segments = _segments(material, answer, prep, rows, engine)
    if segments is not None:
        metrics["stability"] = Estimate(segments.structure.stability, float("nan"), float("nan"))
    return Finished(
        answer=answer,
        preprocessor=prep,
        engine=engine,
        classes=class_names(question, answer),
        threshold=threshold,
        metrics=metrics,
        baseline=_baseline(question, rows, test),
        cross_validation=cross,
        calibration=_calibration(judged),
        profile=profile,
        reference=_reference(rows, profile, test, judged, built.schema, block_rows=block_rows),
        stage=built.stage,
        n_training=profile.n_rows,
        n_test=test.n_rows,
        chosen=chosen,
        segments=segments,
        conformed=conform(question, rows, oof, judged),
    )


def _segments(
    material: Material,
    answer: Answer,
    prep: Preprocessor | Joined,
    rows: TrainingRows,
    engine: EngineChoice,
) -> Segments | None:
    if material.question.task is not Task.CLUSTERING:
        return None
    labels = engine.score(prep.transform_codes(rows.codes)).argmax(axis=1)
    return study_segments(
        material.question,
        answer.parts[0],
        prep,
        rows.codes,
        np.asarray(labels, dtype=np.int64),
        names=class_names(material.question, answer),
        threads=material.threads,
    )


def class_names(question: Question, answer: Answer) -> tuple[str, ...]:
    """Names of the score columns: classes, or segments numbered by size."""
    if question.task is Task.CLUSTERING:
        k = int(answer.parts[0].params["k"])
        return tuple(f"segment-{number + 1}" for number in range(k))
    return question.classes


def judge_rows(
    judged: Judged, matrix: NDArray[np.float32], *, seed: int = 0
) -> dict[str, Estimate]:
    """Every measure of held-out rows with its interval; for segments, how far they stand apart."""
    if judged.task is Task.CLUSTERING:
        labels, nan = judged.scores.argmax(axis=1), float("nan")
        return {
            "silhouette": Estimate(silhouette(matrix, labels), nan, nan),
            "davies_bouldin": Estimate(davies_bouldin(matrix, labels), nan, nan),
        }
    fitting = measures_for(judged.task, objective=judged.objective)
    names = [name for name in fitting if not name.startswith("latency")]
    return estimate_all(tuple(names), judged, seed=seed)


def _from_oof(
    question: Question, rows: TrainingRows, oof: NDArray[np.float32] | None
) -> tuple[float | None, dict[str, float]]:
    """Threshold and pooled measures of the out-of-fold rows."""
    if question.task is Task.CLUSTERING:
        return None, {}
    if oof is None:
        return (0.5 if question.task is Task.BINARY else None), {}
    known = ~np.isnan(oof[:, 0])
    scores = oof[known].astype(np.float64)
    threshold = question.threshold(scores, rows.truth[known])
    return threshold, measure_all(question.judge(rows.truth[known], scores, threshold))


def _baseline(question: Question, rows: TrainingRows, test: TrainingRows) -> dict[str, float]:
    """What an answer without features is worth on the test rows."""
    dummy = FAMILIES["dummy"]
    if question.task.value not in dummy.tasks:
        return {}
    nothing = np.zeros((rows.n_rows, 1), dtype=np.float32)
    k = len(question.classes)
    model = dummy.fit(
        Fit(
            nothing,
            rows.truth,
            question.task.value,
            k,
            {},
            0,
            1,
            None,
            rows.weights,
            objective=question.objective.value,
            quantile=question.quantile,
        )
    )
    scores = model.predict(np.zeros((test.n_rows, 1), dtype=np.float32))
    threshold = 0.5 if question.task is Task.BINARY else None
    return measure_all(question.judge(test.truth, scores, threshold))


def _calibration(judged: Judged) -> tuple[CalibrationBin, ...]:
    if judged.task is Task.BINARY:
        return calibration_table(judged.scores[:, 1], judged.truth == 1)
    if judged.task is Task.MULTICLASS:
        answered = judged.scores.argmax(axis=1)
        return calibration_table(judged.scores.max(axis=1), answered == judged.truth)
    return ()


def _reference(
    rows: TrainingRows,
    profile: Profile,
    test: TrainingRows,
    judged: Judged,
    schema: Schema,
    *,
    block_rows: int,
) -> bytes:
    """The monitor's reference: features of the training rows, scores and losses of the sealed rows,
    all in the order of the source."""
    training = rows.take(np.argsort(rows.position, kind="stable"))
    order = np.argsort(test.position, kind="stable")
    rule, losses = None, None
    if judged.task is not Task.CLUSTERING:
        answered: NDArray[Any] = judged.scores[:, 0] if judged.decided is None else judged.decided
        level = judged.quantile if judged.objective is Objective.QUANTILE else None
        rule = LossRule.fit(judged.task.value, answered[order], judged.truth[order], quantile=level)
        losses = rule.losses(answered[order], judged.truth[order])
    made = build_reference(
        FrozenBins.freeze(schema, profile),
        training.codes,
        scores=judged.scores[order],
        losses=losses,
        rule=rule,
        block_rows=block_rows,
    )
    return made.to_bytes()
