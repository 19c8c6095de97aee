"""Joining labels to predictions, one pass, with a status for every label.

Which of several labels for one prediction counts is said once, in `standing`, and obeyed by the
monitor and by training alike: the source that spoke first is the one that is believed, and of what
it said the newest observation counts. A source can thus correct itself, another cannot overrule it.
The law looks at times and names only, so the order in which labels arrive changes nothing.

Who calls: the aggregator, from one thread. Predictions and labels may come in any order: a label
whose prediction is still on its way waits. The joiner is an index in memory, rebuilt from the
prediction and label logs after a restart (feed both again; equal input gives equal statuses); it
is no store of its own and its size is bounded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Joined", "Label", "LabelJoiner", "LabelStatus", "Predicted", "Predictions", "standing"]

MAX_PREDICTIONS = 200_000
"""Predictions kept for joining, the newest: about 50 MB."""

_SMALL_ROWS = 256
"""Fewer rows are kept together with those before them: alone each has a kilobyte of its own."""

MAX_WAITING = 20_000
"""Labels that wait for their prediction; beyond it the oldest is counted unknown."""

MAX_SOURCES = 8
"""Sources remembered for one prediction: those that spoke first."""

LATE_S = 30 * 86_400.0
"""Age of a prediction from which its label no longer speaks of the present."""


class LabelStatus(StrEnum):
    """What became of a label."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REVISED = "revised"
    CONTRADICTING = "contradicting"
    UNKNOWN = "unknown"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Predicted:
    """One answer that went out.

    Attributes:
        id: the prediction id.
        version: of the model that answered.
        value: the class, or the number as text (labels are compared as numbers).
        score: probability of the positive class, the number itself, or None.
        at_s: when, seconds since 1970.
    """

    id: str
    version: int
    value: str
    score: float | None
    at_s: float


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """Answers that went out, by column: of most no more than the id is ever looked at.

    Attributes:
        ids: prediction ids.
        versions: int32 (n_rows,).
        values: see `Predicted`.
        scores: float64 (n_rows,), NaN for none.
        at_s: float64 (n_rows,).

    >>> Predictions.of([Predicted("a", 1, "yes", None, 10.0)]).row(0)
    Predicted(id='a', version=1, value='yes', score=None, at_s=10.0)
    """

    ids: list[str]
    versions: npt.NDArray[np.int32]
    values: list[str]
    scores: npt.NDArray[np.float64]
    at_s: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rows: Iterable[Predicted]) -> Predictions:
        """From rows."""
        known = list(rows)
        return cls(
            [row.id for row in known],
            np.array([row.version for row in known], dtype=np.int32),
            [row.value for row in known],
            np.array([np.nan if row.score is None else row.score for row in known]),
            np.array([row.at_s for row in known], dtype=np.float64),
        )

    def row(self, place: int) -> Predicted:
        """One of them."""
        score = float(self.scores[place])
        return Predicted(
            self.ids[place],
            int(self.versions[place]),
            self.values[place],
            None if np.isnan(score) else score,
            float(self.at_s[place]),
        )

    def take(self, places: Sequence[int]) -> Predictions:
        """Some of them."""
        return Predictions(
            [self.ids[place] for place in places],
            self.versions[places],
            [self.values[place] for place in places],
            self.scores[places],
            self.at_s[places],
        )

    def with_more(self, more: Predictions) -> Predictions:
        """These, then others."""
        return Predictions(
            self.ids + more.ids,
            np.concatenate([self.versions, more.versions]),
            self.values + more.values,
            np.concatenate([self.scores, more.scores]),
            np.concatenate([self.at_s, more.at_s]),
        )


@dataclass(frozen=True, slots=True)
class Label:
    """One label that came in.

    Attributes:
        id: of the prediction it speaks of.
        value: the true class, or the true number as text.
        observed_s: when the truth was known, seconds since 1970.
        source: who said so.
        received_s: when it was acknowledged, seconds since 1970.
    """

    id: str
    value: str
    observed_s: float
    source: str = ""
    received_s: float = 0.0


def standing(labels: Iterable[Label]) -> Label:
    """The label that counts of all that were given for one prediction.

    The source of the earliest received label (by name, where two came at once) is believed; of its
    labels the one observed last counts, then the one received last.

    Args:
        labels: at least one, in any order.

    >>> said = [Label("a", "yes", 10, "shop", 11), Label("a", "no", 30, "bank", 31)]
    >>> standing(said).value, standing([*said, Label("a", "no", 20, "shop", 40)]).value
    ('yes', 'no')
    """
    known = list(labels)
    first = min(known, key=_received).source
    return max((label for label in known if label.source == first), key=_observed)


def _received(label: Label) -> tuple[float, str]:
    return label.received_s, label.source


def _observed(label: Label) -> tuple[float, float, str]:
    return label.observed_s, label.received_s, label.value


@dataclass(frozen=True, slots=True)
class Joined:
    """A label and what became of it.

    Attributes:
        status: only ``accepted`` and ``revised`` change live quality; ``accepted`` alone feeds the
            evidence, which cannot take back a bet.
        label: as it came.
        predicted: the prediction; None when unknown.
        value: what counts for the prediction now, see `standing`; the label's own when unknown.
    """

    status: LabelStatus
    label: Label
    predicted: Predicted | None
    value: str


class _Batch(NamedTuple):
    start: int  # number of its first row among all rows that ever came
    rows: Predictions


