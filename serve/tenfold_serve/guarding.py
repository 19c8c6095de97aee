"""The supervisor's part of a canary's guard: counts in, evidence on, a canary back.

One thread calls it. What it knows it can read again: its evidence is a checkpoint in the state
database together with the totals that it has seen, so a supervisor that is killed goes on with the
next difference, and no request counts twice. An aggregator that forgot counts is a new life: one
difference is not taken.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tenfold.artifact import REFERENCE_FILE, read_artifact
from tenfold.canonical import canonical_json
from tenfold.monitor import Action, Reference
from tenfold.monitor.arms import ArmTotals
from tenfold.monitor.canary import SHIFT_SLACK, CanaryEvidence, CanaryWatch, judge
from tenfold.monitor.levels import ScoreLevels
from tenfold.registry import Registry
from tenfold.withdrawal import guard_key, last_withdrawal, withdraw_canary
from tenfold_serve.flight import ended_flights

__all__ = ["Guarding"]

log = logging.getLogger("tenfold.serve")

_CHECKPOINT_S: Final = 5.0
"""Shortest time between checkpoints; an older one costs nothing but a larger difference."""


@dataclass
class _Pair:
    """A canary beside its champion."""

    key: list[Any]  # versions, digests: another key is another canary, from the start
    watch: CanaryWatch
    life: int | None = None  # of the totals
    seen: dict[str, ArmTotals] = field(default_factory=dict)
    saved_s: float = -math.inf


class Guarding:
    """Guards the canaries of one project.

    Args:
        project: its name.
        registry: where shares, aliases and the journal are.
        flights: folder where replicas tell what their canaries do, see `tenfold_serve.flight`.
        enabled: whether it acts; else it only tells.
        shift: share of the rows whose score may cross a level, see `CanaryWatch`.
    """

    def __init__(
        self,
        project: str,
        *,
        registry: Registry,
        flights: Path,
        enabled: bool = True,
        shift: float = SHIFT_SLACK,
    ) -> None:
        self._project = project
        self._registry = registry
        self._flights = flights
        self._enabled = enabled
        self._shift = shift
        self._pair: _Pair | None = None
        self._idle = False  # not known to be: an earlier keeper may have left a checkpoint
        self._told: dict[str, Any] = {}
        self._withdrawn = last_withdrawal(registry, project)

    def idle(self) -> None:
        """No canary answers."""
        ended_flights(self._flights)  # who died before a canary began says nothing of it
        if not self._idle:
            self._registry.state.drop_checkpoint(guard_key(self._project))
        self._idle, self._pair, self._told = True, None, {}

    def follow(
        self, arms: Sequence[Mapping[str, Any]], counted: Mapping[str, Any], *, now_s: float
    ) -> bool:
        """Take what was counted since the last call, and act on it.

        Args:
            arms: that answer, the champion first, the canary second.
            counted: by the aggregator: ``arms`` and ``life``.
            now_s: seconds since 1970.

        Returns:
            Whether the canary was taken back just now.
        """
        pair = self._of(arms)
        for death in ended_flights(self._flights):
            if death.version == arms[1]["version"]:
                pair.watch.take_death(in_flight=death.in_flight, busy_ratio=death.busy_ratio)
                pair.saved_s = -math.inf  # told once: kept at once
        new = self._difference(pair, arms, counted)
        if new is not None:
            pair.watch.take(*new, now_s=now_s)
        evidence = CanaryEvidence(
            champion=int(arms[0]["version"]),
            challenger=int(arms[1]["version"]),
            requests=pair.watch.requests,
            channels=pair.watch.channels(),
            enabled=self._enabled,
        )
        decision = judge(evidence)
        self._told = {"evidence": evidence.to_dict(), "decision": decision.to_dict()}
        if decision.action is Action.ROLLBACK:
            body = {"reason": decision.reason, **self._told, "version": evidence.challenger}
            if withdraw_canary(self._registry, self._project, evidence.challenger, body):
                log.warning("%s: %s", self._project, decision.reason)
                self._withdrawn = last_withdrawal(self._registry, self._project)
                return True
        elif time.monotonic() - pair.saved_s >= _CHECKPOINT_S:
            self._save(pair)
        return False

    def status(self) -> dict[str, Any]:
        """What people see: the evidence about a canary, and why the last one was taken back."""
        told = dict(self._told)
        if self._withdrawn is not None:
            told["withdrawn"] = {
                name: self._withdrawn[name] for name in ("version", "reason", "at", "evidence")
            }
        return told

    def _of(self, arms: Sequence[Mapping[str, Any]]) -> _Pair:
        key = [part for arm in arms[:2] for part in (arm["version"], arm["digest"])]
        if self._pair is not None and self._pair.key == key:
            return self._pair
        champion, canary = (_levels(Path(arm["path"])) for arm in arms[:2])
        pair = _Pair(key, CanaryWatch(champion, canary, shift=self._shift))
        self._restore(pair)
        self._idle, self._pair = False, pair
        return pair

    def _restore(self, pair: _Pair) -> None:
        body = self._registry.state.get_checkpoint(guard_key(self._project))
        if body is None:
            return
        try:
            state = json.loads(body)
            if state["key"] != pair.key:
                return
            seen = {key: ArmTotals.from_dict(each) for key, each in state["seen"].items()}
            pair.watch.restore(state["watch"])
        except (KeyError, TypeError, ValueError):
            log.exception("the guard of %s starts again: its checkpoint is broken", self._project)
            return
        pair.life, pair.seen = state["life"], seen

    def _difference(
        self, pair: _Pair, arms: Sequence[Mapping[str, Any]], counted: Mapping[str, Any]
    ) -> tuple[ArmTotals, ArmTotals] | None:
        """What both arms did since the last difference; None while the canary did nothing."""
        keys = [f"{arm['arm']}/{arm['version']}" for arm in arms[:2]]
        known = {total.key: total for total in map(ArmTotals.from_dict, counted["arms"])}
        now = {
            key: known.get(key, ArmTotals(arm["arm"], int(arm["version"])))
            for key, arm in zip(keys, arms, strict=False)
        }
        if pair.life != counted["life"]:  # the first look, or an aggregator that forgot some
            pair.life, pair.seen = counted["life"], now
            return None
        champion, canary = (now[key].minus(pair.seen[key]) for key in keys)
        if not (champion.is_count and canary.is_count):  # totals that were forgotten: begin again
            pair.seen = now
            return None
        if not canary.requests:  # the champion's wait for it: a difference is of the same time
            return None
        pair.seen = now
        return champion, canary

    def _save(self, pair: _Pair) -> None:
        pair.saved_s = time.monotonic()
        state = {
            "key": pair.key,
            "life": pair.life,
            "seen": {key: total.to_dict() for key, total in pair.seen.items()},
            "watch": pair.watch.state(),
        }
        self._registry.state.put_checkpoint(guard_key(self._project), canonical_json(state))


def _levels(folder: Path) -> ScoreLevels | None:
    reference = read_artifact(folder).files.get(REFERENCE_FILE)
    return None if reference is None else ScoreLevels.of(Reference.from_bytes(reference))
