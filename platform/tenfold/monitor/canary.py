"""The guard of a canary: evidence that it does harm or has shifted, and what to do about it.

Four channels, each with a quarter of the allowed chance of a false alarm, which holds for the whole
life of a canary however often one looks (`ChangeMixture`, `tenfold.monitor.rivals`):

``failures``
    requests that failed, against the champion's in the same time.
``latency``
    calls of the model that took over 5 ms to 1 s for what one row costs, in seven grades. A call
    that answered several requests is one of them.
``scores``
    a shift of its scores that nothing innocent explains. Three nulls are bet against, and all three
    must fall: the scores stand where they stood offline, by its own reference (*the model is as it
    was*); its scores are the champion's, on the same rows (*both say the same*); it has moved
    within its reference as the champion has within its own, on the same rows (*the rows moved*). So
    neither drift that moves both alike nor a difference that both had offline takes a canary back.
    Where one of the three is true the chance that all fall is at most that of one. None is where a
    column drifts that the canary reads and the champion does not: without labels that is a shift
    like any other, of a model that may be the better one. Hence *shifted*, and never *worse*.
``crashes``
    replicas that died while the canary scored. Were it innocent, a death would meet it as often as
    it is busy; a bet of a half on each death says that it meets it always. Two deaths prove it.

What is assumed: requests of one second, and distinct rows (a row that repeats counts once, see
`tenfold_serve.pairing`), are bad or not independently of each other, at rates that may change from
second to second; the split is fair to both arms; a reference's rows were drawn like one another.

`CanaryWatch` accumulates, `judge` decides; both are pure, and a journaled `CanaryEvidence` can be
judged again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.monitor.arms import SLOW_EDGES_S, ArmTotals
from tenfold.monitor.evidence import ChangeMixture
from tenfold.monitor.levels import MAX_LEVELS, ScoreLevels
from tenfold.monitor.policy import Action, Decision
from tenfold.monitor.rivals import ALTERNATIVES, LAMBDA_SHARES, mean_bets, rival_bets

__all__ = [
    "CANARY_CHANNELS",
    "SHIFT_SLACK",
    "CanaryEvidence",
    "CanaryWatch",
    "Channel",
    "judge",
    "reference_error",
]

CANARY_CHANNELS = ("failures", "latency", "scores", "crashes")

FALSE_ROLLBACK = 0.01
"""Chance that a canary that is no worse is ever taken back, over all channels together. Of the
scores' quarter `REFERENCE_SHARE` is for references, which are samples, too."""

FAILURE_SLACK = 0.005
"""Share of requests that a canary may fail beyond the champion's, and is still no worse."""

SLOW_RATIO, SLOW_SLACK = 2.0, 0.05
"""A canary may be slow twice as often as the champion, and on a twentieth of the requests more."""

SHIFT_SLACK = 0.1
"""Share of the rows whose score may cross a level before that is a shift."""

REFERENCE_SHARE = 0.5
"""Of the scores' chance of a false alarm: that the shares of either reference are further off than
is allowed for, at any level."""

LEAST_BUSY = 0.02
"""A death is never less likely to meet a canary than so: how busy it is is only measured."""

_EXPLANATIONS = ("own", "theirs", "rank")

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Channel:
    """What one channel knows.

    Attributes:
        evidence: nats, at most a little above the level.
        level: nats at which it is proven.
        champion: the champion's rate since the canary began, or what would be expected.
        challenger: the canary's.
        named: what the rates are of.
    """

    evidence: float
    level: float
    champion: float
    challenger: float
    named: str

    @property
    def proven(self) -> bool:
        """Whether it is at its level."""
        return self.evidence >= self.level


