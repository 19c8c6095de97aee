"""What a fitted clustering is told of: whether there are segments, and what marks each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.features.preprocessor import Prepares
from tenfold.models import Fit
from tenfold.training.answer import Part
from tenfold.training.portraits import Portrait, paint
from tenfold.training.question import Question
from tenfold.training.segments import Structure, find_structure, refit_with

__all__ = ["Segments", "bare_fit", "study_segments"]


@dataclass(frozen=True, slots=True)
class Segments:
    """What a clustering found."""

    structure: Structure
    portraits: tuple[Portrait, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        portraits = [portrait.to_dict() for portrait in self.portraits]
        return self.structure.to_dict() | {"segments": portraits}


def bare_fit(question: Question, params: Any, *, threads: int, **more: Any) -> Fit:
    """All of a clustering's fit but its rows."""
    return Fit(
        matrix=np.zeros((0, 0), dtype=np.float32),
        target=np.zeros(0, dtype=np.int64),
        task=question.task.value,
        n_classes=int(params["k"]),
        params=params,
        seed=question.seed,
        threads=threads,
        **more,
    )


def study_segments(
    question: Question,
    part: Part,
    prep: Prepares,
    codes: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    names: Sequence[str],
    threads: int,
) -> Segments:
    """Compare the cut with rows without structure, and paint each segment.

    Args:
        question: of the clustering.
        part: the configuration that answers.
        prep: its preparation, fitted on all training rows.
        codes: of the training rows in hash order, (n_rows, `code_width`).
        labels: the segments that the model gives them, (n_rows,).
        names: of the segments, one a number.
        threads: of each refit.
    """
    refit = refit_with(part.family, bare_fit(question, part.params, threads=threads))
    structure = find_structure(refit, prep, codes, k=len(names), seed=question.seed)
    return Segments(structure, paint(prep.schema, codes, labels, names))
