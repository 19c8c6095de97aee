from __future__ import annotations

import numpy as np

from tenfold.project.measures import Task
from tenfold.training.board import Tried
from tenfold.training.evaluate import Config, Fate, Outcome
from tenfold.training.importance import MIN_SCORED, importances
from tenfold.training.proposals import Proposals
from tests.tenfold.training.conftest import question_of


def searched(n_trials: int) -> list[Tried]:
    """Trials of boosting whose score hangs on ``eta`` alone, and some noise."""
    question, random = question_of(Task.BINARY), np.random.default_rng(0)
    drawn = Proposals(question)
    tried = []
    for number in range(n_trials):
        family, params = drawn.draw(number, among=["boosting"], seconds=lambda _name: 1.0)
        score = 0.8 - abs(np.log(params["eta"] / 0.05)) / 10 + 0.001 * random.normal()
        outcome = Outcome(number, float(score))
        drawn.learn(Config(number, family, params), outcome)
        tried.append(Tried(Config(number, family, params), outcome))
    return tried


def test_the_parameter_that_decides_comes_first() -> None:
    tried = searched(40)
    tried.append(Tried(Config(40, "boosting", {}), Outcome.failure(40, "no", Fate.FAILED)))
    found = importances(question_of(Task.BINARY), tried)
    assert list(found) == ["boosting"]
    names = [name for name, _share in found["boosting"]]
    shares = [share for _name, share in found["boosting"]]
    assert names[0] == "eta"
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1.0 + 1e-9


def test_few_trials_tell_nothing() -> None:
    assert importances(question_of(Task.BINARY), searched(MIN_SCORED - 1)) == {}


def test_a_parameter_that_one_trial_has_is_no_warning() -> None:
    """Warnings are errors here. Leaves are asked for in one way of growing trees only."""
    deep, leafy = [], []
    for one in searched(60):
        (leafy if "max_leaves" in one.config.params else deep).append(one)
    assert importances(question_of(Task.BINARY), [*deep[:MIN_SCORED], leafy[0]])
