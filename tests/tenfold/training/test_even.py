"""Who answers where rows are few: members, weights, and when the even blend leads or gives way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.project.measures import Task
from tenfold.training.blend import FEW_ROWS, MAX_MEMBERS, Judge, Mix, Scores, greedy, nested_scores
from tenfold.training.ensemble import PREFERENCES, Preference, _pick, _Picked
from tenfold.training.even import blends_for, even_blend
from tenfold.training.front import behind_of
from tests.tenfold.training.conftest import question_of

N_ROWS = 240
FAMILIES = {0: "boosting", 1: "boosting", 2: "linear", 3: "network", 4: "boosting", 5: "linear"}


def judge_of(truth: np.ndarray, task: Task = Task.REGRESSION) -> Judge:
    fold = (np.arange(len(truth)) % 5).astype(np.int8)
    return Judge(question_of(task), truth, fold, np.ones(len(truth), dtype=bool))


def guesses(
    errors: dict[int, float], *, shared: float = 0.0, seed: int = 0
) -> tuple[Judge, dict[int, Scores]]:
    """Numbers with an error that all make and one of each candidate's own."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=N_ROWS)
    all_say = truth + shared * random.normal(size=N_ROWS)
    scores = {n: (all_say + e * random.normal(size=N_ROWS))[:, None] for n, e in errors.items()}
    return judge_of(truth), scores


def test_the_best_of_each_family_and_the_best_three_weigh_alike() -> None:
    judge, scores = guesses({0: 0.5, 1: 0.5, 2: 0.5, 3: 0.5, 4: 0.9, 5: 0.9}, shared=0.3)
    best, even = even_blend(judge, scores, families=FAMILIES, seed=0)
    assert best.score == min(judge.score(some) for some in scores.values())
    assert even.weights == ((0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25))
    assert even.score < best.score  # they err apart


def test_a_family_that_is_clearly_worse_is_left_out() -> None:
    judge, scores = guesses({0: 0.5, 1: 0.5, 2: 1.5, 3: 0.5, 4: 0.5}, seed=2)
    even = even_blend(judge, scores, families=FAMILIES, seed=0)[-1]
    assert 2 not in even.members
    assert {FAMILIES[number] for number in even.members} == {"boosting", "network"}


def test_one_candidate_is_its_own_blend() -> None:
    judge, scores = guesses({2: 0.5})
    assert even_blend(judge, scores, families=FAMILIES, seed=0) == [
        Mix(((2, 1.0),), judge.score(scores[2]))
    ]


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=20, deadline=None)
def test_weights_are_alike_and_members_few(seed: int, n_candidates: int) -> None:
    random = np.random.default_rng(seed)
    judge, scores = guesses(
        {n: float(random.uniform(0.3, 2.0)) for n in range(n_candidates)}, seed=seed
    )
    best, even = even_blend(judge, scores, families=FAMILIES, seed=seed)
    assert best.members[0] in even.members
    assert 2 <= len(even.weights) <= MAX_MEMBERS
    assert {weight for _number, weight in even.weights} == {1.0 / len(even.weights)}
    assert even_blend(judge, scores, families=FAMILIES, seed=seed)[-1] == even


def test_a_candidate_without_a_score_is_in_no_blend() -> None:
    truth = np.zeros(N_ROWS, dtype=np.int64)  # one class: no fold has a ROC AUC
    p = np.random.default_rng(0).random((N_ROWS, 1))
    judge = judge_of(truth, Task.BINARY)
    best = even_blend(judge, {3: np.hstack([1 - p, p])}, families=FAMILIES, seed=0)[0]
    assert np.isnan(best.score)
    judge, scores = guesses({0: 0.5, 2: 0.45})
    scores[3] = np.full((N_ROWS, 1), np.nan)
    best, even = even_blend(judge, scores, families=FAMILIES, seed=0)
    assert best.members[0] in (0, 2)
    assert 3 not in even.members


def test_many_rows_are_blended_greedily() -> None:
    few, many = (judge_of(np.zeros(n)) for n in (FEW_ROWS - 1, FEW_ROWS))
    assert blends_for(many, FAMILIES, seed=0) is greedy
    assert blends_for(few, FAMILIES, seed=0) is not greedy


def test_the_nested_score_chooses_as_the_answer_was_chosen() -> None:
    judge, scores = guesses({0: 0.50, 1: 0.52, 2: 0.53, 3: 0.55})
    blends = blends_for(judge, FAMILIES, seed=0)
    alone = float(np.mean(nested_scores(judge, scores, size=1, blends=blends)))
    assert float(np.mean(nested_scores(judge, scores, size=4, blends=blends))) < alone


def picked(
    judge: Judge,
    scores: dict[int, Scores],
    *,
    micros: dict[int, float],
    prefer: Preference = PREFERENCES["balanced"],
) -> _Picked:
    """The pick of the best one alone and the even blend, with what each member costs."""
    blends = blends_for(judge, FAMILIES, seed=0)
    mixes = blends(judge, scores)
    points = [
        point.measured(sum(micros[n] for n in point.mix.members), 1)
        for point in behind_of(judge, mixes, scores, seed=0)
    ]
    oofs = {n: some.astype(np.float32) for n, some in scores.items()}
    return _pick(points, judge, oofs, blends=blends, prefer=prefer, most_micros=None)


def test_a_blend_leads_where_folds_that_did_not_choose_it_agree() -> None:
    judge, scores = guesses({0: 0.50, 2: 0.53, 3: 0.55})
    points, pick, nested, gave_way = picked(judge, scores, micros={0: 30.0, 2: 10.0, 3: 20.0})
    assert len(pick.mix.weights) == 3
    assert pick.behind == 0.0
    assert all(point.behind > 0.0 for point in points if point is not pick)
    assert any(point is pick for point in points)
    assert np.isfinite(nested)
    assert not gave_way


def test_a_blend_that_is_no_better_there_gives_way() -> None:
    judge, scores = guesses({0: 0.0, 1: 0.3, 4: 0.3}, shared=0.5)
    _, pick, nested, gave_way = picked(judge, scores, micros=dict.fromkeys(scores, 10.0))
    assert pick.mix.members == (0,)
    assert np.isnan(nested)
    assert gave_way


def test_a_dear_blend_leaves_the_answer_to_one_that_is_close() -> None:
    judge, scores = guesses({0: 0.05, 2: 0.05, 3: 0.05}, shared=0.5, seed=7)
    dear = dict.fromkeys(scores, 200.0)
    _, pick, nested, _ = picked(judge, scores, micros=dear)
    assert len(pick.mix.weights) == 1
    assert 0.0 < pick.behind < 1.0
    assert np.isnan(nested)
    accurate = picked(judge, scores, micros=dear, prefer=PREFERENCES["accuracy"])
    assert len(accurate.pick.mix.weights) == 3


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_probabilities_are_blended_like_numbers(task: Task) -> None:
    random = np.random.default_rng(0)
    k = 2 if task is Task.BINARY else 3
    truth = random.integers(0, k, N_ROWS)
    scores = {}
    for number in range(4):
        logits = 1.5 * np.eye(k)[truth] + random.normal(size=(N_ROWS, k))
        powers = np.exp(logits)
        scores[number] = powers / powers.sum(axis=1, keepdims=True)
    judge = judge_of(truth, task)
    best, even = even_blend(judge, scores, families=FAMILIES, seed=0)
    assert judge.question.better(even.score, best.score)