class LabelJoiner:
    """The index.

    The laws: the first label is *accepted*, or *late* when its prediction is older than `late_s`.
    One that changes what counts (`standing`) is *revised*; another that says the same as what
    counts is a *duplicate*, and else it is *contradicting*. One without a prediction is *unknown*
    for now, and joins if the prediction arrives.

    >>> joiner = LabelJoiner()
    >>> joiner.predicted(Predictions.of([Predicted("a", 1, "yes", 0.9, 10.0)]))
    []
    >>> labels = [Label("a", value, at) for value, at in (("yes", 11), ("yes", 11), ("no", 12))]
    >>> [joiner.label(label).status.value for label in labels]
    ['accepted', 'duplicate', 'revised']
    """

    def __init__(
        self,
        *,
        late_s: float = LATE_S,
        max_predictions: int = MAX_PREDICTIONS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._late_s = late_s
        self._max_predictions = max_predictions
        self._max_waiting = max_waiting
        self._rows: dict[str, int] = {}  # number of each row among all that ever came
        self._batches: list[_Batch] = []  # of these rows, oldest first
        self._n_rows = 0  # that ever came
        self._labels: dict[str, tuple[Label, ...]] = {}
        self._waiting: OrderedDict[str, list[Label]] = OrderedDict()
        self._n_waiting = 0
        self.counts: Counter[tuple[str, str]] = Counter()
        """Labels by (source, status); a waiting label is counted when its fate is known."""

    @property
    def n_waiting(self) -> int:
        """Labels whose prediction has not arrived."""
        return self._n_waiting

    @property
    def n_predictions(self) -> int:
        """Predictions in the index."""
        return len(self._rows)

    def predicted(self, rows: Predictions) -> list[Joined]:
        """Take predictions; give back the waiting labels that they settle.

        A prediction seen before is ignored.
        """
        ids = rows.ids
        if not ids:
            return []
        found = dict(zip(ids, range(self._n_rows, self._n_rows + len(ids)), strict=True))
        if len(found) < len(ids) or not self._rows.keys().isdisjoint(found):
            places: dict[str, int] = {}
            for place, one in enumerate(ids):
                if one not in self._rows:
                    places.setdefault(one, place)
            return self.predicted(rows.take(list(places.values())))
        self._rows.update(found)
        if self._batches and len(self._batches[-1].rows.ids) + len(ids) <= _SMALL_ROWS:
            before = self._batches.pop()
            self._batches.append(_Batch(before.start, before.rows.with_more(rows)))
        else:
            self._batches.append(_Batch(self._n_rows, rows))
        self._n_rows += len(ids)
        settled: list[Joined] = []
        if self._waiting:
            for one in [one for one in ids if one in self._waiting]:
                waiting = self._waiting.pop(one)
                self._n_waiting -= len(waiting)
                settled.extend(self.label(label) for label in waiting)
        self._forget()
        return settled

    def _forget(self) -> None:
        """The oldest rows beyond the bound."""
        gone = 0
        while (excess := len(self._rows) - self._max_predictions) > 0:
            start, rows = self._batches[gone]
            first = max(self._n_rows - len(self._rows) - start, 0)  # those before are gone already
            for one in rows.ids[first : first + excess]:
                del self._rows[one]
                self._labels.pop(one, None)
            gone += first + excess >= len(rows.ids)
        del self._batches[:gone]

    def _find(self, one: str) -> Predicted | None:
        number = self._rows.get(one)
        if number is None:
            return None
        batch = self._batches[bisect_right(self._batches, number, key=_start) - 1]
        return batch.rows.row(number - batch.start)

    def label(self, label: Label) -> Joined:
        """Take one label and say what became of it."""
        found = self._find(label.id)
        if found is None:
            self._wait(label)
            return Joined(LabelStatus.UNKNOWN, label, None, label.value)
        before = self._labels.get(label.id, ())
        after = _fold((*before, label))
        self._labels[label.id] = after
        value = standing(after).value
        status = self._judge(label, found, standing(before).value if before else None, value)
        self.counts[label.source, status.value] += 1
        return Joined(status, label, found, value)

    def _judge(self, label: Label, found: Predicted, before: str | None, after: str) -> LabelStatus:
        if before is None:
            late = label.observed_s - found.at_s > self._late_s
            return LabelStatus.LATE if late else LabelStatus.ACCEPTED
        if before != after:
            return LabelStatus.REVISED
        return LabelStatus.DUPLICATE if label.value == after else LabelStatus.CONTRADICTING

    def _wait(self, label: Label) -> None:
        self._waiting.setdefault(label.id, []).append(label)
        self._n_waiting += 1
        while self._n_waiting > self._max_waiting:
            _, dropped = self._waiting.popitem(last=False)
            self._n_waiting -= len(dropped)
            for lost in dropped:
                self.counts[lost.source, LabelStatus.UNKNOWN.value] += 1


def _start(batch: _Batch) -> int:
    return batch.start


def _fold(labels: tuple[Label, ...]) -> tuple[Label, ...]:
    """The labels that can still decide: of each source the first received and the last observed."""
    if len(labels) == 1:
        return labels
    firsts: dict[str, Label] = {}
    lasts: dict[str, Label] = {}
    for label in labels:
        source = label.source
        firsts[source] = min(firsts.get(source, label), label, key=_received)
        lasts[source] = max(lasts.get(source, label), label, key=_observed)
    kept = sorted(firsts.values(), key=_received)[:MAX_SOURCES]
    pairs = [(first, lasts[first.source]) for first in kept]
    return tuple(label for pair in pairs for label in dict.fromkeys(pair))