@dataclass(frozen=True, slots=True)
class CanaryEvidence:
    """All that a decision about a canary depends on.

    Attributes:
        champion: version.
        challenger: version of the canary.
        requests: of both arms since the canary began.
        channels: by a name of `CANARY_CHANNELS`.
        enabled: whether the project lets the guard act.
    """

    champion: int
    challenger: int
    requests: tuple[int, int]
    channels: Mapping[str, Channel]
    enabled: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The evidence as JSON values, for the journal."""
        return asdict(self) | {"requests": list(self.requests)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> CanaryEvidence:
        """The inverse of `to_dict`, so that a journal row can be judged again."""
        channels = {name: Channel(**found) for name, found in value["channels"].items()}
        made = {**value, "requests": tuple(value["requests"]), "channels": channels}
        return cls(**made)


def judge(evidence: CanaryEvidence) -> Decision:
    """Whether the canary is taken back.

    >>> bad = Channel(12.0, 9.0, 0.0, 0.25, "requests that fail")
    >>> found = CanaryEvidence(1, 2, (900, 100), {"failures": bad})
    >>> decision = judge(found)
    >>> decision.action.value, decision.version
    ('rollback', 2)
    >>> decision.reason
    'canary 2 is worse than champion 1: requests that fail 25.00 % against 0.00 %'
    """
    proven = {name: found for name, found in evidence.channels.items() if found.proven}
    if not proven:
        return Decision(Action.WAIT, f"canary {evidence.challenger} is not proven worse or shifted")
    worse = _told(*(found for name, found in proven.items() if name != "scores"))
    shifted = _told(*(found for name, found in proven.items() if name == "scores"))
    beside = f"champion {evidence.champion}"
    said = [f"is worse than {beside}: {worse}"] if worse else []
    said += [f"has shifted beside {beside}: {shifted}"] if shifted else []
    reason = f"canary {evidence.challenger} {' and '.join(said)}"
    if not evidence.enabled:
        return Decision(Action.WAIT, f"{reason}; serve.canary_guard is false")
    return Decision(Action.ROLLBACK, reason, version=evidence.challenger)


def _told(*channels: Channel) -> str:
    return "; ".join(
        f"{one.named} {one.challenger:.2%} against {one.champion:.2%}" for one in channels
    ).replace("%", " %")


class CanaryWatch:
    """Accumulates the evidence about one canary. One owner calls it; it reads no clock.

    Args:
        champion: levels of the champion's scores; None where it has none.
        challenger: of the canary's. Scores are watched where both have some and they compare.
        false_rollback: chance of ever a false rollback.
        shift: share of the rows, in (0, 1], whose score may cross a level; 1 allows everything.
    """

    def __init__(
        self,
        champion: ScoreLevels | None,
        challenger: ScoreLevels | None,
        *,
        false_rollback: float = FALSE_ROLLBACK,
        shift: float = SHIFT_SLACK,
    ) -> None:
        self._shift = shift
        self._levels = _compared(champion, challenger)
        n_levels = 0 if self._levels is None else len(self._levels[0].values)
        alpha = false_rollback / len(CANARY_CHANNELS)
        n_bets = len(ALTERNATIVES)
        self._failures = ChangeMixture(1, n_bets, alpha=alpha)
        self._latency = ChangeMixture(len(SLOW_EDGES_S), n_bets, alpha=alpha)
        self._off_chance = REFERENCE_SHARE * alpha / 2.0  # of either reference
        bets_alpha = (1.0 - REFERENCE_SHARE) * alpha
        self._scores = {
            name: ChangeMixture(2 * n_levels, len(LAMBDA_SHARES), alpha=bets_alpha)
            for name in _EXPLANATIONS
        }
        self._totals = ArmTotals("champion", 0), ArmTotals("challenger", 0)
        self._crash_level = -math.log(alpha)
        self._crash_nats = 0.0
        self._deaths, self._met, self._expected = 0, 0, 0.0

    @property
    def requests(self) -> tuple[int, int]:
        """Of champion and canary, so far."""
        return self._totals[0].requests, self._totals[1].requests

    def take(self, champion: ArmTotals, challenger: ArmTotals, *, now_s: float) -> None:
        """Take what both arms did in the same time.

        Args:
            champion: its totals of that time.
            challenger: the canary's.
            now_s: its end, seconds since 1970.
        """
        before = self._totals[0]
        requests = np.array([champion.requests, challenger.requests])
        self._failures.advance(
            rival_bets(
                np.array([[champion.failed], [challenger.failed]]),
                requests,
                champion_rate=_rate(np.array([before.failed]), before.requests),
                ratio=1.0,
                slack=FAILURE_SLACK,
            ),
            now_s=now_s,
        )
        self._latency.advance(
            rival_bets(
                np.array([champion.slow, challenger.slow]),
                np.array([champion.calls, challenger.calls]),
                champion_rate=_rate(np.array(before.slow), before.calls),
                ratio=SLOW_RATIO,
                slack=SLOW_SLACK,
            ),
            now_s=now_s,
        )
        if self._levels is not None and challenger.pairs.rows:
            self._compare(challenger, *self._levels, now_s=now_s)
        for total, new in zip(self._totals, (champion, challenger), strict=True):
            total.add(new)

    def take_death(self, *, in_flight: bool, busy_ratio: float) -> None:
        """Take a replica that died.

        Args:
            in_flight: whether the canary was scoring.
            busy_ratio: share of the time that it was, in [0, 1].
        """
        innocent = min(1.0, max(busy_ratio, LEAST_BUSY))
        self._crash_nats += math.log(0.5 + 0.5 * in_flight / innocent)
        self._deaths += 1
        self._met += in_flight
        self._expected += innocent

    def _compare(
        self, arm: ArmTotals, champion: ScoreLevels, challenger: ScoreLevels, *, now_s: float
    ) -> None:
        pairs, n_levels = arm.pairs, len(champion.values)

        def counts(values: list[int]) -> Counts:
            return np.array(values[:n_levels], dtype=np.int64)

        mine, its = np.array(challenger.shares), np.array(champion.shares)
        off_mine = reference_error(challenger, self._off_chance)
        off_both = off_mine + reference_error(champion, self._off_chance)
        own, none = counts(pairs.own), np.zeros(n_levels, dtype=np.int64)
        # Each explanation both ways: more rows at a level than it says, and fewer.
        more = {
            "own": (own, none, mine + off_mine),
            "theirs": (counts(pairs.theirs_up), counts(pairs.theirs_down), none + 0.0),
            "rank": (counts(pairs.rank_up), counts(pairs.rank_down), mine - its + off_both),
        }
        fewer = {
            "own": (pairs.rows - own, none, 1.0 - mine + off_mine),
            "theirs": (counts(pairs.theirs_down), counts(pairs.theirs_up), none + 0.0),
            "rank": (counts(pairs.rank_down), counts(pairs.rank_up), its - mine + off_both),
        }
        for name, mixture in self._scores.items():
            both = zip(more[name], fewer[name], strict=True)
            plus, minus, bound = (np.concatenate(parts) for parts in both)
            bets = mean_bets(plus, minus, pairs.rows, bound=self._shift + bound)
            mixture.advance(bets, now_s=now_s)

    def channels(self) -> dict[str, Channel]:
        """What every channel knows now; ``scores`` only where they compare."""
        champion, challenger = self._totals
        slow = int(self._latency.log_evidence().argmax()) if self._latency.step else 0
        found = {
            "failures": Channel(
                *_strongest(self._failures),
                _share(champion.failed, champion.requests),
                _share(challenger.failed, challenger.requests),
                "requests that fail",
            ),
            "latency": Channel(
                *_strongest(self._latency),
                _share(champion.slow[slow], champion.calls),
                _share(challenger.slow[slow], challenger.calls),
                f"calls slower than {1000 * SLOW_EDGES_S[slow]:g} ms a row",
            ),
        }
        found["crashes"] = Channel(
            self._crash_nats,
            self._crash_level,
            self._expected / max(1, self._deaths),
            _share(self._met, self._deaths),
            "deaths of replicas while it scored",
        )
        if self._levels is not None:
            found["scores"] = self._score_channel(*self._levels)
        return found

    def _score_channel(self, champion: ScoreLevels, challenger: ScoreLevels) -> Channel:
        weakest = min(self._scores.values(), key=lambda one: _strongest(one)[0])
        own, pairs = self._scores["own"], self._totals[1].pairs
        level = int(own.log_evidence().argmax()) % len(champion.values) if own.step else 0
        named = f"{challenger.values[level]:.4g}"
        what = "above" if challenger.ordered else "of class"
        return Channel(
            *_strongest(weakest),
            challenger.shares[level],
            _share(pairs.own[level], pairs.rows),
            f"its scores {what} {named}, live and at training,",
        )

    def state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        return {
            "failures": self._failures.state(),
            "latency": self._latency.state(),
            "scores": {name: found.state() for name, found in self._scores.items()},
            "crashes": [self._crash_nats, self._deaths, self._met, self._expected],
            "totals": [total.to_dict() for total in self._totals],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state of `state`, of the same two models."""
        self._failures.restore(state["failures"])
        self._latency.restore(state["latency"])
        for name, found in self._scores.items():
            found.restore(state["scores"][name])
        self._crash_nats, self._expected = float(state["crashes"][0]), float(state["crashes"][3])
        self._deaths, self._met = int(state["crashes"][1]), int(state["crashes"][2])
        one, other = (ArmTotals.from_dict(total) for total in state["totals"])
        self._totals = one, other


