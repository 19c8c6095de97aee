"""Small boosters over parts of the training rows: what columns are worth, together and each.

Trees take raw codes, missing values and noise columns as they come, so one small booster judges
columns for every family. Each fit has one thread and a fixed seed: the same rows give the same bits
on any machine; fits stand side by side instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.models import TargetMap
from tenfold.models.boosting import booster_params

__all__ = ["MAX_CELLS", "MAX_ROWS", "Judge", "Verdict", "learned_truth", "parts_of_rows"]

MAX_ROWS = 20_000
"""Rows a booster sees: what stands out of noise on fewer is what a model can use."""
MAX_CELLS = 4_000_000
"""Rows times columns: half a second a fit on one slow core, whatever the table's width."""
N_PARTS = 3
ROUNDS = 40
MIN_ROUNDS, MAX_TREES = 5, 400
"""Several classes grow a tree each per round; from 11 on there are fewer rounds (300 classes: 50 s
a stage with 40, 10 s with 5)."""
PARAMS = {
    # No columns are sampled: a copy of a strong column would then help by being drawn more often.
    "eta": 0.2,
    "max_depth": 4,
    "min_child_weight": 5.0,
    "subsample": 0.8,
    "max_bin": 32,
}
_SMALLEST = 1e-7

Matrix = NDArray[np.float32]
Part = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a set of columns.

    Attributes:
        losses: (n_parts,) on the part's held-out rows: log loss, or the root mean squared error of
            the (mapped) target.
        gains: (n_parts, n_columns) total gain of each column's splits.
    """

    losses: NDArray[np.float64]
    gains: NDArray[np.float64]

    @property
    def loss(self) -> float:
        """Mean of the parts."""
        return float(self.losses.mean())


def parts_of_rows(cases: NDArray[np.int64], position: NDArray[np.int64] | None) -> list[Part]:
    """(Rows to fit on, rows to judge on) of each part.

    Args:
        cases: the case of each row in hash order; equal rows are one, and in one part.
        position: place in time of rows that have an order; a part is then judged on rows that are
            newer than those it is fitted on.

    >>> [(a.tolist(), b.tolist()) for a, b in parts_of_rows(np.array([0, 1, 1, 2]), None)]
    [([1, 2, 3], [0]), ([0, 3], [1, 2]), ([0, 1, 2], [3])]
    """
    if position is None:
        part = cases % N_PARTS
        return [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(N_PARTS)]
    slices = np.array_split(np.argsort(position, kind="stable"), N_PARTS + 1)
    return [
        (np.sort(np.concatenate(slices[: k + 1])), np.sort(slices[k + 1])) for k in range(N_PARTS)
    ]


def learned_truth(truth: NDArray[Any], task: str) -> NDArray[Any]:
    """Class numbers as they are; a number in the form that is learned and judged.

    >>> learned_truth(np.array([0.0, np.e**2 - 1.0]), "regression").round(6).tolist()
    [-1.0, 1.0]
    """
    if task != "regression":
        return truth
    # On prices and counts the largest rows would be all that an error sees.
    kind = "log1p" if truth.min() >= 0.0 else "none"
    return TargetMap.fit(truth, kind, standardise=True).forward(truth)


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges sets of columns on the same parts of the same rows.

    Attributes:
        truth: (n_rows,) class numbers or the target.
        weights: (n_rows,) or None.
        parts: see `parts_of_rows`.
        task: of the question.
        n_classes: 0 for regression.
        seed: of the boosters.
        threads: fits side by side.
    """

    truth: NDArray[Any]
    weights: NDArray[np.float64] | None
    parts: Sequence[Part]
    task: str
    n_classes: int
    seed: int = 0
    threads: int = 1

    def __call__(self, matrix: Matrix) -> Verdict:
        """Fit on each part.

        Args:
            matrix: (n_rows, n_columns); NaN is missing.
        """
        label = learned_truth(self.truth, self.task)
        with ThreadPoolExecutor(max(1, self.threads)) as pool:
            found = list(pool.map(lambda part: self._fit(matrix, label, part), self.parts))
        losses, gains = zip(*found, strict=True)
        return Verdict(np.array(losses), np.stack(gains))

    @property
    def _rounds(self) -> int:
        trees = self.n_classes if self.task == "multiclass" else 1
        return max(MIN_ROUNDS, min(ROUNDS, MAX_TREES // trees))

    def _fit(
        self, matrix: Matrix, label: NDArray[Any], part: Part
    ) -> tuple[float, NDArray[np.float64]]:
        import xgboost

        fit, held = part
        params = booster_params(self.task, self.n_classes, PARAMS, seed=self.seed, threads=1)
        booster = xgboost.train(
            params, self._data(matrix, label, fit), num_boost_round=self._rounds
        )
        scores = booster.inplace_predict(matrix[held]).astype(np.float64)
        gains = np.zeros(matrix.shape[1])
        for name, gain in booster.get_score(importance_type="total_gain").items():
            gains[int(name[1:])] = gain
        return self._loss(scores, label[held], held), gains

    def _data(self, matrix: Matrix, label: NDArray[Any], rows: NDArray[np.intp]) -> Any:
        import xgboost

        weight = None if self.weights is None else self.weights[rows]
        return xgboost.QuantileDMatrix(
            matrix[rows], label[rows], weight=weight, nthread=1, max_bin=PARAMS["max_bin"]
        )

    def _loss(
        self, scores: NDArray[np.float64], label: NDArray[Any], rows: NDArray[np.intp]
    ) -> float:
        weight = None if self.weights is None else self.weights[rows]
        if self.task == "regression":
            return float(np.sqrt(np.average((scores - label) ** 2, weights=weight)))
        if self.task == "binary":
            scores = np.column_stack([1.0 - scores, scores])
        picked = scores[np.arange(len(label)), label]
        return float(-np.average(np.log(np.maximum(picked, _SMALLEST)), weights=weight))
