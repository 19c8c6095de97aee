"""Greedy blends on made-up out-of-fold scores, where the truth is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.evaluation import measure
from tenfold.project.measures import Task
from tenfold.training.blend import MAX_MEMBERS, Judge, greedy, mixed, nested_scores
from tenfold.training.question import Question

N_ROWS, N_FOLDS = 3000, 5


def question(task: Task = Task.BINARY, metric: str = "roc_auc") -> Question:
    classes = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c")}.get(task, ())
    return Question(
        task=task, classes=classes, metric=metric, ordered=False, n_folds=N_FOLDS, seed=0,
        families=("linear",),
    )  # fmt: skip


def judge_of(ask: Question, truth: np.ndarray) -> Judge:
    fold = (np.arange(len(truth)) % N_FOLDS).astype(np.int8)
    return Judge(ask, truth, fold, np.ones(len(truth), dtype=bool))


def noisy_experts(n_experts: int, n_rows: int = N_ROWS, seed: int = 0) -> tuple[Judge, dict]:
    """Each expert sees the same signal with a noise of its own: their mean is better than any."""
    random = np.random.default_rng(seed)
    signal = random.normal(size=n_rows)
    truth = (signal + random.normal(size=n_rows) * 0.5 > 0).astype(np.int64)
    scores = {}
    for number in range(n_experts):
        p = 1 / (1 + np.exp(-(signal + random.normal(size=n_rows))))
        scores[number] = np.column_stack([1 - p, p])
    return judge_of(question(), truth), scores


def test_experts_with_noise_of_their_own_are_blended_and_gain() -> None:
    judge, scores = noisy_experts(4)
    mixes = greedy(judge, scores)
    singles = [judge.score(s) for s in scores.values()]
    assert mixes[0].score == max(singles)
    assert [len(mix.weights) for mix in mixes] == [1, 2, 3, 4]
    assert all(a.score < b.score for a, b in itertools.pairwise(mixes))
    assert mixes[-1].score == judge.score(mixed(mixes[-1].weights, scores))
    assert mixes[-1].score > max(singles) + 0.01
    assert sum(weight for _number, weight in mixes[-1].weights) == pytest.approx(1.0)


def test_copies_of_one_expert_add_nothing() -> None:
    judge, scores = noisy_experts(1)
    assert len(greedy(judge, dict.fromkeys(range(5), scores[0]))) == 1


def test_a_blend_has_few_members_however_many_candidates() -> None:
    judge, scores = noisy_experts(12)
    assert max(len(mix.weights) for mix in greedy(judge, scores)) <= MAX_MEMBERS


def test_the_nested_score_is_no_better_than_the_chosen_one_on_noise() -> None:
    """With candidates that know nothing, choosing flatters; the nested score does not."""
    random = np.random.default_rng(3)
    truth = random.integers(0, 2, size=2000)
    scores = {}
    for number in range(12):
        p = random.uniform(size=2000)
        scores[number] = np.column_stack([1 - p, p])
    judge = judge_of(question(), truth)
    chosen = greedy(judge, scores)[-1].score
    honest = float(np.mean(nested_scores(judge, scores, size=4)))
    assert chosen > 0.51
    assert abs(honest - 0.5) < 0.03
    assert honest < chosen


@pytest.mark.parametrize(
    ("task", "metric"),
    [(Task.REGRESSION, "rmse"), (Task.MULTICLASS, "log_loss"), (Task.BINARY, "f1")],
)
def test_every_kind_of_metric_is_followed(task: Task, metric: str) -> None:
    random = np.random.default_rng(1)
    signal = random.normal(size=N_ROWS)
    scores = {}
    if task is Task.REGRESSION:
        truth = signal
        for number in range(3):
            scores[number] = (signal + random.normal(size=N_ROWS))[:, None]
    else:
        k = 3 if task is Task.MULTICLASS else 2
        truth = np.digitize(signal, [0.0, 1.0][: k - 1]).astype(np.int64)
        for number in range(3):
            logits = np.eye(k)[truth] * 1.5 + random.normal(size=(N_ROWS, k))
            powers = np.exp(logits)
            scores[number] = powers / powers.sum(axis=1, keepdims=True)
    ask = question(task, metric)
    judge = judge_of(ask, truth)
    mixes = greedy(judge, scores)
    assert len(mixes[-1].weights) == 3
    assert ask.better(mixes[-1].score, mixes[0].score)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_a_blend_is_never_worse_than_its_best_single_one(seed: int, n_experts: int) -> None:
    judge, scores = noisy_experts(n_experts, n_rows=400, seed=seed)
    mixes = greedy(judge, scores)
    best = max(judge.score(s) for s in scores.values())
    assert mixes[-1].score >= best
    for mix in mixes:
        assert math.isclose(sum(weight for _n, weight in mix.weights), 1.0)
        assert mix.score == judge.score(mixed(mix.weights, scores))


def test_the_score_is_the_mean_of_the_folds() -> None:
    judge, scores = noisy_experts(1)
    values = []
    for fold in range(N_FOLDS):
        here = judge.fold == fold
        rows = judge.question.judge(judge.truth[here], scores[0][here], 0.5)
        values.append(measure("roc_auc", rows))
    assert judge.score(scores[0]) == pytest.approx(np.mean(values))
