from __future__ import annotations

import numpy as np
import pytest

from tenfold.monitor import FeatureBins, FrozenBins, Reference, build_reference
from tenfold.monitor.levels import MAX_LEVELS, ScoreLevels, score_ranks

BINS = FrozenBins((FeatureBins.of_numbers("age", [0.0], -4.0, 4.0),))


def reference(scores: object) -> Reference:
    return build_reference(BINS, np.zeros((500, 1)), scores=scores)


def test_levels_of_a_number_are_near_its_deciles() -> None:
    scores = np.random.default_rng(0).normal(50.0, 10.0, size=(4000, 1))
    levels = ScoreLevels.of(reference(scores))
    assert levels is not None and levels.ordered and levels.n_rows == 4000
    assert levels.shares == pytest.approx((0.9, 0.75, 0.5, 0.25, 0.1), abs=0.03)
    assert levels.asked(scores).mean(axis=0) == pytest.approx(levels.shares, abs=1e-9)
    assert not levels.asked([[float("nan")]]).any()


def test_levels_of_classes_are_the_classes() -> None:
    generator = np.random.default_rng(0)
    scores = generator.dirichlet([5.0, 3.0, 1.0], size=3000)
    levels = ScoreLevels.of(reference(scores))
    assert levels is not None and not levels.ordered and levels.values == (0.0, 1.0, 2.0)
    assert sum(levels.shares) == pytest.approx(1.0)
    assert levels.asked(scores).mean(axis=0) == pytest.approx(levels.shares)
    many = ScoreLevels.of(reference(generator.dirichlet(np.ones(30), size=3000)))
    assert many is not None and len(many.values) == MAX_LEVELS
    assert not many.compares_with(levels) and levels.compares_with(levels)


def test_a_model_without_scores_has_no_levels() -> None:
    assert ScoreLevels.of(build_reference(BINS, np.zeros((500, 1)))) is None
    constant = ScoreLevels.of(reference(np.full((500, 1), 3.0)))
    assert constant is not None and len(constant.values) == 5


def test_ranks_spread_evenly_over_the_scores_of_the_reference() -> None:
    scores = np.random.default_rng(1).random((2000, 1))
    made = reference(scores)
    cells = np.asarray(made.bins.split(made.totals)[-1])
    ranks = score_ranks(made, cells)
    assert ranks is not None and ranks["edges"][0] == 0.0 and ranks["edges"][-1] == 1.0
    assert len(ranks["cells"]) == len(ranks["edges"]) + 1 and sum(ranks["cells"]) == 2000
    assert np.diff(ranks["edges"]).min() > 0
    assert np.cumsum(ranks["cells"])[:-1] / 2000 == pytest.approx(ranks["edges"], abs=1e-3)
    classes = reference(np.random.default_rng(1).dirichlet([1.0, 1.0, 1.0], size=500))
    assert score_ranks(classes, cells) is None
