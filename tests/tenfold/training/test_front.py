from __future__ import annotations

import math

import numpy as np

from tenfold.project.measures import Task
from tenfold.training.blend import Mix
from tenfold.training.front import Point, behind_of, choose_point, resampled, standard_error
from tests.tenfold.training.test_blend import judge_of, noisy_numbers


def point(behind: float, micros: float, *, members: int = 1) -> Point:
    weights = tuple((n, 1.0 / members) for n in range(members))
    return Point(Mix(weights, 0.0), behind, micros, 1)


def test_behind_is_counted_in_errors_of_the_difference_on_the_same_rows() -> None:
    truth, scores = noisy_numbers()
    judge = judge_of(Task.REGRESSION, truth)
    worse = scores[0] + 0.002 * np.sign(scores[0] - truth[:, None])
    near = scores | {9: worse}  # errs on the same rows: told apart by few
    mixes = [Mix(((n, 1.0),), judge.score(near[n])) for n in (0, 3, 9)]
    best, far, twin = behind_of(judge, mixes, near, seed=0)
    assert best.behind == 0.0
    assert far.behind > 5.0
    own = resampled(judge, near[0], seed=0)
    assert standard_error(own, resampled(judge, near[9], seed=0)) < 0.1 * own.std(ddof=1)
    assert twin.behind > 0.0
    assert behind_of(judge, mixes, near, seed=0) == [best, far, twin]  # repeatable
    assert not any(one.is_timed for one in (best, far, twin))


def test_one_candidate_is_not_behind_itself() -> None:
    truth, scores = noisy_numbers()
    judge = judge_of(Task.REGRESSION, truth)
    (only,) = behind_of(judge, [Mix(((0, 1.0),), judge.score(scores[0]))], scores, seed=0)
    assert only.behind == 0.0


def test_the_fastest_within_one_error_answers_unless_accuracy_is_asked_for() -> None:
    fast, middle, slow = point(1.4, 5.0), point(0.9, 20.0), point(0.0, 60.0)
    points = [slow, fast, middle]
    assert choose_point(points) is middle
    assert choose_point(points, within=0.0) is slow
    assert choose_point(points, within=2.0) is fast


def test_of_those_that_a_request_hides_the_best_answers() -> None:
    """Below the free microseconds speed says nothing; above them it does."""
    fast, middle, slow, late = (
        point(0.9, 5.0),
        point(0.2, 60.0),
        point(0.1, 90.0),
        point(0.0, 160.0),
    )
    points = [slow, late, fast, middle]
    assert choose_point(points, free_micros=100.0) is slow
    assert choose_point(points, free_micros=70.0) is middle
    assert choose_point(points, free_micros=200.0) is late
    assert choose_point([fast, late], free_micros=100.0) is fast


def test_a_limit_of_latency_binds_whatever_it_costs() -> None:
    fast, middle, slow = point(9.0, 5.0), point(3.0, 20.0), point(0.0, 60.0)
    points = [fast, middle, slow]
    assert choose_point(points, most_micros=30.0) is middle
    assert choose_point(points, within=0.0, most_micros=10.0) is fast
    assert choose_point(points, most_micros=1.0) is fast  # nothing is so fast


def test_what_was_not_fitted_cannot_answer() -> None:
    missing, there = Point(Mix(((1, 1.0),), 0.0), 0.0), point(4.0, 10.0)
    assert math.isnan(missing.micros)
    assert choose_point([missing, there], within=0.0) is there
    again = missing.measured(3.0, 10, seeds=4)
    assert (again.is_timed, again.seeds, again.size_bytes) == (True, 4, 10)


def test_an_error_without_replicates_is_unknown() -> None:
    assert standard_error(np.array([np.nan, 1.0]), np.array([1.0, 1.0])) == math.inf
