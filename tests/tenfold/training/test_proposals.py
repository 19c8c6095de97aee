"""Families are drawn by gain a second, parameters by a model of the scores so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from tenfold.models import COLUMNS, FAMILIES, Traits
from tenfold.project.measures import Task
from tenfold.training.evaluate import Config, Fate, Outcome
from tenfold.training.narrow import shares_to_try
from tenfold.training.proposals import Proposals, expected_gain
from tenfold.training.question import Question

QUESTION = Question(
    Task.BINARY, ("no", "yes"), "roc_auc", False, 3, 0, ("linear", "boosting", "network")
)


def scored(number: int, score: float) -> Outcome:
    return Outcome(number, score, (score,) * 3, early=(score,) * 3)


def told(proposals: Proposals, scores: dict[str, list[float]]) -> int:
    number = 0
    for family, values in scores.items():
        for value in values:
            config = Config(number, family, dict(FAMILIES[family].defaults("binary")[0]))
            proposals.learn(config, scored(number, value))
            number += 1
    return number


def families_of(proposals: Proposals, first: int, seconds: dict[str, float]) -> Counter[str]:
    names = proposals.families
    return Counter(
        proposals.draw(n, among=names, seconds=lambda name: seconds[name])[0]
        for n in range(first, first + 100)
    )


def test_a_family_that_wins_is_drawn_most_and_none_is_forgotten() -> None:
    proposals = Proposals(QUESTION)
    first = told(
        proposals,
        {"linear": [0.6, 0.61], "boosting": [0.9, 0.91, 0.89], "network": [0.7, 0.72]},
    )
    found = families_of(proposals, first, dict.fromkeys(QUESTION.families, 1.0))
    assert found["boosting"] > 80
    assert min(found[name] for name in QUESTION.families) >= 1


def test_of_equals_the_cheap_one_is_drawn_more() -> None:
    proposals = Proposals(QUESTION)
    first = told(proposals, {name: [0.88, 0.9, 0.92] for name in QUESTION.families})
    found = families_of(proposals, first, {"linear": 1.0, "boosting": 4.0, "network": 20.0})
    assert found["linear"] > found["boosting"] > found["network"]


def test_samplers_climb() -> None:
    """After forty draws of one family, later ones lie nearer to the best place than early ones."""
    proposals = Proposals(replace(QUESTION, families=("boosting",)))
    off = []
    for number in range(60):
        family, params = proposals.draw(number, among=("boosting",), seconds=lambda _: 1.0)
        distance = abs(np.log(params["eta"] / 0.07)) + 0.1 * abs(params["max_depth"] - 5)
        off.append(distance)
        proposals.learn(Config(number, family, params), scored(number, 1.0 - distance))
    assert np.mean(off[40:]) < 0.6 * np.mean(off[:12])


def test_equal_histories_give_equal_draws() -> None:
    found = []
    for _ in range(2):
        proposals = Proposals(QUESTION)
        draws = []
        for number in range(20):
            family, params = proposals.draw(number, among=proposals.families, seconds=lambda _: 1.0)
            draws.append((family, params))
            fate = Fate.PRUNED if number % 5 == 4 else Fate.SCORED
            outcome = replace(scored(number, 0.5 + 0.01 * number), fate=fate)
            proposals.learn(Config(number, family, params), outcome)
        found.append(draws)
    assert found[0] == found[1]


def test_what_lies_outside_of_a_space_is_not_taught_to_its_sampler() -> None:
    proposals = Proposals(QUESTION)
    inside = dict(FAMILIES["boosting"].defaults("binary")[0]) | {"max_bin": 256}
    for params in (inside, inside | {"eta": 9.0}, inside | {"rounds": 5}, {"eta": 0.1}):
        proposals.learn(Config(0, "boosting", params), scored(0, 0.9))
    assert len(proposals._studies["boosting"].trials) == 1


def test_wide_tables_try_fewer_columns() -> None:
    wide = replace(QUESTION, families=("boosting",), traits=Traits(n_columns=200))
    proposals = Proposals(wide)
    shares = {
        proposals.draw(n, among=("boosting",), seconds=lambda _: 1.0)[1].get(COLUMNS, 1.0)
        for n in range(60)
    }
    assert shares == set(shares_to_try(200))


def test_a_gain_is_small_far_behind_and_whole_where_nothing_is_known() -> None:
    near = expected_gain([0.9, 0.91, 0.92], 0.92, spread=0.1)
    far = expected_gain([0.5, 0.51, 0.52], 0.92, spread=0.1)
    assert near > 100 * far >= 0.0
    assert expected_gain([], 0.9, spread=0.1) == 0.1
