"""Score levels: a few yes-or-no questions about a score, with the shares that a model had offline.

A model's own levels are near the deciles of its own reference, so a score's answers say where it
stands among the scores that *this* model gave on rows it was not fitted on. Two models whose scores
live on different scales are compared by that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.monitor.bins import score_codes
from tenfold.monitor.reference import Reference

__all__ = ["LEVELS", "MAX_LEVELS", "ScoreLevels", "score_ranks"]

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Shares of the reference's scores that lie below the levels of a number."""

MAX_LEVELS = 8
"""Of a model with more than two scores, so many classes are asked for."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoreLevels:
    """Questions about a score.

    Attributes:
        ordered: whether the question is "above it?", else "this class?".
        values: ``(K,)`` the numbers, rising, or the classes.
        shares: ``(K,)`` of the reference's rows, how many answered yes.
        n_rows: rows of the reference that were scored.
    """

    ordered: bool
    values: tuple[float, ...]
    shares: tuple[float, ...]
    n_rows: int

    @classmethod
    def of(cls, reference: Reference) -> ScoreLevels | None:
        """The levels of a model; None where its reference holds no scores."""
        bins = reference.bins
        if bins.score is None:
            return None
        cells = np.asarray(bins.split(reference.totals)[-1], dtype=np.float64)
        n_rows = int(cells.sum())
        if not n_rows:
            return None
        if bins.score.ordered:
            if not bins.score.thresholds:
                return None
            above = cells[:-1][::-1].cumsum()[::-1][1:] / n_rows
            places = [int(np.abs(above - (1.0 - level)).argmin()) for level in LEVELS]
            values = tuple(bins.score.thresholds[place] for place in places)
            found = tuple(float(above[place]) for place in places)
            return cls(ordered=True, values=values, shares=found, n_rows=n_rows)
        lookup, other = bins.score.lookup, bins.score.n_cells - 3
        alone = [k for k, cell in enumerate(lookup) if cell < other][:MAX_LEVELS]
        shares = tuple(float(cells[lookup[k]]) / n_rows for k in alone)
        values = tuple(float(k) for k in alone)
        return cls(ordered=False, values=values, shares=shares, n_rows=n_rows)

    def asked(self, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """The answers, ``(n_rows, K)``, for scores ``(n_rows, k)``; no for what is not finite."""
        found = score_codes(scores)[:, None]
        values = np.array(self.values)
        return np.asarray(found > values if self.ordered else found == values)

    def compares_with(self, other: ScoreLevels) -> bool:
        """Whether the answers of two models can stand side by side."""
        if self.ordered != other.ordered or len(self.values) != len(other.values):
            return False
        return self.ordered or self.values == other.values


def score_ranks(reference: Reference, cells: npt.NDArray[np.int64]) -> dict[str, Any] | None:
    """Where scores stand among those of the reference, for a histogram.

    Args:
        reference: of the model.
        cells: ``(n_cells of the score,)`` rows counted into the frozen cells of its score.

    Returns:
        ``edges``, the reference's shares up to each cell's end, rising, the first 0 and the last 1;
        ``cells``, one more: rows up to each edge, and above all. None where scores have no order.
    """
    score = reference.bins.score
    if score is None or not score.ordered or not score.thresholds:
        return None
    offline = np.asarray(reference.bins.split(reference.totals)[-1], dtype=np.float64)[:-1]
    shares = offline.cumsum()[:-1] / max(offline.sum(), 1.0)
    edges: list[float] = []
    counts: list[int] = []
    for share, count in zip(shares.round(4).tolist(), cells.tolist(), strict=False):
        if edges and share == edges[-1]:  # a cell that the reference left empty
            counts[-1] += int(count)
        else:
            edges.append(share)
            counts.append(int(count))
    return {"edges": edges, "cells": [*counts, int(cells[len(shares)])]}
