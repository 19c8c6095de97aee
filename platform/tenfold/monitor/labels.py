"""Joining labels to predictions, one pass, with a status for every label.

Who calls: the aggregator, from one thread. Predictions and labels may come in any order: a label
whose prediction is still on its way waits. The joiner is an index in memory, rebuilt from the
prediction and label logs after a restart (feed both again; equal input gives equal statuses); it
is no store of its own and its size is bounded.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Joined", "Label", "LabelJoiner", "LabelStatus", "Predicted"]

MAX_PREDICTIONS = 200_000
"""Predictions kept for joining, newest first: about 100 MB of Python objects."""

MAX_WAITING = 20_000
"""Labels that wait for their prediction; beyond it the oldest is counted unknown."""

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


@dataclass(frozen=True, slots=True)
class Label:
    """One label that came in.

    Attributes:
        id: of the prediction it speaks of.
        value: the true class, or the true number as text.
        observed_s: when the truth was known, seconds since 1970.
        source: who said so.
    """

    id: str
    value: str
    observed_s: float
    source: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """A label and what became of it.

    Attributes:
        status: only ``accepted`` and ``revised`` change live quality; ``accepted`` alone feeds the
            evidence, which cannot take back a bet.
        label: as it came.
        predicted: the prediction; None when unknown.
    """

    status: LabelStatus
    label: Label
    predicted: Predicted | None


class LabelJoiner:
    """The index.

    The laws: the same label again is a *duplicate*. A different one is *revised* when the same
    source observed it later (the newest wins), else *contradicting* (the first stays). A label for
    a prediction older than `late_s` is *late*; one without a prediction is *unknown* for now, and
    joins if the prediction arrives.

    >>> joiner = LabelJoiner()
    >>> joiner.predicted([Predicted("a", 1, "yes", 0.9, 10.0)])
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
        self._predicted: OrderedDict[str, Predicted] = OrderedDict()
        self._labels: dict[str, Label] = {}
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
        return len(self._predicted)

    @property
    def n_labelled(self) -> int:
        """Predictions of the index that have a label."""
        return len(self._labels)

    def predicted(self, items: Iterable[Predicted]) -> list[Joined]:
        """Take predictions; give back the waiting labels that they settle.

        A prediction seen before is ignored.
        """
        settled: list[Joined] = []
        for item in items:
            if item.id in self._predicted:
                continue
            self._predicted[item.id] = item
            waiting = self._waiting.pop(item.id, [])
            self._n_waiting -= len(waiting)
            settled.extend(self.label(label) for label in waiting)
        while len(self._predicted) > self._max_predictions:
            gone, _ = self._predicted.popitem(last=False)
            self._labels.pop(gone, None)
        return settled

    def label(self, label: Label) -> Joined:
        """Take one label and say what became of it."""
        found = self._predicted.get(label.id)
        if found is None:
            self._wait(label)
            return Joined(LabelStatus.UNKNOWN, label, None)
        status = self._judge(label, found)
        if status in (LabelStatus.ACCEPTED, LabelStatus.REVISED, LabelStatus.LATE):
            self._labels[label.id] = label
        self.counts[label.source, status.value] += 1
        return Joined(status, label, found)

    def _judge(self, label: Label, found: Predicted) -> LabelStatus:
        before = self._labels.get(label.id)
        if before is None:
            late = label.observed_s - found.at_s > self._late_s
            return LabelStatus.LATE if late else LabelStatus.ACCEPTED
        if before.value == label.value:
            return LabelStatus.DUPLICATE
        newer = label.source == before.source and label.observed_s > before.observed_s
        return LabelStatus.REVISED if newer else LabelStatus.CONTRADICTING

    def _wait(self, label: Label) -> None:
        self._waiting.setdefault(label.id, []).append(label)
        self._n_waiting += 1
        while self._n_waiting > self._max_waiting:
            _, dropped = self._waiting.popitem(last=False)
            self._n_waiting -= len(dropped)
            for lost in dropped:
                self.counts[lost.source, LabelStatus.UNKNOWN.value] += 1
