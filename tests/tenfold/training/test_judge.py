"""The small boosters that judge columns: honest parts, the same bits, gains where the truth is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.training.judge import Judge, parts_of_rows

N_ROWS = 900


@given(st.integers(3, 200), st.booleans(), st.integers(0, 9))
def test_no_row_is_judged_by_a_fit_that_saw_it(n_rows: int, ordered: bool, seed: int) -> None:
    position = np.random.default_rng(seed).permutation(n_rows) if ordered else None
    judged: list[int] = []
    for fit, held in parts_of_rows(np.arange(n_rows), position):
        assert not set(fit) & set(held)
        judged += held.tolist()
        if position is not None and len(held):
            assert position[fit].max() < position[held].min()
    assert len(set(judged)) == len(judged)
    if position is None:
        assert sorted(judged) == list(range(n_rows))


def matrix_and_truth(task: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(N_ROWS, 4)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    signal = np.nan_to_num(matrix[:, 1]) + 0.3 * rng.normal(size=N_ROWS)
    if task == "regression":
        return matrix, signal
    return matrix, np.digitize(signal, [0.0] if task == "binary" else [-0.5, 0.5])


@pytest.mark.parametrize(("task", "k"), [("binary", 2), ("multiclass", 3), ("regression", 0)])
def test_a_loss_falls_and_gain_goes_where_the_truth_is(task: str, k: int) -> None:
    matrix, truth = matrix_and_truth(task)
    judge = Judge(truth, None, parts_of_rows(np.arange(N_ROWS), None), task, k)
    known, blind = judge(matrix), judge(matrix[:, [0, 2, 3]])
    assert known.gains.shape == (3, 4)
    assert (known.gains.argmax(axis=1) == 1).all()
    assert (known.losses < 0.8 * blind.losses).all()
    chance = 1.0 if task == "regression" else math.log(k)
    assert blind.loss == pytest.approx(chance, rel=0.35)


def test_threads_change_no_bit() -> None:
    matrix, truth = matrix_and_truth("binary")
    parts = parts_of_rows(np.arange(N_ROWS), None)
    one, two = (Judge(truth, None, parts, "binary", 2, threads=n)(matrix) for n in (1, 2))
    assert one.losses.tobytes() == two.losses.tobytes()
    assert one.gains.tobytes() == two.gains.tobytes()


def test_weights_count() -> None:
    matrix, truth = matrix_and_truth("binary")
    weights = np.where(truth == 1, 9.0, 1.0)
    parts = parts_of_rows(np.arange(N_ROWS), None)
    plain, weighted = (Judge(truth, w, parts, "binary", 2)(matrix) for w in (None, weights))
    assert plain.loss != weighted.loss


def test_large_targets_are_judged_on_a_log_scale() -> None:
    matrix, truth = matrix_and_truth("regression")
    prices = np.exp(8.0 + 3.0 * truth)
    verdict = Judge(prices, None, parts_of_rows(np.arange(N_ROWS), None), "regression", 0)(matrix)
    assert verdict.loss < 0.7


def test_many_classes_grow_fewer_rounds_and_still_tell_columns_apart() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 60, 2400)
    matrix = np.column_stack([rng.normal(size=2400), truth + 0.1 * rng.normal(size=2400)])
    verdict = Judge(truth, None, parts_of_rows(np.arange(2400), None), "multiclass", 60)(
        matrix.astype(np.float32)
    )
    assert (verdict.gains[:, 1] > 10 * verdict.gains[:, 0]).all()
    assert verdict.loss < 0.8 * math.log(60)


def test_equal_rows_are_in_one_part() -> None:
    cases = np.sort(np.random.default_rng(3).integers(0, 40, 500))
    parts = parts_of_rows(cases, None)
    for fit, held in parts:
        assert not set(cases[fit]) & set(cases[held])
    assert sorted(np.concatenate([held for _, held in parts]).tolist()) == list(range(500))
