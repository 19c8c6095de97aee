"""The best of many is judged again with luck that it has not had, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfold.project.measures import Task
from tenfold.training.board import Tried
from tenfold.training.evaluate import Config, Outcome, evaluate, stopping_rows
from tenfold.training.folds import STOP_EVERY
from tenfold.training.search import Material
from tenfold.training.second_look import FEW_ROWS, LOOKS, MIN_TRIED, look_again
from tests.tenfold.training.conftest import case_of

LINEAR, BOOSTING = 1, 2
CONFIGS = {
    LINEAR: Config(LINEAR, "linear", {"c": 1.0}),
    BOOSTING: Config(BOOSTING, "boosting", {"eta": 0.2, "max_depth": 3, "subsample": 0.6}),
}


class Case:
    """A search that scored forty configurations; two of them are candidates."""

    def __init__(self) -> None:
        self.material: Material = case_of(Task.BINARY, n_rows=600)[0]
        work = self.material.workspace()
        self.tried = {
            number: Tried(config, evaluate(work, config)) for number, config in CONFIGS.items()
        }
        poor = Config(0, "boosting", {"eta": 0.1, "max_depth": 2})
        for number in range(len(self.tried) + 1, MIN_TRIED + 1):
            outcome = Outcome(number, 0.5, seconds=0.1)
            self.tried[number] = Tried(replace(poor, number=number), outcome)
        self.oofs: dict[int, NDArray[np.float32]] = {}
        for number in CONFIGS:
            oof = self.tried[number].outcome.oof
            assert oof is not None
            self.oofs[number] = oof


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def test_what_has_luck_is_judged_by_other_seeds_and_stopping_rows(case: Case) -> None:
    tried, oofs = look_again(case.material, case.tried, case.oofs)
    assert oofs[LINEAR] is case.oofs[LINEAR]
    assert tried[LINEAR] is case.tried[LINEAR]
    looks = [
        evaluate(case.material.workspace(look=look), CONFIGS[BOOSTING])
        for look in range(1, LOOKS + 1)
    ]
    expected = np.mean([look.oof for look in looks], axis=0, dtype=np.float64)
    assert np.array_equal(oofs[BOOSTING], expected.astype(np.float32), equal_nan=True)
    assert not np.array_equal(oofs[BOOSTING], case.oofs[BOOSTING], equal_nan=True)
    judged = np.isnan(case.oofs[BOOSTING])
    assert np.array_equal(np.isnan(oofs[BOOSTING]), judged)  # the same folds
    rounds = [case.tried[BOOSTING].outcome.rounds, *(look.rounds for look in looks)]
    assert tried[BOOSTING].outcome.rounds == round(np.mean(rounds))


def test_the_best_of_few_is_believed(case: Case) -> None:
    few = {number: case.tried[number] for number in CONFIGS}
    tried, oofs = look_again(case.material, few, case.oofs)
    assert tried is few
    assert oofs is case.oofs


def test_there_must_be_time_for_it(case: Case) -> None:
    tried, oofs = look_again(case.material, case.tried, case.oofs, left_s=lambda: 0.0)
    assert tried is case.tried
    assert oofs is case.oofs
    again = look_again(case.material, case.tried, case.oofs, left_s=lambda: 1e6)[1]
    assert again is not case.oofs


def test_candidates_without_time_are_left_out_not_compared(case: Case) -> None:
    """Six candidates, of which one is slow: the others are looked at, it is no candidate more."""
    slow = replace(case.tried[BOOSTING].outcome, seconds=50.0)
    tried = case.tried | {BOOSTING: Tried(CONFIGS[BOOSTING], slow)}
    for number in range(3, 7):
        config = replace(CONFIGS[BOOSTING], number=number, params={"eta": 0.3, "max_depth": 2})
        tried[number] = Tried(config, replace(slow, number=number, seconds=0.1))
    oofs = case.oofs | dict.fromkeys(range(3, 7), case.oofs[BOOSTING])
    found = look_again(case.material, tried, oofs, left_s=lambda: 10.0)[1]
    assert list(found) == [LINEAR, 3, 4, 5, 6]
    assert not np.array_equal(found[3], oofs[3], equal_nan=True)


def test_many_rows_leave_little_to_luck(case: Case) -> None:
    more = -(-FEW_ROWS // case.material.rows.n_rows)
    rows = case.material.rows.take(np.tile(np.arange(case.material.rows.n_rows), more))
    many = replace(case.material, rows=rows)
    assert look_again(many, case.tried, case.oofs)[1] is case.oofs


def test_a_family_without_luck_is_left_as_it_is(case: Case) -> None:
    only = {LINEAR: case.oofs[LINEAR]}
    assert look_again(case.material, case.tried, only)[1][LINEAR] is only[LINEAR]


def test_each_look_is_stopped_by_rows_of_its_own() -> None:
    position = np.arange(1_000)
    held = [stopping_rows(position, ordered=False, look=look) for look in range(LOOKS + 1)]
    assert all(hold.sum() == len(position) // STOP_EVERY for hold in held)
    assert np.sum(held, axis=0).max() == 1
    first, again = (stopping_rows(position, ordered=True, look=look) for look in (0, 1))
    assert np.array_equal(first, again)  # only the newest can judge
