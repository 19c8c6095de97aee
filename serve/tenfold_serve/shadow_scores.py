"""Two models on the same rows, as numbers: how far apart their answers are. Pure.

The champion's answers come from the prediction log, the challenger's from the shadow. Classes are
matched by name, since two versions may know them in another order or not all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tenfold.canonical import finite_or_none
from tenfold.evaluation.paired import paired_difference
from tenfold.live import LABEL, join_labels
from tenfold.monitor import LossRule

__all__ = ["Disagreement", "Gaps", "changed", "gaps", "paired_losses"]

Floats = npt.NDArray[np.float64]

WINDOW_ROWS: Final = 20_000
"""Newest rows that the figures are made of: half an hour at ten rows a second."""


def gaps(
    old: Floats, new: Floats, *, old_classes: Sequence[str] = (), new_classes: Sequence[str] = ()
) -> Floats:
    """How far apart two models' scores are, row by row: ``(n_rows,)``.

    For classes half the sum of the absolute differences of their probabilities (the total variation
    distance, in [0, 1]; of two classes the difference of one's probability); for numbers the
    absolute difference, in units of the target.

    Args:
        old: ``(n_rows, n_old)`` scores.
        new: ``(n_rows, n_new)`` scores of the same rows.
        old_classes: names of the columns of ``old``; () for numbers.
        new_classes: names of the columns of ``new``; () for numbers.

    >>> gaps(np.array([[0.25, 0.75]]), np.array([[0.5, 0.5]]), old_classes="ab", new_classes="ba")
    array([0.25])
    """
    if not old_classes or not new_classes:
        return np.asarray(np.abs(old[:, 0] - new[:, 0]))
    names = sorted({*old_classes, *new_classes})
    one, two = (
        _onto(scores, classes, names)
        for scores, classes in ((old, old_classes), (new, new_classes))
    )
    return np.asarray(np.abs(one - two).sum(axis=1) / 2.0)


def _onto(scores: Floats, classes: Sequence[str], names: Sequence[str]) -> Floats:
    columns = [
        scores[:, classes.index(name)] if name in classes else np.zeros(len(scores))
        for name in names
    ]
    return np.column_stack(columns)


def changed(old: Sequence[str], new: Sequence[str | float]) -> npt.NDArray[np.bool_]:
    """Which rows were decided otherwise, of classes: ``(n_rows,)``."""
    return np.array([one != two for one, two in zip(old, new, strict=True)], dtype=np.bool_)


class Gaps(NamedTuple):
    """Sums over some rows.

    Attributes:
        n_rows: how many.
        gap: sum of `gaps`; NaN where scores cannot be compared (segments have no fixed names).
        n_changed: rows that were decided otherwise; None where answers are numbers or segments.
    """

    n_rows: int
    gap: float
    n_changed: int | None


class Disagreement:
    """Sums over the newest rows: parts go in, the oldest go out when there are enough without them.

    Args:
        window_rows: rows that count.

    >>> found = Disagreement(window_rows=10)
    >>> for gap in (9.0, 1.0, 2.0):
    ...     found.add(Gaps(5, gap, 1))
    >>> found.to_dict()
    {'rows': 10, 'score_gap': 0.3, 'changed_ratio': 0.2}
    """

    def __init__(self, *, window_rows: int = WINDOW_ROWS) -> None:
        self._window_rows = window_rows
        self._parts: deque[Gaps] = deque()
        self._n_rows = 0

    def add(self, part: Gaps) -> None:
        """Take the sums of the next rows."""
        if not part.n_rows:
            return
        self._parts.append(part)
        self._n_rows += part.n_rows
        while self._n_rows - self._parts[0].n_rows >= self._window_rows:
            self._n_rows -= self._parts.popleft().n_rows

    def to_dict(self) -> dict[str, Any]:
        """``rows``, ``score_gap`` (mean) and ``changed_ratio`` as JSON values, null if unknown."""
        n_changed = [part.n_changed for part in self._parts if part.n_changed is not None]
        if not self._n_rows:
            return {"rows": 0, "score_gap": None, "changed_ratio": None}
        return {
            "rows": self._n_rows,
            "score_gap": finite_or_none(sum(part.gap for part in self._parts) / self._n_rows),
            "changed_ratio": sum(n_changed) / self._n_rows if n_changed else None,
        }


def paired_losses(answers: pa.Table, labels: pa.Table, rule: LossRule) -> dict[str, Any]:
    """The losses of both models on the rows whose truth is known, with the interval of their
    difference (`tenfold.evaluation.paired_difference`; positive: the challenger is better).

    Args:
        answers: with ``__id``, ``__at``, ``__champion_value`` and ``__value``.
        labels: rows of the labels table.
        rule: the champion's, frozen at its training.
    """
    joined = join_labels(answers, labels)
    truth, old, new = (
        joined.column(name).to_pylist() for name in (LABEL, "__champion_value", "__value")
    )
    if rule.kind != "zero_one":
        known = [_is_number(text) for text in truth]  # a word judges nobody
        truth, old, new = (
            [float(text) for text, kept in zip(texts, known, strict=True) if kept]
            for texts in (truth, old, new)
        )
    if not truth:
        return paired_difference([], []).to_dict()
    return paired_difference(rule.losses(old, truth), rule.losses(new, truth)).to_dict()


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
