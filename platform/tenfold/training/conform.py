"""The intervals or sets of a model, from its out-of-fold rows, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tenfold.evaluation import Coverage, Intervals, Judged, Sets, cross_coverage
from tenfold.project.measures import Task
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows

__all__ = ["Conformed", "conform"]

TOLD_LEVELS: Final = (0.8, 0.9, 0.95)
"""On the card; a request may ask for any."""


@dataclass(frozen=True, slots=True)
class Conformed:
    """Limits with what they are worth.

    Attributes:
        table: for the artifact.
        folds: of each told level, on every fold by the limits of the others.
        sealed: of the same levels, on the sealed rows by all limits.
    """

    table: Intervals | Sets
    folds: tuple[Coverage, ...]
    sealed: tuple[Coverage, ...]

    def facts(self) -> list[tuple[str, str]]:
        """For the card: what, and is."""
        n_rows = self.table.n_rows
        if isinstance(self.table, Intervals):
            made = f"{n_rows:,} out-of-fold rows, in {len(self.table.edges) + 1} bins of the answer"
            size = "mean width"
        else:
            each = "each class has its own limit" if self.table.own else "one limit for all classes"
            made = f"{n_rows:,} out-of-fold rows; {each}"
            size = "mean classes"
        pairs = [("made of", made)]
        for where, found in (("folds", self.folds), ("sealed rows", self.sealed)):
            pairs += [
                (f"{told.level:.0%}, {where}", f"covers {told.share:.1%}, {size} {told.size:.4g}")
                for told in found
            ]
        law = "for rows like those of training, all together: not after drift, nor in each part"
        return [*pairs, ("law", law)]


def conform(
    question: Question, rows: TrainingRows, oof: NDArray[np.float32] | None, test: Judged
) -> Conformed | None:
    """Limits from the rows that a fold judged; None where there are none, or no truth.

    Args:
        question: what is predicted.
        rows: of training.
        oof: their out-of-fold scores (n_rows, k), NaN where no fold judged.
        test: the sealed rows, answered.
    """
    if oof is None or question.task is Task.CLUSTERING:
        return None
    known = ~np.isnan(oof[:, 0])
    if not known.any():
        return None
    scores = oof[known].astype(np.float64)
    truth: NDArray[Any] = rows.truth[known]
    kind: type[Intervals | Sets] = Intervals if question.task is Task.REGRESSION else Sets
    table = kind.fit(scores, truth)
    most = table.max_level
    if most is None:
        return None
    levels = [level for level in TOLD_LEVELS if level <= most]
    folds = [cross_coverage(kind, scores, truth, rows.fold[known], level) for level in levels]
    sealed = [table.coverage(test.scores, test.truth, level) for level in levels]
    return Conformed(
        table,
        tuple(told for told in folds if told is not None),
        tuple(sealed) if test.n_rows else (),
    )
