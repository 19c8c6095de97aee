"""Bootstrap intervals: what a measure could have been with other rows of the same kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenfold.canonical import finite_or_none
from tenfold.evaluation.scores import Judged, measure

__all__ = ["Estimate", "bootstrap", "estimate_all"]

CONFIDENCE = 0.95
MAX_RESAMPLES = 500
"""Percentile bounds of 95 % settle within about a tenth of their width."""
MIN_RESAMPLES = 100
MAX_WORK_ROWS = 5_000_000
"""Rows times resamples: keeps all measures of a large test set within some seconds."""


SHARES = frozenset(
    {"accuracy", "balanced_accuracy", "f1", "precision", "recall", "roc_auc", "average_precision"}
)
"""Measures from 0 to 1 that are 1 only without any error."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value with its interval, both in the measure's unit."""

    value: float
    lower: float
    upper: float

    def to_dict(self) -> dict[str, float | None]:
        """JSON form; what is not known (NaN) is null."""
        return {
            "value": finite_or_none(self.value),
            "lower": finite_or_none(self.lower),
            "upper": finite_or_none(self.upper),
        }


def bootstrap(name: str, judged: Judged, *, seed: int = 0) -> Estimate:
    """A percentile bootstrap over rows, 95 %.

    Resamples are weight vectors (multinomial counts), so no row is copied. Resamples in which the
    measure has no meaning (one class only) are left out; the bounds are NaN if none is left.

    Args:
        name: a measure of rows.
        judged: held-out rows.
        seed: equal seeds give equal bounds.

    Returns:
        Value on all rows and the bounds; the bounds are widened to hold the value. Shares without
        any error (or without any hit) get the exact bound that their number of rows can prove.
    """
    value = measure(name, judged)
    n = judged.n_rows
    rng = np.random.default_rng([seed, n])
    repeats = int(np.clip(MAX_WORK_ROWS // max(n, 1), MIN_RESAMPLES, MAX_RESAMPLES))
    draws = np.empty(repeats)
    for i in range(repeats):
        weights = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        draws[i] = measure(name, judged, weights=weights)
    known = draws[~np.isnan(draws)]
    if len(known) == 0:
        return Estimate(value, float("nan"), float("nan"))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    if name in SHARES and low == high and value in (0.0, 1.0):
        # No resample has an error that no row has: the exact bound of n rows without one
        # (Clopper and Pearson 1934) says what they can prove.
        room = 1.0 - ((1.0 - CONFIDENCE) / 2) ** (1.0 / n)
        return Estimate(value, min(value, 1.0 - room), max(value, room))
    return Estimate(value, min(float(low), value), max(float(high), value))


def estimate_all(names: tuple[str, ...], judged: Judged, *, seed: int = 0) -> dict[str, Estimate]:
    """`bootstrap` for several measures, the same resamples for each."""
    return {name: bootstrap(name, judged, seed=seed) for name in names}
