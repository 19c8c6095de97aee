from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tenfold.errors import ArtifactError
from tenfold.evaluation import Intervals, Sets, cross_coverage, read_conformal
from tenfold.evaluation.conformal import LEVELS
from tenfold.models import FAMILIES, Fit
from tenfold.testing.fuzz import damaged

Floats = NDArray[np.float64]


def numbers(n_rows: int, *, seed: int) -> tuple[Floats, Floats]:
    """Answers and truth whose misses grow with the answer and lean to one side."""
    rng = np.random.default_rng(seed)
    answers = rng.uniform(0, 10, n_rows)
    misses = (rng.exponential(1.0, n_rows) - 1.0) * (0.2 + answers / 5)
    return answers[:, None], answers + misses


def classes(n_rows: int, *, seed: int, n_classes: int = 3) -> tuple[Floats, NDArray[np.int64]]:
    """Probabilities that are too sure of themselves, and truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n_rows, n_classes)) + np.array([1.0, 0.0, -1.0])[:n_classes]
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    told = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    truth = (true.cumsum(axis=1) < rng.random(n_rows)[:, None]).sum(axis=1)
    return told, np.minimum(truth, n_classes - 1)


@pytest.mark.parametrize("n_rows", [39, 150, 700])
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_intervals_cover_what_they_say_over_many_seeds(n_rows: int, level: float) -> None:
    """The law of split conformal prediction: at least L, and at most 2 / (n + 1) more, a bin."""
    shares = []
    for seed in range(400):
        made = Intervals.fit(*numbers(n_rows, seed=seed))
        scores, truth = numbers(200, seed=seed + 10_000)
        shares.append(made.coverage(scores, truth, level).share)
    error = 4 * np.std(shares) / np.sqrt(len(shares))
    n_bins = len(made.edges) + 1
    assert level - error <= np.mean(shares) <= level + 2 / (n_rows / n_bins + 1) + error


def test_the_interval_of_a_quantiles_model_is_the_targets() -> None:
    """Nine rows in ten lie below such an answer; the interval holds nine in ten all the same."""
    scores, truth = numbers(3000, seed=11)
    high = scores + (0.2 + scores / 5) * 1.3
    made = Intervals.fit(high[:1500], truth[:1500])
    told = made.coverage(high[1500:], truth[1500:], 0.9)
    assert (truth[1500:] <= high[1500:, 0]).mean() > 0.85
    assert abs(told.share - 0.9) < 0.03
    plain = Intervals.fit(scores[:1500], truth[:1500])
    assert told.size < 1.1 * plain.coverage(scores[1500:], truth[1500:], 0.9).size


def test_bins_cover_small_and_large_answers_alike() -> None:
    made = Intervals.fit(*numbers(4000, seed=1))
    scores, truth = numbers(20_000, seed=2)
    small, large = scores[:, 0] < 2, scores[:, 0] > 8
    told = [made.coverage(scores[some], truth[some], 0.9) for some in (small, large)]
    assert all(abs(one.share - 0.9) < 0.03 for one in told)
    assert told[0].size < told[1].size / 2


@pytest.mark.parametrize(("n_rows", "own"), [(120, False), (2000, True)])
def test_sets_cover_what_they_say_over_many_seeds(n_rows: int, own: bool) -> None:
    shares: list[float] = []
    rare: list[float] = []
    for seed in range(200):
        made = Sets.fit(*classes(n_rows, seed=seed))
        assert made.own is own
        scores, truth = classes(300, seed=seed + 10_000)
        shares.append(made.coverage(scores, truth, 0.9).share)
        rare.append(made.coverage(scores[truth == 2], truth[truth == 2], 0.9).share)
    error = 4 * np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) >= 0.9 - error
    if own:  # each class for itself, the rare one too
        assert np.mean(rare) >= 0.9 - 4 * np.std(rare) / np.sqrt(len(rare))


def test_a_set_is_never_empty_and_grows_with_the_level() -> None:
    made = Sets.fit(*classes(900, seed=3))
    scores, _truth = classes(500, seed=4)
    before = np.zeros((500, 3), dtype=bool)
    for level in LEVELS:
        now = made.members(scores, level)
        assert now.any(axis=1).all()
        assert (now | ~before).all()
        before = now


def test_few_rows_prove_no_high_level() -> None:
    made = Intervals.fit(*numbers(19, seed=0))
    assert made.max_level == 0.9
    with pytest.raises(ValueError, match=r"19 calibration rows prove a level of 0[.]9 at most"):
        made.bounds(np.zeros((1, 1)), 0.95)
    assert Intervals.fit(*numbers(2, seed=0)).max_level is None


@pytest.mark.parametrize("level", [0.4, 0.999, float("nan"), -1.0])
def test_a_level_is_between_a_half_and_nearly_one(level: float) -> None:
    made = Sets.fit(*classes(100, seed=0))
    with pytest.raises(ValueError, match=r"a level is a number from 0.5 to 0.995"):
        made.members(np.array([[0.2, 0.3, 0.5]]), level)


def test_a_level_between_two_gets_the_limits_of_the_higher_one() -> None:
    made = Intervals.fit(*numbers(500, seed=5))
    row = np.array([[3.0]])
    assert np.array_equal(made.bounds(row, 0.901), made.bounds(row, 0.905))
    assert not np.array_equal(made.bounds(row, 0.9), made.bounds(row, 0.905))


def test_ties_and_a_model_without_misses_are_no_fault() -> None:
    made = Intervals.fit(np.full((1000, 1), 7.0), np.full(1000, 7.0))
    assert made.bounds(np.array([[7.0]]), 0.99).tolist() == [[7.0, 7.0]]
    assert read_conformal(json.loads(json.dumps(made.to_dict()))).to_dict() == made.to_dict()


def test_each_fold_is_judged_by_the_limits_of_the_others() -> None:
    scores, truth = numbers(1000, seed=6)
    folds = np.arange(1000) % 5
    told = cross_coverage(Intervals, scores, truth, folds, 0.9)
    assert told is not None
    assert abs(told.share - 0.9) < 0.03
    truth[folds == 0] += 1000.0  # a fold from another world is not covered by the others
    far = cross_coverage(Intervals, scores, truth, folds, 0.9)
    assert far is not None
    assert far.share < 0.85
    assert cross_coverage(Intervals, scores, truth, np.zeros(1000), 0.9) is None
    assert cross_coverage(Intervals, scores[:20], truth[:20], folds[:20], 0.95) is None


MADE = {
    "intervals": Intervals.fit(*numbers(500, seed=1)).to_dict(),
    "few": Intervals.fit(*numbers(19, seed=1)).to_dict(),
    "sets": Sets.fit(*classes(400, seed=1)).to_dict(),
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_written_is_read_with_the_same_numbers(name: str) -> None:
    text = json.dumps(MADE[name], allow_nan=False)
    assert read_conformal(json.loads(text)).to_dict() == MADE[name]


@given(data=st.data(), name=st.sampled_from(sorted(MADE)))
def test_a_damaged_file_is_refused_or_harmless(data: st.DataObject, name: str) -> None:
    value = data.draw(damaged(MADE[name]))
    try:
        made = read_conformal(value)
    except ArtifactError as error:
        assert "conformal.json is broken" in str(error)
        return
    if isinstance(made, Sets):
        n_classes = len(made.limits)
        assert made.members(np.full((2, n_classes), 1 / n_classes), 0.9).any(axis=1).all()
    elif made.max_level is not None:
        assert made.bounds(np.zeros((2, 1)), made.max_level).shape == (2, 2)


def real(path: Path, target: str, used: list[str]) -> tuple[NDArray[np.float32], list[str]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    matrix = [[float(row[name] or 0) for name in used] for row in rows]
    return np.array(matrix, np.float32), [row[target] for row in rows]


@pytest.mark.parametrize(
    ("table", "target", "used", "task"),
    [
        ("king-county", "Price", ["Sqft_living", "Grade", "Lat", "Long", "Yr_built"], "regression"),
        ("adult", "salary", ["age", "education-num", "hours-per-week", "capital-gain"], "binary"),
    ],
)
def test_real_tables_are_covered_by_a_model_fitted_again_on_all_rows(
    data_folder: Path, table: str, target: str, used: list[str], task: Any
) -> None:
    matrix, told = real(data_folder / f"{table}.csv", target, used)
    truth: NDArray[Any] = np.array(told)
    truth = truth.astype(float) if task == "regression" else (truth == max(told)).astype(np.int64)
    order = np.random.default_rng(0).permutation(len(truth))[:12_000]
    matrix, truth = matrix[order], truth[order]
    params = {"eta": 0.2, "max_depth": 5, "rounds": 40}
    learn, folds = np.arange(len(truth)) % 4 != 0, np.arange(len(truth)) % 5

    def fit(rows: NDArray[np.bool_]) -> Any:
        n_classes = 2 if task == "binary" else 0
        family = FAMILIES["boosting"]
        return family.fit(Fit(matrix[rows], truth[rows], task, n_classes, params, 0, 1))

    oof = np.zeros((len(truth), 2 if task == "binary" else 1))
    for fold in range(5):
        here = learn & (folds == fold)
        oof[here] = fit(learn & (folds != fold)).predict(matrix[here])
    last = fit(learn).predict(matrix[~learn])
    kind: Any = Intervals if task == "regression" else Sets
    made = kind.fit(oof[learn], truth[learn])
    for level in (0.8, 0.9, 0.95):
        known = made.coverage(last, truth[~learn], level)
        assert level - 0.02 <= known.share
        if task == "regression":  # a set holds the answered class, which is often more than enough
            assert known.share <= level + 0.03
        else:
            assert known.size < 1.9
        across = cross_coverage(kind, oof[learn], truth[learn], folds[learn], level)
        assert across is not None
        assert abs(across.share - known.share) < 0.02
