from __future__ import annotations

import numpy as np
import pytest

from tenfold.evaluation import Judged, measure
from tenfold.models.calibration import NO_CALIBRATION
from tenfold.project.measures import Task
from tenfold.training.calibrate import choose_calibration, fit_isotonic, fit_temperature
from tests.tenfold.training.test_blend import judge_of


def drawn(n_rows: int, *, share: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth drawn from probabilities, which are therefore calibrated."""
    random = np.random.default_rng(seed)
    p = random.beta(2 * share, 2 * (1 - share), size=n_rows)
    return (random.random(n_rows) < p).astype(np.int64), p


def pair(p: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - p, p])


def sharpened(p: np.ndarray, power: float) -> np.ndarray:
    odds = (p / (1 - p)) ** power
    return odds / (1 + odds)


def loss(truth: np.ndarray, scores: np.ndarray) -> float:
    return measure("log_loss", Judged(Task.BINARY, truth, scores, truth))


def test_what_is_calibrated_is_left_alone() -> None:
    truth, p = drawn(6_000)
    assert choose_calibration(judge_of(Task.BINARY, truth), pair(p)) == NO_CALIBRATION


def test_too_sure_answers_get_a_temperature_close_to_the_truth() -> None:
    truth, p = drawn(1_500)  # too few of a class for a curve
    made = choose_calibration(judge_of(Task.BINARY, truth), pair(sharpened(p, 2.5)))
    assert made.knots == ()
    assert made.temperature == pytest.approx(2.5, rel=0.15)


def test_a_bend_that_no_temperature_mends_gets_a_curve_that_keeps_the_order() -> None:
    truth, p = drawn(8_000)
    bent = pair(p**3)
    judge = judge_of(Task.BINARY, truth)
    made = choose_calibration(judge, bent)
    assert made.knots
    assert len(made.knots) <= 62
    fresh_truth, fresh = drawn(8_000, seed=9)
    warm = fit_temperature(bent, truth)
    plain, curved, warmed = (
        loss(fresh_truth, scores)
        for scores in (pair(fresh**3), made.apply(pair(fresh**3)), warm.apply(pair(fresh**3)))
    )
    assert curved < warmed - 0.005
    assert curved < plain - 0.02
    order = np.argsort(fresh)
    assert np.all(np.diff(made.apply(pair(fresh**3))[order, 1]) > 0)


def test_a_rare_class_gets_no_curve() -> None:
    truth, p = drawn(8_000, share=0.05)
    assert truth.sum() < 1_000
    assert choose_calibration(judge_of(Task.BINARY, truth), pair(p**3)).knots == ()


def test_few_rows_are_left_alone() -> None:
    truth, p = drawn(900)
    judge = judge_of(Task.BINARY, truth)
    assert choose_calibration(judge, pair(sharpened(p, 3.0))) == NO_CALIBRATION


def test_classes_get_a_temperature_and_numbers_nothing() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(4_000, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (random.random((4_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    sure = p**3 / (p**3).sum(axis=1, keepdims=True)
    made = choose_calibration(judge_of(Task.MULTICLASS, truth), sure)
    assert made.temperature == pytest.approx(3.0, rel=0.15)
    numbers = random.normal(size=4_000)
    assert choose_calibration(judge_of(Task.REGRESSION, numbers), numbers[:, None]).is_none


@pytest.mark.parametrize("p", [np.full(2_000, 0.4), np.r_[np.zeros(1_000), np.ones(1_000)]])
def test_a_curve_of_few_different_scores_is_still_a_curve(p: np.ndarray) -> None:
    truth = (np.arange(2_000) % 2).astype(np.intp)
    made = fit_isotonic(pair(p), truth)
    assert np.isfinite(made.apply(pair(p))).all()
