from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.monitor import Action, Challenger, Decision, Evidence, Rules, decide
from tenfold.monitor.policy import WEEK_S

NOW = 10 * WEEK_S
CALM = Evidence(now_s=NOW, n_labels=5000)
HARM = replace(CALM, harm=True)
BETTER = Challenger(4, gates_hold=True, n_labels=900, lower=0.01, upper=0.05)
WORSE = replace(BETTER, lower=-0.05, upper=-0.01)
UNSURE = replace(BETTER, lower=-0.01, upper=0.02)
SPENT = tuple(NOW - 3600.0 * k for k in range(1, 21))

TABLE: list[tuple[str, Evidence, Rules, Action, bool]] = [
    ("calm", CALM, Rules(), Action.WAIT, False),
    ("broken data alone", replace(CALM, broken=("age:missing",)), Rules(), Action.HOLD, False),
    ("broken data beats harm", replace(HARM, broken=("age:missing",)), Rules(), Action.HOLD, False),
    (
        "broken data beats a better challenger",
        replace(CALM, broken=("a:unseen",), challenger=BETTER),
        Rules(),
        Action.HOLD,
        False,
    ),
    ("drift alone asks for labels", replace(CALM, drift=("age",)), Rules(), Action.WAIT, True),
    ("harm retrains", HARM, Rules(), Action.RETRAIN, False),
    ("harm and drift retrain", replace(HARM, drift=("age",)), Rules(), Action.RETRAIN, False),
    ("harm, too few labels", replace(HARM, n_labels=499), Rules(), Action.WAIT, True),
    ("harm, just enough labels", replace(HARM, n_labels=500), Rules(), Action.RETRAIN, False),
    ("harm, cooling down", replace(HARM, retrains=(NOW - 599,)), Rules(), Action.WAIT, False),
    ("harm, cooled down", replace(HARM, retrains=(NOW - 600,)), Rules(), Action.RETRAIN, False),
    ("harm, budget spent", replace(HARM, retrains=SPENT), Rules(), Action.HOLD, False),
    (
        "harm, old retrains do not count",
        replace(HARM, retrains=tuple(t - WEEK_S for t in SPENT)),
        Rules(),
        Action.RETRAIN,
        False,
    ),
    ("harm, retrain is off", HARM, Rules(enabled=False), Action.WAIT, False),
    ("a retrain runs", replace(HARM, retrain_running=True), Rules(), Action.WAIT, False),
    ("better challenger", replace(HARM, challenger=BETTER), Rules(), Action.PROMOTE, False),
    ("unsure challenger", replace(HARM, challenger=UNSURE), Rules(), Action.WAIT, True),
    (
        "within the margin is good enough",
        replace(CALM, challenger=UNSURE),
        Rules(margin=0.015),
        Action.PROMOTE,
        False,
    ),
    ("worse challenger", replace(CALM, challenger=WORSE), Rules(), Action.WAIT, False),
    (
        "a refused challenger does not hide harm",
        replace(HARM, challenger=WORSE),
        Rules(),
        Action.RETRAIN,
        False,
    ),
    (
        "a challenger that misses a gate",
        replace(CALM, challenger=replace(BETTER, gates_hold=False)),
        Rules(),
        Action.WAIT,
        False,
    ),
    (
        "a challenger that crashed",
        replace(CALM, challenger=replace(BETTER, crashed=True)),
        Rules(),
        Action.WAIT,
        False,
    ),
    (
        "a challenger without gain is given up",
        replace(HARM, challenger=replace(UNSURE, n_labels=2000)),
        Rules(),
        Action.RETRAIN,
        False,
    ),
    ("a worse champion", replace(HARM, replaced=WORSE), Rules(), Action.ROLLBACK, False),
    (
        "a crashed champion",
        replace(CALM, replaced=replace(BETTER, crashed=True)),
        Rules(),
        Action.ROLLBACK,
        False,
    ),
    ("a champion that helped", replace(CALM, replaced=BETTER), Rules(), Action.WAIT, False),
]


@pytest.mark.parametrize(("evidence", "rules", "action", "asks"), [c[1:] for c in TABLE],
                         ids=[c[0] for c in TABLE])  # fmt: skip
def test_the_table(evidence: Evidence, rules: Rules, action: Action, asks: bool) -> None:
    decision = decide(evidence, rules)
    assert (decision.action, decision.ask_labels) == (action, asks), decision.reason
    assert decision.reason


def test_models_are_named_by_version() -> None:
    assert decide(replace(CALM, challenger=BETTER), Rules()).version == 4
    assert decide(replace(CALM, replaced=WORSE), Rules()).version == 4
    assert decide(HARM, Rules()).version is None


evidences = st.builds(
    Evidence,
    now_s=st.just(NOW),
    broken=st.sampled_from([(), ("age:missing",)]),
    harm=st.booleans(),
    drift=st.sampled_from([(), ("age",)]),
    n_labels=st.integers(0, 2000),
    retrain_running=st.booleans(),
    retrains=st.lists(st.floats(0, NOW), max_size=25).map(tuple),
    challenger=st.sampled_from([None, BETTER, WORSE, UNSURE]),
    replaced=st.sampled_from([None, BETTER, WORSE, UNSURE]),
)


@given(evidences, st.builds(Rules, enabled=st.booleans()))
def test_laws_that_hold_whatever_the_evidence(evidence: Evidence, rules: Rules) -> None:
    action = decide(evidence, rules).action
    if evidence.broken:
        assert action is Action.HOLD
    if action is Action.RETRAIN:
        assert rules.enabled and evidence.harm and not evidence.retrain_running
        assert evidence.n_labels >= rules.min_labels
        recent = [start for start in evidence.retrains if NOW - start < WEEK_S]
        assert len(recent) < rules.max_per_week
        assert all(NOW - start >= rules.cooldown_s for start in evidence.retrains)
    if action is Action.PROMOTE:
        assert evidence.challenger == BETTER


@given(evidences)
def test_a_journal_row_can_be_decided_again(evidence: Evidence) -> None:
    row = json.loads(json.dumps(evidence.to_dict()))
    assert decide(Evidence.from_dict(row), Rules()) == decide(evidence, Rules())


def test_the_loop_is_bounded_while_harm_never_ends() -> None:
    retrains: tuple[float, ...] = ()
    held = False
    for minute in range(6 * 24 * 60):
        now = NOW + 60.0 * minute
        decision = decide(replace(HARM, now_s=now, retrains=retrains), Rules())
        if decision.action is Action.RETRAIN:
            retrains = (*retrains, now)
        held = held or decision.action is Action.HOLD
    assert len(retrains) == Rules().max_per_week and held
    assert min(b - a for a, b in itertools.pairwise(retrains)) >= 600.0


def test_a_decision_is_a_journal_row() -> None:
    decision = Decision(Action.PROMOTE, "because", version=4)
    assert json.loads(json.dumps(decision.to_dict())) == {
        "action": "promote",
        "reason": "because",
        "ask_labels": False,
        "version": 4,
    }