def reference_error(levels: ScoreLevels, chance: float) -> float:
    """How far a reference's shares may be off, at all its levels together.

    Of ordered scores the inequality of Dvoretzky, Kiefer and Wolfowitz (with Massart's constant)
    bounds all levels at once, also those that were chosen by the sample; of classes Hoeffding's
    does for each.

    Args:
        levels: with their shares and the rows of the reference.
        chance: in (0, 1), that one of them is further off.

    >>> found = ScoreLevels(ordered=True, values=(0.5,), shares=(0.5,), n_rows=10_000)
    >>> round(reference_error(found, 0.000625), 4)
    0.0201
    """
    n_bounds = 1 if levels.ordered else len(levels.values)
    return math.sqrt(math.log(2.0 * n_bounds / chance) / (2.0 * levels.n_rows))


def _compared(
    champion: ScoreLevels | None, challenger: ScoreLevels | None
) -> tuple[ScoreLevels, ScoreLevels] | None:
    if champion is None or challenger is None or not champion.compares_with(challenger):
        return None
    return (champion, challenger) if 0 < len(champion.values) <= MAX_LEVELS else None


def _strongest(mixture: ChangeMixture) -> tuple[float, float]:
    """Evidence of the strongest stream, and the level; no evidence is zero nats."""
    found = mixture.log_evidence()
    best = float(found.max()) if found.size and mixture.step else 0.0
    return (best if np.isfinite(best) else 0.0), mixture.level


def _rate(events: Counts, requests: int) -> Floats:
    """A guess of a rate from what was seen before, without any a hundredth."""
    return np.asarray((events + 0.01) / (requests + 1.0))


def _share(events: int, requests: int) -> float:
    return events / requests if requests else 0.0
