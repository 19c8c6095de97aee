"""Prediction intervals and sets: how far truth lay from the answers of models that had not seen it.

Cross-conformal, without a plus: every training row was answered by a fold's model that had not seen
it; the spread of those misses becomes the interval, or the set, of the model fitted on all rows.

- *Numbers*: the misses ``truth - answer`` of each side have their own quantile, within bins of the
  answer, since dear houses are missed by more than cheap ones. An interval of level L leaves at
  most (1 - L) / 2 on either side. Of a quantile's model it is the interval of the target.
- *Classes*: a class is in the set when its probability is not lower than the truth's was in a share
  L of its own rows; where a class has too few rows, all classes share one limit. The answered class
  is always in the set, which covers more than L where answers are right more often than that.

**The law.** For new rows that are exchangeable with the training rows, split conformal prediction
covers at least L, by the finite-sample rank ``ceil((n + 1) L)``. Here the model is fitted again on
all rows, so L is reached up to the difference between a fold's model and the last one (it has more
rows, and errs less); cross-conformal methods prove ``2 L - 1`` in the worst case. It says nothing
of rows that drifted, and ordered rows are exchangeable only while nothing drifts. The card tells
the coverage of the folds, each by the limits of the others, and that of the sealed rows.

Sources: V. Vovk, "Cross-conformal predictors" (2015); J. Lei et al., "Distribution-free predictive
inference for regression" (2018), theorem 2.1; R. Barber et al., "Predictive inference with the
jackknife+" (2021), theorem 4; V. Vovk, "Conditional validity of inductive conformal predictors"
(2012), section 3, for bins and classes; M. Sadinle et al., "Least ambiguous set-valued classifiers"
(2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tenfold.errors import ArtifactError

__all__ = ["LEVELS", "Coverage", "Intervals", "Sets", "cross_coverage", "read_conformal"]

Floats = NDArray[np.float64]

FORMAT_VERSION: Final = 1
_STEPS: Final = 200
LEVELS: Final = tuple(step / _STEPS for step in range(_STEPS // 2, _STEPS))
"""From .5 to .995 in steps of .005; a level between two gets the limits of the higher one."""
MIN_BIN_ROWS: Final = 200
"""Of a bin of answers: 199 rows can prove the level .99."""
MAX_BINS: Final = 10
MIN_CLASS_ROWS: Final = 100
"""Of every class, for limits of its own: 99 rows can prove the level .99."""
_ROUNDING: Final = 1e-9
"""Products such as 20 * .05 must not be a whole number and a last bit."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a level was worth on rows with known truth.

    Attributes:
        level: that was asked for.
        share: of the rows whose truth was inside.
        size: mean width, in the target's unit, or mean number of classes.
    """

    level: float
    share: float
    size: float


def _place(level: float) -> int:
    """Of a level among `LEVELS`, rounded up.

    Raises:
        ValueError: it is none of .5 to .995.
    """
    if not LEVELS[0] <= level <= LEVELS[-1]:
        raise ValueError(f"a level is a number from {LEVELS[0]} to {LEVELS[-1]}, not {level}")
    return int(np.ceil(level * _STEPS - _ROUNDING)) - _STEPS // 2


def _ranked(ordered: Floats, shares: Floats) -> Floats:
    """The ``ceil((n + 1) share)``-th smallest values; infinite where n rows cannot prove one."""
    n = len(ordered)
    ranks = np.ceil((n + 1) * shares - _ROUNDING).astype(np.intp)
    padded = np.append(ordered, np.inf)
    return np.asarray(padded[np.clip(ranks, 1, n + 1) - 1], dtype=np.float64)


def _edges(answers: Floats) -> Floats:
    """Edges of bins with about as many rows each, `MIN_BIN_ROWS` at least, whatever the ties."""
    n_bins = int(np.clip(len(answers) // MIN_BIN_ROWS, 1, MAX_BINS))
    ordered = np.sort(answers)
    kept, begin = [], 0
    for edge in np.unique(np.quantile(answers, np.arange(1, n_bins) / n_bins)).tolist():
        end = int(np.searchsorted(ordered, edge, side="left"))  # a tie belongs to the higher bin
        if end - begin >= MIN_BIN_ROWS and len(ordered) - end >= MIN_BIN_ROWS:
            kept.append(edge)
            begin = end
    return np.array(kept, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Intervals:
    """Intervals of a regression. A value.

    Attributes:
        edges: between the bins of the answer, rising, (n_bins - 1,).
        below: how far below the answer an interval begins, (n_bins, n_levels); may be negative.
        above: how far above it ends; of both, infinite where a bin has too few rows.
        n_rows: that were answered by a model which had not seen them.
    """

    edges: Floats
    below: Floats
    above: Floats
    n_rows: int

    @classmethod
    def fit(cls, scores: Floats, truth: Floats) -> Intervals:
        """Limits from out-of-fold rows.

        Args:
            scores: answers (n_rows, 1), at least one row.
            truth: of the same rows (n_rows,).

        >>> truth = np.arange(1.0, 40.0)
        >>> made = Intervals.fit(np.zeros((39, 1)), truth - 20.0)
        >>> made.bounds(np.array([[100.0]]), 0.9).tolist()
        [[82.0, 118.0]]
        """
        answers = np.asarray(scores[:, 0], dtype=np.float64)
        edges = _edges(answers)
        bins = np.searchsorted(edges, answers, side="right")
        misses = truth - answers
        shares = 1.0 - (1.0 - np.array(LEVELS)) / 2.0
        sides = []
        for sign in (-1.0, 1.0):
            rows = [np.sort(sign * misses[bins == k]) for k in range(len(edges) + 1)]
            sides.append(np.array([_ranked(ordered, shares) for ordered in rows]))
        return cls(edges, sides[0], sides[1], len(answers))

    @property
    def max_level(self) -> float | None:
        """The highest level that the rows of every bin can prove; None if they prove none."""
        known = np.isfinite(self.below + self.above).all(axis=0)
        return LEVELS[int(np.flatnonzero(known)[-1])] if known.any() else None

    def bounds(self, scores: Floats, level: float) -> Floats:
        """Lower and upper ends (n_rows, 2) around answers (n_rows, 1).

        Raises:
            ValueError: the level is no level, or higher than the rows can prove.
        """
        place = _place(level)
        if self.max_level is None or LEVELS[place] > self.max_level:
            raise ValueError(
                f"{self.n_rows} calibration rows prove a level of {self.max_level or 0.0} at most, "
                f"not {level}"
            )
        bins = np.searchsorted(self.edges, scores[:, 0], side="right")
        answers = scores[:, 0]
        return np.column_stack(
            [answers - self.below[bins, place], answers + self.above[bins, place]]
        )

    def coverage(self, scores: Floats, truth: Floats, level: float) -> Coverage:
        """What a level is worth on rows with truth (n_rows,)."""
        ends = self.bounds(scores, level)
        inside = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        return Coverage(level, float(inside.mean()), float((ends[:, 1] - ends[:, 0]).mean()))

    def to_dict(self) -> dict[str, Any]:
        """JSON values; what cannot be proved is null."""
        return {
            "format_version": FORMAT_VERSION,
            "kind": "intervals",
            "n_rows": self.n_rows,
            "edges": self.edges.tolist(),
            "below": _nullable(self.below),
            "above": _nullable(self.above),
        }


@dataclass(frozen=True, eq=False)
class Sets:
    """Sets of classes. A value.

    Attributes:
        limits: highest ``1 - probability`` of a class in the set, (n_classes, n_levels); 1 takes a
            class into every set.
        own: whether each class has limits of its own, so that L holds for the rows of each.
        n_rows: that were answered by a model which had not seen them.
    """

    limits: Floats
    own: bool
    n_rows: int

    @classmethod
    def fit(cls, scores: Floats, truth: NDArray[np.int64]) -> Sets:
        """Limits from out-of-fold rows.

        Args:
            scores: probabilities (n_rows, n_classes).
            truth: class numbers of the same rows (n_rows,).

        >>> made = Sets.fit(np.array([[0.9, 0.1]] * 9 + [[0.4, 0.6]]), np.zeros(10, np.int64))
        >>> made.members(np.array([[0.8, 0.2], [0.45, 0.55]]), 0.9).tolist()
        [[True, False], [True, True]]
        """
        n_classes = scores.shape[1]
        counts = np.bincount(truth, minlength=n_classes)
        own = bool((counts >= MIN_CLASS_ROWS).all())
        doubt = 1.0 - scores[np.arange(len(truth)), truth]
        shares = np.array(LEVELS)
        if own:
            groups = [np.sort(doubt[truth == k]) for k in range(n_classes)]
        else:
            groups = [np.sort(doubt)] * n_classes
        limits = np.minimum([_ranked(ordered, shares) for ordered in groups], 1.0)
        return cls(limits, own, len(truth))

    @property
    def max_level(self) -> float:
        """The highest level; a class whose rows prove less is in every set."""
        return LEVELS[-1]

    def members(self, scores: Floats, level: float) -> NDArray[np.bool_]:
        """Which classes are in the set of each row, (n_rows, n_classes); the most probable is.

        Raises:
            ValueError: the level is no level.
        """
        inside = (1.0 - scores) <= self.limits[:, _place(level)]
        inside[np.arange(len(scores)), scores.argmax(axis=1)] = True
        return np.asarray(inside, dtype=np.bool_)

    def coverage(self, scores: Floats, truth: NDArray[np.int64], level: float) -> Coverage:
        """What a level is worth on rows with truth (n_rows,)."""
        inside = self.members(scores, level)
        hit = inside[np.arange(len(truth)), truth]
        return Coverage(level, float(hit.mean()), float(inside.sum(axis=1).mean()))

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "format_version": FORMAT_VERSION,
            "kind": "sets",
            "n_rows": self.n_rows,
            "own": self.own,
            "limits": self.limits.tolist(),
        }


def cross_coverage(
    kind: type[Intervals | Sets],
    scores: Floats,
    truth: NDArray[Any],
    folds: NDArray[Any],
    level: float,
) -> Coverage | None:
    """What a level is worth on each fold by the limits of the others; None where it cannot be
    proved.

    Args:
        kind: what is fitted.
        scores: out-of-fold answers (n_rows, k).
        truth: of the same rows.
        folds: of the same rows; at least two different ones.
        level: to judge.
    """
    found: list[tuple[Coverage, int]] = []
    for fold in np.unique(folds).tolist():
        here = folds == fold
        if here.all():
            return None
        try:
            made = kind.fit(scores[~here], truth[~here])
            found.append((made.coverage(scores[here], truth[here], level), int(here.sum())))
        except ValueError:
            return None
    n_rows = sum(count for _told, count in found)
    return Coverage(
        level,
        sum(told.share * count for told, count in found) / n_rows,
        sum(told.size * count for told, count in found) / n_rows,
    )


def read_conformal(value: object) -> Intervals | Sets:
    """The inverse of ``to_dict``, for JSON that nobody should trust.

    Raises:
        ArtifactError: a field is missing or unknown, or numbers do not fit together.
    """
    try:
        if not isinstance(value, Mapping) or value["format_version"] != FORMAT_VERSION:
            raise ValueError(f"it is an object of format {FORMAT_VERSION}")
        n_rows = int(value["n_rows"])
        if value["kind"] == "sets":
            limits, own = np.array(value["limits"], dtype=np.float64), value["own"]
            _check(limits, "limits", len(limits))
            if own.__class__ is not bool or not ((limits >= 0.0) & (limits <= 1.0)).all():
                raise ValueError("limits are shares, and own is true or false")
            return Sets(limits, own, n_rows)
        edges = np.array(value["edges"], dtype=np.float64).reshape(-1)
        sides = [_infinite(value[name]) for name in ("below", "above")]
        for name, side in zip(("below", "above"), sides, strict=True):
            _check(side, name, len(edges) + 1)
        if value["kind"] != "intervals" or not (np.isfinite(edges).all() and _rising(edges)):
            raise ValueError("it is of the kind sets or intervals, and edges rise")
        return Intervals(edges, sides[0], sides[1], n_rows)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"conformal.json is broken ({error}); publish the model again"
        ) from error


def _check(table: Floats, name: str, n_rows: int) -> None:
    if table.shape != (n_rows, len(LEVELS)) or not n_rows or np.isnan(table).any():
        raise ValueError(f"{name} has {n_rows} rows of {len(LEVELS)} numbers, not {table.shape}")


def _rising(values: Floats) -> bool:
    return bool((np.diff(values) > 0.0).all())


def _nullable(table: Floats) -> list[list[float | None]]:
    return [[v if np.isfinite(v) else None for v in row] for row in table.tolist()]


def _infinite(table: Any) -> Floats:
    """Numbers with null for what cannot be proved."""
    return np.array([[np.inf if v is None else v for v in row] for row in table], dtype=np.float64)
