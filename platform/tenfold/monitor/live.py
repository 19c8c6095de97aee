"""Live quality: what the newest labelled predictions say, with intervals."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.monitor.bounds import wilson
from tenfold.monitor.packing import pack, unpack

__all__ = ["Estimate", "LiveQuality", "auc_interval"]

WINDOW_LABELS = 2000
"""Labelled predictions that "now" means: an accuracy near 0.9 is then known within 0.013."""

Z = 1.96
"""Normal quantile of all intervals here: 95 %, pointwise. The evidence has its own bound."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure with its 95 % interval.

    Attributes:
        value: the estimate.
        lower: end of the interval.
        upper: end of the interval.
        n: labelled rows behind it.
    """

    value: float
    lower: float
    upper: float
    n: int

    def to_dict(self) -> dict[str, float | int]:
        """The estimate as JSON values."""
        return {"value": self.value, "lower": self.lower, "upper": self.upper, "n": self.n}


def auc_interval(scores: npt.ArrayLike, positive: npt.ArrayLike) -> Estimate | None:
    """Area under the ROC curve with its interval.

    DeLong, DeLong, Clarke-Pearson (1988), by placement values; where their variance is 0 (perfect
    or hopeless ranking) the rule of three gives the open end.

    Args:
        scores: ``(n_rows,)``, larger means more positive.
        positive: ``(n_rows,)`` truth values.

    Returns:
        None when a class is absent.

    >>> auc_interval([0.1, 0.2, 0.8, 0.9], [False, True, False, True]).value
    0.75
    """
    values, truth = np.asarray(scores, float), np.asarray(positive, bool)
    ups, downs = np.sort(values[truth]), np.sort(values[~truth])
    if not len(ups) or not len(downs):
        return None
    below = _placement(downs, ups)
    above = 1.0 - _placement(ups, downs)
    area = float(below.mean())
    spread = 0.0
    for part in (below, above):
        spread += float(part.var(ddof=1)) / len(part) if len(part) > 1 else 0.0
    half = Z * math.sqrt(spread) if spread > 0.0 else 3.0 / min(len(ups), len(downs))
    return Estimate(area, max(0.0, area - half), min(1.0, area + half), len(values))


def _placement(base: Floats, points: Floats) -> Floats:
    """Share of ``base`` (sorted) below each point, ties counting half."""
    left = np.searchsorted(base, points, side="left")
    right = np.searchsorted(base, points, side="right")
    return np.asarray((left + right) / (2.0 * len(base)))


class LiveQuality:
    """The newest labelled predictions of one model version.

    Args:
        task: ``"binary"``, ``"multiclass"`` or ``"regression"``.
        window: labelled predictions kept.

    One owner, one thread.

    >>> live = LiveQuality("binary")
    >>> live.add("a", score=0.9, target=1.0, loss=0.0)
    >>> live.add("b", score=0.2, target=1.0, loss=1.0)
    >>> live.estimates()["accuracy"].value
    0.5
    """

    def __init__(self, task: str, *, window: int = WINDOW_LABELS) -> None:
        self._task = task
        self._table = np.full((window, 3), np.nan)
        self._keys = np.zeros(window, dtype=np.int64)
        self.n_total = 0

    def add(self, prediction_id: str, *, score: float | None, target: float, loss: float) -> None:
        """Take a labelled prediction; one with the same id is replaced (a revised label).

        Args:
            prediction_id: identifies the row.
            score: probability of the positive class, or the predicted number; None if unknown.
            target: 1 or 0 for the positive class or not, or the true number.
            loss: in [0, 1].
        """
        key = _key(prediction_id)
        n_held = min(self.n_total, len(self._keys))
        found = np.flatnonzero(self._keys[:n_held] == key)
        place = int(found[0]) if len(found) else self.n_total % len(self._keys)
        self._keys[place] = key
        self._table[place] = (np.nan if score is None else score, target, loss)
        self.n_total += 0 if len(found) else 1

    def estimates(self) -> dict[str, Estimate]:
        """Measures by name, as the project file calls them; empty without labels."""
        rows = self._table[: min(self.n_total, len(self._table))]
        if not len(rows):
            return {}
        score, target, loss = rows.T
        if self._task == "regression":
            return _number_estimates(score - target)
        wrong = float(loss.mean())
        low, high = wilson(wrong, len(rows), z=Z)
        found = {
            "accuracy": Estimate(1.0 - wrong, 1.0 - high, 1.0 - low, len(rows)),
            "error_rate": Estimate(wrong, low, high, len(rows)),
        }
        known = np.isfinite(score)
        area = auc_interval(score[known], target[known] > 0.5) if self._task == "binary" else None
        return found if area is None else {**found, "roc_auc": area}

    def state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        held = min(self.n_total, len(self._keys))
        return {
            "keys": pack(self._keys[:held]),
            "table": pack(self._table[:held].astype(np.float32)),
            "n_total": self.n_total,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of `state`."""
        keys, table = unpack(state["keys"]), unpack(state["table"])
        self._keys[: len(keys)] = keys
        self._table[: len(table)] = table
        self.n_total = int(state["n_total"])


def _key(prediction_id: str) -> int:
    digest = hashlib.blake2b(prediction_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _number_estimates(errors: Floats) -> dict[str, Estimate]:
    known = errors[np.isfinite(errors)]
    n = len(known)
    if not n:
        return {}
    mae = _mean_interval(np.abs(known))
    square = _mean_interval(known**2)
    ends = [math.sqrt(max(0.0, x)) for x in (square.value, square.lower, square.upper)]
    return {"mae": mae, "rmse": Estimate(ends[0], ends[1], ends[2], n)}


def _mean_interval(values: Floats) -> Estimate:
    n, mean = len(values), float(values.mean())
    half = Z * float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    half = half if math.isfinite(half) else abs(mean)
    return Estimate(mean, max(0.0, mean - half), mean + half, n)
