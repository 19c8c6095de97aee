"""Do probabilities mean what they say? Bins of equal mass, predicted against observed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CalibrationBin", "calibration_error", "calibration_table"]

N_BINS = 15
"""Equal-mass bins: fewer hide a bend, more drown in noise on some thousand rows."""


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One bin: its mean predicted probability, the observed share, and how many rows."""

    predicted: float
    observed: float
    n_rows: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def calibration_table(
    probability: NDArray[np.float64], hit: NDArray[np.bool_], *, n_bins: int = N_BINS
) -> tuple[CalibrationBin, ...]:
    """Rows sorted by probability and cut into bins of equal mass.

    Args:
        probability: predicted probability of an event (n_rows,).
        hit: whether it happened (n_rows,).
        n_bins: at most so many bins; equal probabilities are not torn apart.

    >>> p = np.array([0.1, 0.1, 0.9, 0.9])
    >>> calibration_table(p, p > 0.5, n_bins=2)
    (CalibrationBin(predicted=0.1, observed=0.0, n_rows=2), CalibrationBin(predicted=0.9, ...))
    """
    if len(probability) == 0:
        return ()
    order = np.argsort(probability, kind="stable")
    p, y = probability[order], hit[order].astype(np.float64)
    cuts = np.searchsorted(p, p[np.arange(1, n_bins) * len(p) // n_bins], side="left")
    edges = np.unique(np.r_[0, cuts, len(p)])
    return tuple(
        CalibrationBin(float(p[a:b].mean()), float(y[a:b].mean()), int(b - a))
        for a, b in pairwise(edges)
    )


def calibration_error(table: tuple[CalibrationBin, ...]) -> float:
    """The expected calibration error: mean |observed - predicted|, weighted by rows."""
    total = sum(row.n_rows for row in table)
    if total == 0:
        return float("nan")
    return sum(row.n_rows * abs(row.observed - row.predicted) for row in table) / total
