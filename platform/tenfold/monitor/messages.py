"""What replicas and the feedback path tell the monitor, and the guard against hearing it twice."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.monitor.packing import pack, unpack

__all__ = ["CountsMessage", "Outcome", "SeenMessages"]

MAX_SENDERS = 256
"""Replica lives remembered; the one silent longest is forgotten first."""

MAX_MISSING = 64
"""Skipped numbers remembered per sender; older ones count as lost for good."""


@dataclass(frozen=True, eq=False)
class CountsMessage:
    """The counts of a replica since its last message.

    Attributes:
        version: of the model that answered; a message for another version is not counted.
        replica: name of the sender.
        epoch: changes when the replica restarts, e.g. its start time in nanoseconds.
        seq: from 0, one more with each message of an epoch.
        n_rows: rows counted; each column's cells sum to it.
        counts: int64 ``(n_cells,)`` of the model's `FrozenBins`.
        ended_s: when the last row was counted, seconds since 1970.
        n_errors: requests refused or failed, by reason.
        n_dropped: rows answered but not counted (full buffer).
        busy_s: time spent on counting.
    """

    version: int
    replica: str
    epoch: int
    seq: int
    n_rows: int
    counts: npt.NDArray[np.int64]
    ended_s: float
    n_errors: dict[str, int] | None = None
    n_dropped: int = 0
    busy_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The message as JSON values."""
        bare = {name: getattr(self, name) for name in _FIELDS}
        return {**bare, "counts": pack(self.counts)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> CountsMessage:
        """The inverse of `to_dict`."""
        return cls(**{**value, "counts": unpack(value["counts"])})


_FIELDS = tuple(name for name in CountsMessage.__dataclass_fields__ if name != "counts")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A prediction whose label is known.

    Attributes:
        id: of the prediction.
        value: what was answered: a class, or a number as text.
        label: what is true, of the same kind.
        score: probability of the positive class, or the number; None if unknown.
        revised: the label replaces an earlier one: live quality takes it, evidence does not.
        at_s: when the prediction was answered, seconds since 1970; the change point is told in this
            time, not in that of the labels, which may come days later. None if unknown.
    """

    id: str
    value: str
    label: str
    score: float | None = None
    revised: bool = False
    at_s: float | None = None


class SeenMessages:
    """Numbers that were heard, per (replica, epoch): once each, in any order.

    >>> seen = SeenMessages()
    >>> [seen.is_new("r", 1, seq) for seq in (0, 0, 2, 1, 1)], seen.n_missing
    ([True, False, True, True, False], 0)
    """

    def __init__(self) -> None:
        self._senders: OrderedDict[tuple[str, int], tuple[int, set[int]]] = OrderedDict()
        self._forgotten = 0

    @property
    def n_missing(self) -> int:
        """Messages that were skipped and have not come since."""
        return self._forgotten + sum(len(missing) for _, missing in self._senders.values())

    def is_new(self, replica: str, epoch: int, seq: int) -> bool:
        """Whether this number is heard for the first time; it is remembered."""
        key = replica, epoch
        last, missing = self._senders.pop(key, (-1, set()))
        new = seq > last or seq in missing
        if seq > last:
            # A jump is kept short: only the newest skipped numbers can still come.
            kept = range(max(last + 1, seq - MAX_MISSING), seq)
            self._forgotten += seq - last - 1 - len(kept)
            missing = missing | set(kept)
            last = seq
        missing.discard(seq)
        for gone in sorted(missing)[:-MAX_MISSING]:
            missing.discard(gone)
            self._forgotten += 1
        self._senders[key] = last, missing
        while len(self._senders) > MAX_SENDERS:
            _, (_, lost) = self._senders.popitem(last=False)
            self._forgotten += len(lost)
        return new

    def state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        senders = [[*key, last, sorted(missing)] for key, (last, missing) in self._senders.items()]
        return {"senders": senders, "forgotten": self._forgotten}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of `state`."""
        self._forgotten = int(state["forgotten"])
        self._senders = OrderedDict(
            ((str(replica), int(epoch)), (int(last), set(missing)))
            for replica, epoch, last, missing in state["senders"]
        )
