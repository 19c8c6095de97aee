"""The model of seconds learns what a family costs, and what its parameters do to that."""

from __future__ import annotations

import numpy as np
import pytest

from tenfold.training.clock import TimeModel
from tenfold.training.evaluate import Config, Fate, Outcome

FOLDS = 5


def learned(seconds: list[tuple[str, dict[str, float], float]]) -> TimeModel:
    model = TimeModel(n_cells=60_000, n_folds=FOLDS)
    for number, (family, params, spent) in enumerate(seconds):
        outcome = Outcome(number, 0.5, seconds=spent, early=(0.5,) * FOLDS)
        model.learn(Config(number, family, params), outcome)
    return model


def test_an_unseen_family_costs_by_the_table_and_by_how_the_others_did() -> None:
    plain = learned([])
    assert plain.predict("boosting", {}).seconds == pytest.approx(1.2)
    assert not plain.knows("boosting")
    slow = learned([("linear", {}, 12.0)])
    assert slow.predict("boosting", {}).seconds == pytest.approx(12.0)
    assert slow.predict("boosting", {}).late_s > slow.predict("linear", {}).late_s


def test_parameters_that_cost_are_found() -> None:
    """Seconds in proportion to rounds, and a parameter that does nothing."""
    rng = np.random.default_rng(0)
    rounds = [int(r) for r in np.exp(rng.uniform(3, 7, 40))]
    model = learned([("boosting", {"rounds": r, "eta": rng.random()}, r / 50) for r in rounds])
    for r in (50, 200, 800):
        found = model.predict("boosting", {"rounds": r, "eta": 0.5})
        assert found.seconds == pytest.approx(r / 50, rel=0.25)
        assert found.late_s < 2.0 * found.seconds
    assert model.fastest("boosting") == pytest.approx(min(rounds) / 50)


def test_no_bound_is_not_a_bound_near_zero() -> None:
    """Trees that grow by leaves have depth 0: that says nothing of those that grow by depth."""
    by_depth = [("boosting", {"max_depth": d}, 1.0 * d) for d in (2, 3, 4, 6, 8, 10)]
    leaves = {"max_depth": 0, "max_leaves": 64}
    model = learned([*by_depth, ("boosting", leaves, 5.0), ("boosting", leaves, 5.0)])
    assert model.predict("boosting", leaves).seconds == pytest.approx(5.0, rel=0.3)
    for depth in (3, 9):
        found = model.predict("boosting", {"max_depth": depth}).seconds
        assert found == pytest.approx(depth, rel=0.4)


def test_a_guess_stays_near_what_was_seen() -> None:
    model = learned([("boosting", {"rounds": 10.0 * k}, 1.0 * k) for k in range(1, 9)])
    assert model.predict("boosting", {"rounds": 1e9}).seconds <= 8.0 * np.e + 1e-9


def test_what_was_pruned_counts_as_if_it_had_gone_on() -> None:
    model = TimeModel(n_cells=1, n_folds=FOLDS)
    pruned = Outcome.failure(1, "behind", Fate.PRUNED, seconds=2.0, early=(0.5,))
    model.learn(Config(1, "linear", {}), pruned)
    assert model.predict("linear", {}).seconds == pytest.approx(10.0)


def test_what_failed_at_once_teaches_nothing() -> None:
    model = TimeModel(n_cells=1, n_folds=FOLDS)
    model.learn(Config(1, "linear", {}), Outcome.failure(1, "no", Fate.FAILED, seconds=0.01))
    assert not model.knows("linear")
