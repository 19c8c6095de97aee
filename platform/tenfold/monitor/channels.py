"""The channels of a monitor: which evidence there is, and how the false-alarm bound is shared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.monitor.evidence import ChangeMixture

__all__ = ["CHANNELS", "SHARES", "Channel"]

SHARES = {"quality": 0.2, "feature": 0.2, "prediction": 0.2, "harm": 0.4}
"""How the false-alarm bound is spent. Harm starts retrains, so it gets the most power."""

CHANNELS = tuple(SHARES)

REFERENCE_SHARE = 0.1
"""Part of a channel's share that pays for not knowing the reference's rates exactly."""


@dataclass
class Channel:
    """One kind of evidence over its streams.

    Attributes:
        name: one of `CHANNELS`.
        streams: what each stream is called, e.g. ``"age"`` or ``"age:missing"``.
        mixture: the evidence.
        first_alarm_s: when it first alarmed; stays for the life of the model version.
        change: step and time where the alarmed stream began to rise, as estimated when the present
            alarm began (later, mild bets that wandered up before the change take the lead); None
            without an alarm.
    """

    name: str
    streams: tuple[str, ...]
    mixture: ChangeMixture
    first_alarm_s: float | None = None
    change: tuple[int, float] | None = None

    @property
    def active(self) -> bool:
        """Whether the evidence is at its level now."""
        return bool(self.mixture.alarmed().any())

    @property
    def named(self) -> tuple[str, ...]:
        """Streams at the level now, the strongest first."""
        evidence = self.mixture.log_evidence()
        order = np.argsort(-evidence, kind="stable")
        return tuple(self.streams[i] for i in order if evidence[i] >= self.mixture.level)

    def latch(self, now_s: float) -> None:
        """Look at the evidence after a step: remember when an alarm began, forget when it ended."""
        if not self.active:
            self.change = None
            return
        if self.first_alarm_s is None:
            self.first_alarm_s = now_s
        if self.change is None:
            self.change = self.mixture.change(int(self.mixture.log_evidence().argmax()))

    def state(self) -> dict[str, Any]:
        """What is remembered, as JSON values."""
        return {"first_alarm_s": self.first_alarm_s, "change": self.change}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of `state`."""
        self.first_alarm_s = state["first_alarm_s"]
        change = state["change"]
        self.change = None if change is None else (int(change[0]), float(change[1]))

    def snapshot(self) -> dict[str, Any]:
        """For status, exporter and journal; the units of evidence and level are nats.

        The evidence of the channel is its strongest stream's, less the price of having many.
        """
        price = math.log(max(len(self.streams), 1))
        evidence = self.mixture.log_evidence()
        top = float(evidence.max()) - price if len(evidence) else 0.0
        return {
            "evidence": top if math.isfinite(top) else 0.0,
            "level": self.mixture.level - price,
            "active": self.active,
            "first_alarm_s": self.first_alarm_s,
            "named": list(self.named),
            "change_s": None if self.change is None else self.change[1],
            "false_alarm": self.mixture.alpha,
        }


def alphas(false_alarm: float) -> dict[str, tuple[float, float]]:
    """For each channel: the chance spent on evidence, and on the reference's limits.

    >>> sum(map(sum, alphas(0.01).values()))
    0.01
    """
    return {
        name: (false_alarm * share * (1.0 - REFERENCE_SHARE), false_alarm * share * REFERENCE_SHARE)
        for name, share in SHARES.items()
    }
