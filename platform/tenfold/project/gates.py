"""Success gates: ``roc_auc >= 0.92``, checked by a machine before a model is promoted."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from typing import Literal, cast

from tenfold.project.measures import MEASURES

__all__ = ["Gate"]

Op = Literal[">=", "<=", ">", "<"]
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FORM = re.compile(rf"\s*([A-Za-z_]\w*)\s*(>=|<=|>|<)\s*({_NUMBER})\s*", re.ASCII)
_RISING = (">=", ">")


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound that a model must keep to be promoted.

    Attributes:
        metric: a name in `MEASURES`.
        op: the comparison that must hold.
        threshold: the bound, in the metric's own unit.

    >>> gate = Gate.parse("roc_auc >= 0.92")
    >>> gate.holds(0.93), gate.holds(0.91), gate.holds(float("nan")), str(gate)
    (True, False, False, 'roc_auc >= 0.92')
    """

    metric: str
    op: Op
    threshold: float

    @classmethod
    def parse(cls, text: object) -> Gate:
        """Read a gate as a person writes it.

        Raises:
            ValueError: the form, the metric or the direction is wrong; the message says the remedy.

        >>> Gate.parse("roc_acu >= 0.9")
        Traceback (most recent call last):
        ValueError: must name a known metric; 'roc_acu' is none, did you mean 'roc_auc'?
        """
        if isinstance(text, cls):
            return text
        found = _FORM.fullmatch(text) if isinstance(text, str) else None
        if found is None or not math.isfinite(float(found[3])):
            raise ValueError("must read 'metric >= number', for example 'roc_auc >= 0.92'")
        metric, op, threshold = found[1], cast(Op, found[2]), float(found[3])
        gate = cls(metric, op, threshold)
        gate._obey()
        return gate

    def _obey(self) -> None:
        """Refuse what no model could mean."""
        measure = MEASURES.get(self.metric)
        if measure is None:
            near = difflib.get_close_matches(self.metric, MEASURES, n=1)
            hint = f"did you mean '{near[0]}'?" if near else "choose from " + ", ".join(MEASURES)
            raise ValueError(f"must name a known metric; '{self.metric}' is none, {hint}")
        rising = self.op in _RISING
        if rising != (measure.direction == "maximize"):
            better, write = ("larger", ">=") if not rising else ("smaller", "<=")
            raise ValueError(
                f"must point the way that is better: a {better} {self.metric} is better, "
                f"write '{self.metric} {write} {self.threshold:g}'"
            )
        low, high = measure.lowest, measure.highest
        below = low is not None and self.threshold < low
        above = high is not None and self.threshold > high
        if below or above:
            span = (
                f"from {low:g} to {high:g}"
                if low is not None and high is not None
                else (f"{low:g} or more" if low is not None else f"{high:g} or less")
            )
            raise ValueError(f"must be reachable: {self.metric} is {span}")

    def holds(self, value: float) -> bool:
        """Whether a measured value keeps the bound; a value that is not a number never does."""
        match self.op:
            case ">=":
                return value >= self.threshold
            case "<=":
                return value <= self.threshold
            case ">":
                return value > self.threshold
            case "<":
                return value < self.threshold

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.threshold:.12g}"
