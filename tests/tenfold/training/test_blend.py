"""Greedy blends: what they find, what they leave alone, and how they are judged."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.project.measures import Task
from tenfold.training.blend import (
    MAX_MEMBERS,
    Judge,
    Mix,
    Scores,
    greedy,
    mixed,
    nested_scores,
)
from tests.tenfold.training.conftest import question_of

N_ROWS = 900


def judge_of(task: Task, truth: np.ndarray, *, most_rows: int = 50_000) -> Judge:
    fold = (np.arange(len(truth)) % 3).astype(np.int8)
    known = np.ones(len(truth), dtype=bool)
    return Judge(question_of(task), truth, fold, known, most_rows=most_rows)


def noisy_numbers(n_rows: int = N_ROWS, n_models: int = 4) -> tuple[np.ndarray, dict[int, Scores]]:
    """Models whose errors are independent: a mean of them is better than any."""
    random = np.random.default_rng(0)
    truth = random.normal(size=n_rows)
    return truth, {
        n: (truth + (0.5 + 0.1 * n) * random.normal(size=n_rows))[:, None] for n in range(n_models)
    }


def test_models_that_err_apart_are_blended_and_beat_the_best() -> None:
    truth, scores = noisy_numbers()
    judge = judge_of(Task.REGRESSION, truth)
    mixes = greedy(judge, scores)
    assert [len(mix.weights) for mix in mixes] == [1, 2, 3, 4]
    assert mixes[0].members == (0,)
    assert all(one.score > two.score for one, two in pairwise(mixes))
    weights = [weight for _number, weight in mixes[-1].weights]
    assert sum(weights) == pytest.approx(1.0)
    assert weights == sorted(weights, reverse=True)
    assert mixes[-1].members[0] == 0  # the best alone weighs most
    assert judge.score(mixed(mixes[-1].weights, scores)) == pytest.approx(mixes[-1].score)


def test_copies_of_one_model_add_nothing() -> None:
    truth, scores = noisy_numbers(n_models=1)
    judge = judge_of(Task.REGRESSION, truth)
    assert len(greedy(judge, {0: scores[0], 1: scores[0], 2: scores[0]})) == 1


@given(st.integers(0, 10_000))
@settings(max_examples=8)
def test_a_blend_is_never_worse_than_its_best_member_on_the_rows_it_was_chosen_on(
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    truth = (random.random(400) < 0.4).astype(np.int64)
    judge = judge_of(Task.BINARY, truth)
    scores: dict[int, Scores] = {}
    for number in range(6):
        p = 1 / (1 + np.exp(-(truth - 0.4 + random.normal(size=400))))
        scores[number] = np.column_stack([1 - p, p])
    mixes = greedy(judge, scores)
    assert all(mixes[-1].score >= judge.score(own) for own in scores.values())
    assert len(mixes) <= MAX_MEMBERS


def test_the_nested_score_takes_out_the_luck_of_the_choice() -> None:
    """Forty models of pure noise: weights chosen on the rows they are judged on look like skill."""
    random = np.random.default_rng(3)
    truth = (random.random(600) < 0.5).astype(np.int64)
    judge = judge_of(Task.BINARY, truth)
    scores = {}
    for number in range(40):
        p = random.random(600)
        scores[number] = np.column_stack([1 - p, p])
    chosen = greedy(judge, scores)[-1]
    assert chosen.score > 0.55
    assert float(np.mean(nested_scores(judge, scores, size=4))) < chosen.score - 0.03


def test_the_nested_score_of_true_diversity_is_still_better_than_the_best() -> None:
    truth, scores = noisy_numbers()
    judge = judge_of(Task.REGRESSION, truth)
    assert float(np.mean(nested_scores(judge, scores, size=4))) < judge.score(scores[0])


def test_without_two_other_folds_nothing_is_nested() -> None:
    truth, scores = noisy_numbers(n_rows=400)
    known = np.ones(400, dtype=bool)
    fold = (np.arange(400) % 2).astype(np.int8)
    judge = Judge(question_of(Task.REGRESSION), truth, fold, known)
    assert nested_scores(judge, scores, size=2) == []


def test_a_judge_looks_at_judged_rows_and_at_no_more_than_it_may() -> None:
    truth, scores = noisy_numbers()
    fold = (np.arange(N_ROWS) % 3).astype(np.int8)
    known = fold > 0
    judge = Judge(question_of(Task.REGRESSION), truth, fold, known, most_rows=100)
    assert len(judge.rows) == 100
    assert set(judge.fold.tolist()) == {1, 2}
    oof = scores[0].astype(np.float32)
    oof[~known] = np.nan
    assert not np.isnan(judge.take(oof)).any()


def test_a_mix_of_one_is_that_one() -> None:
    _truth, scores = noisy_numbers()
    assert mixed(Mix(((2, 1.0),), 0.0).weights, scores).tobytes() == scores[2].tobytes()
