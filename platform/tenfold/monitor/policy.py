"""The policy: evidence in, decision out. Pure, so every journal row can be replayed.

The order of the laws is the policy: broken data first (it must be repaired, not learned), then
safety (a worse model is taken back), then a finished challenger, then harm, then drift.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Action", "Challenger", "Decision", "Evidence", "Rules", "decide"]

WEEK_S = 7 * 86_400.0

PATIENCE = 4
"""Times ``min_labels`` after which a challenger without a proven gain is given up."""


class Action(StrEnum):
    """What to do now."""

    HOLD = "hold"
    WAIT = "wait"
    RETRAIN = "retrain"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Rules:
    """The bounds of the loop, from the project file.

    Attributes:
        enabled: whether harm may start a retrain by itself.
        min_labels: fewest labels since the change; fewer cannot show that a new model helps.
        cooldown_s: shortest time between the starts of two retrains.
        max_per_week: most retrains in seven days: a loop that does not help must end.
        margin: loss by which a model may be worse before that counts.
    """

    enabled: bool = True
    min_labels: int = 500
    cooldown_s: float = 600.0
    max_per_week: int = 20
    margin: float = 0.0


@dataclass(frozen=True, slots=True)
class Challenger:
    """A model beside the champion, or the champion beside the one it replaced.

    ``lower`` and ``upper`` bound the mean of (loss of the other - loss of this model) on the newest
    labels: positive means that this model is better.

    Attributes:
        version: this model.
        gates_hold: whether the project's success gates hold for it.
        n_labels: labelled rows behind the interval.
        lower: anytime-valid or held-out lower end.
        upper: upper end.
        crashed: its process died or its probe failed.
    """

    version: int
    gates_hold: bool
    n_labels: int
    lower: float
    upper: float
    crashed: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a decision depends on.

    Attributes:
        now_s: seconds since 1970.
        broken: columns whose quality evidence is at its level, with the kind, e.g. ``age:missing``.
        harm: the loss evidence is at its level.
        drift: columns whose drift evidence is at its level (``prediction`` for the scores).
        n_labels: labelled predictions since the estimated change (all, when there is none).
        retrain_running: a retrain is under way.
        retrains: start times of past retrains, seconds since 1970.
        challenger: a finished challenger that waits for its fate.
        replaced: the champion of the last promotion compared with the model before it.
    """

    now_s: float
    broken: tuple[str, ...] = ()
    harm: bool = False
    drift: tuple[str, ...] = ()
    n_labels: int = 0
    retrain_running: bool = False
    retrains: tuple[float, ...] = ()
    challenger: Challenger | None = None
    replaced: Challenger | None = None

    def to_dict(self) -> dict[str, Any]:
        """The evidence as JSON values, for the journal."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Evidence:
        """The inverse of `to_dict`, so that a journal row can be decided again.

        >>> seen = Evidence(1.0, broken=("age:missing",), challenger=Challenger(2, True, 9, 0., 1.))
        >>> Evidence.from_dict(seen.to_dict()) == seen
        True
        """
        made = dict(value)
        for name in ("broken", "drift", "retrains"):
            made[name] = tuple(made[name])
        for name in ("challenger", "replaced"):
            made[name] = None if made[name] is None else Challenger(**made[name])
        return cls(**made)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why.

    Attributes:
        action: one of `Action`.
        reason: one sentence for the journal and the status page.
        ask_labels: whether to ask for labels of recent predictions.
        version: the model to promote, or to roll back from.
    """

    action: Action
    reason: str
    ask_labels: bool = False
    version: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The decision as JSON values."""
        return {**asdict(self), "action": self.action.value}


def decide(evidence: Evidence, rules: Rules) -> Decision:
    """What to do now.

    Args:
        evidence: recorded facts; nothing else is read.
        rules: the project's bounds.

    >>> decide(Evidence(now_s=0.0, harm=True, n_labels=800), Rules()).action.value
    'retrain'
    """
    if evidence.broken:
        names = ", ".join(evidence.broken[:5])
        return Decision(
            Action.HOLD, f"data is broken ({names}): repair it, a model must not learn it"
        )
    fate = _judge_models(evidence, rules)
    if fate is not None:
        return fate
    if evidence.retrain_running:
        return Decision(Action.WAIT, "a retrain is running")
    if evidence.harm:
        return _answer_harm(evidence, rules)
    if evidence.drift:
        names = ", ".join(evidence.drift[:5])
        return Decision(
            Action.WAIT,
            f"drift without proven harm ({names}): labels are asked for",
            ask_labels=True,
        )
    return Decision(Action.WAIT, "no evidence of change")


def _judge_models(evidence: Evidence, rules: Rules) -> Decision | None:
    now = evidence.replaced
    if now is not None and (now.crashed or now.upper < -rules.margin):
        why = "crashed" if now.crashed else "is proven worse than the model it replaced"
        return Decision(Action.ROLLBACK, f"version {now.version} {why}", version=now.version)
    new = evidence.challenger
    if new is None:
        return None
    if not new.crashed and new.gates_hold and new.lower > -rules.margin:
        return Decision(
            Action.PROMOTE,
            f"challenger {new.version} is better: loss lower by {new.lower:.4f} to "
            f"{new.upper:.4f} on {new.n_labels} labels",
            version=new.version,
        )
    refused = _refusal(new, rules)
    if refused is None:
        why = f"challenger {new.version} is neither better nor worse yet"
        return Decision(Action.WAIT, why, ask_labels=True)
    # A refused challenger must not keep proven harm from being answered.
    return None if evidence.harm else Decision(Action.WAIT, refused)


def _refusal(new: Challenger, rules: Rules) -> str | None:
    name = f"challenger {new.version} is not promoted: it"
    if new.crashed:
        return f"{name} crashed"
    if not new.gates_hold:
        return f"{name} misses a success gate"
    if new.upper < -rules.margin:
        return f"{name} is worse"
    if new.n_labels >= PATIENCE * rules.min_labels:
        return f"{name} shows no gain on {new.n_labels} labels"
    return None


def _answer_harm(evidence: Evidence, rules: Rules) -> Decision:
    if not rules.enabled:
        return Decision(Action.WAIT, "harm is proven, but retrain.enabled is false")
    if evidence.n_labels < rules.min_labels:
        return Decision(
            Action.WAIT,
            f"harm is proven, {evidence.n_labels} of {rules.min_labels} labels since the change",
            ask_labels=True,
        )
    age = evidence.now_s - max(evidence.retrains, default=float("-inf"))
    if age < rules.cooldown_s:
        return Decision(
            Action.WAIT,
            f"harm is proven, cooling down for {rules.cooldown_s - age:.0f} s more",
        )
    recent = sum(evidence.now_s - start < WEEK_S for start in evidence.retrains)
    if recent >= rules.max_per_week:
        return Decision(
            Action.HOLD,
            f"harm persists after {recent} retrains in seven days: retraining does not help, "
            "look at the data and the labels",
        )
    return Decision(
        Action.RETRAIN, f"harm is proven with {evidence.n_labels} labels since the change"
    )
