"""What is counted of an arm: totals of requests that only grow, and merge by addition.

Replicas tell differences, the aggregator keeps sums, the guard of a canary takes differences again.
Seconds are those that the model took (reading the rows and scoring them), not those that a request
waited: both arms of a replica share one event loop, and a slow canary's requests wait for a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tenfold.monitor.levels import MAX_LEVELS

__all__ = ["FAILURES", "LATENCY_EDGES_S", "SLOW_EDGES_S", "ArmTotals", "Pairs"]

FAILURES = ("error", "refused", "not_finite", "late")
"""Why a request counts as failed: the model raised; it refused rows that the champion takes; it
answered a number that is none; it took longer than others may wait for it."""

LATENCY_EDGES_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)
"""Buckets of the seconds that a model takes for a request."""

SLOW_EDGES_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Seconds for one row from which a call is slow, in several grades. From 5 ms on, since less
hurts nobody: threads of one interpreter wait for each other as long as that."""


@dataclass
class Pairs:
    """Rows of the canary that the champion scored, too; one row of a request, some a second.

    Attributes:
        rows: how many.
        own: by level, rows whose score is at the canary's own level.
        theirs_up: by level of the champion, rows at it by the canary's score and not by its own.
        theirs_down: the other way round.
        rank_up: rows at the canary's level by its score, not at the champion's level by its own.
        rank_down: the other way round.
        skipped: rows that could not be compared; they are in no other count.
    """

    rows: int = 0
    own: list[int] = field(default_factory=lambda: [0] * MAX_LEVELS)
    theirs_up: list[int] = field(default_factory=lambda: [0] * MAX_LEVELS)
    theirs_down: list[int] = field(default_factory=lambda: [0] * MAX_LEVELS)
    rank_up: list[int] = field(default_factory=lambda: [0] * MAX_LEVELS)
    rank_down: list[int] = field(default_factory=lambda: [0] * MAX_LEVELS)
    skipped: int = 0


_LISTS = ("own", "theirs_up", "theirs_down", "rank_up", "rank_down")


@dataclass
class ArmTotals:
    """One model's totals under one name. Its owner adds; nobody else changes it.

    Attributes:
        arm: ``champion`` or ``challenger``.
        version: of the registry.
        requests: that it was asked to answer, those that failed included.
        failures: by a word of `FAILURES`.
        latency_cells: requests by `LATENCY_EDGES_S`, one cell more than edges.
        latency_sum_s: their seconds.
        calls: of the model that answered; one may answer several requests together.
        slow: by `SLOW_EDGES_S`, calls that took longer for what one row costs.
        pairs: of a canary.

    >>> total = ArmTotals("champion", 1, requests=3)
    >>> total.add(ArmTotals("champion", 1, requests=2, failures={"error": 1}))
    >>> total.requests, total.failed, total.minus(ArmTotals("champion", 1, requests=3)).requests
    (5, 1, 2)
    >>> ArmTotals.from_dict(total.to_dict()) == total
    True
    """

    arm: str
    version: int
    requests: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    latency_cells: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_EDGES_S) + 1))
    latency_sum_s: float = 0.0
    calls: int = 0
    slow: list[int] = field(default_factory=lambda: [0] * len(SLOW_EDGES_S))
    pairs: Pairs = field(default_factory=Pairs)

    @property
    def key(self) -> str:
        """What the totals of one model under one name are kept by."""
        return f"{self.arm}/{self.version}"

    @property
    def failed(self) -> int:
        """Requests that failed, for whatever reason."""
        return sum(self.failures.values())

    @property
    def is_count(self) -> bool:
        """Whether nothing is negative, as in a difference of totals that only grew."""
        lists = self.latency_cells, self.slow, *(getattr(self.pairs, name) for name in _LISTS)
        single = (
            self.requests,
            self.calls,
            self.pairs.rows,
            self.pairs.skipped,
            *self.failures.values(),
        )
        return min(single) >= 0 and all(min(counts) >= 0 for counts in lists)

    def add(self, other: ArmTotals) -> None:
        """Take in more of the same."""
        self._combine(other, 1)

    def minus(self, other: ArmTotals) -> ArmTotals:
        """What was counted since other totals."""
        made = ArmTotals.from_dict(self.to_dict())
        made._combine(other, -1)
        return made

    def _combine(self, other: ArmTotals, sign: int) -> None:
        self.requests += sign * other.requests
        for reason, count in other.failures.items():
            self.failures[reason] = self.failures.get(reason, 0) + sign * count
        self.latency_cells = _sum(self.latency_cells, other.latency_cells, sign)
        self.latency_sum_s += sign * other.latency_sum_s
        self.calls += sign * other.calls
        self.slow = _sum(self.slow, other.slow, sign)
        self.pairs.rows += sign * other.pairs.rows
        self.pairs.skipped += sign * other.pairs.skipped
        for name in _LISTS:
            mine, its = getattr(self.pairs, name), getattr(other.pairs, name)
            setattr(self.pairs, name, _sum(mine, its, sign))

    def to_dict(self) -> dict[str, Any]:
        """The totals as JSON values."""
        return {
            "arm": self.arm,
            "version": self.version,
            "requests": self.requests,
            "failures": dict(self.failures),
            "latency_cells": list(self.latency_cells),
            "latency_sum_s": self.latency_sum_s,
            "calls": self.calls,
            "slow": list(self.slow),
            "pairs": {
                "rows": self.pairs.rows,
                "skipped": self.pairs.skipped,
                **{name: list(getattr(self.pairs, name)) for name in _LISTS},
            },
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ArmTotals:
        """The inverse of `to_dict`.

        Raises:
            ValueError: its lists have other lengths: it was written by another version of the code.
        """
        pairs = value["pairs"]
        made = cls(
            arm=str(value["arm"]),
            version=int(value["version"]),
            requests=int(value["requests"]),
            failures={str(reason): int(n) for reason, n in value["failures"].items()},
            latency_cells=[int(n) for n in value["latency_cells"]],
            latency_sum_s=float(value["latency_sum_s"]),
            calls=int(value["calls"]),
            slow=[int(n) for n in value["slow"]],
            pairs=Pairs(
                rows=int(pairs["rows"]),
                skipped=int(pairs.get("skipped", 0)),
                **{name: [int(n) for n in pairs[name]] for name in _LISTS},
            ),
        )
        sizes = len(made.latency_cells), len(made.slow), {len(pairs[name]) for name in _LISTS}
        if sizes != (len(LATENCY_EDGES_S) + 1, len(SLOW_EDGES_S), {MAX_LEVELS}):
            raise ValueError(f"totals of an arm have lists of other lengths: {sizes}")
        return made


def _sum(one: Iterable[int], other: Iterable[int], sign: int) -> list[int]:
    return [a + sign * b for a, b in zip(one, other, strict=True)]
