from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.evaluation.paired import paired_difference
from tenfold.monitor import LossRule
from tenfold_serve.committer import labels_table
from tenfold_serve.shadow_scores import Disagreement, Gaps, gaps, paired_losses

CLASSES = ("a", "b", "c")
AT = datetime(2031, 5, 4, tzinfo=UTC)


@given(st.integers(1, 20), st.integers(0, 1000), st.permutations(CLASSES))
def test_the_order_of_classes_changes_nothing(n_rows: int, seed: int, order: list[str]) -> None:
    rng = np.random.default_rng(seed)
    old, new = rng.dirichlet([1, 1, 1], n_rows), rng.dirichlet([1, 1, 1], n_rows)
    moved = new[:, [CLASSES.index(name) for name in order]]
    found = gaps(old, moved, old_classes=CLASSES, new_classes=order)
    assert found == pytest.approx(np.abs(old - new).sum(axis=1) / 2)
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()
    assert not gaps(old, old, old_classes=CLASSES, new_classes=CLASSES).any()


def test_a_class_that_one_does_not_know_has_no_probability() -> None:
    found = gaps(np.array([[1.0]]), np.array([[0.25, 0.75]]), old_classes="a", new_classes="ab")
    assert found.tolist() == [0.75]


def test_numbers_differ_in_their_unit() -> None:
    assert gaps(np.array([[1.0], [2.0]]), np.array([[3.0], [2.0]])).tolist() == [2.0, 0.0]


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 60))
def test_the_window_is_bounded_and_has_enough(parts: list[int], most: int) -> None:
    found = Disagreement(window_rows=most)
    for n_rows in parts:
        found.add(Gaps(n_rows, 0.5 * n_rows, n_rows))
    told = found.to_dict()
    assert min(sum(parts), most) <= told["rows"] <= most + 30
    if sum(parts):
        assert (told["score_gap"], told["changed_ratio"]) == (0.5, 1.0)
    else:
        assert told == {"rows": 0, "score_gap": None, "changed_ratio": None}


def test_what_cannot_be_compared_is_not_known() -> None:
    found = Disagreement()
    found.add(Gaps(5, float("nan"), None))
    assert found.to_dict() == {"rows": 5, "score_gap": None, "changed_ratio": None}


def answers(old: list[str], new: list[str]) -> pa.Table:
    return pa.table(
        {
            "__id": [f"i{k}" for k in range(len(old))],
            "__at": [AT + timedelta(seconds=k) for k in range(len(old))],
            "__champion_value": old,
            "__value": new,
        }
    )


def labels(*truth: str) -> pa.Table:
    moment = AT.isoformat()
    return labels_table(
        {
            "id": f"i{k}", "label": label, "observed_at": moment, "received_at": moment,
            "source": "t",
        }
        for k, label in enumerate(truth)
    )  # fmt: skip


def test_the_interval_is_that_of_a_retrain_on_the_rows_with_a_label() -> None:
    table = answers(["no"] * 80, ["yes"] * 60 + ["no"] * 20)
    found = paired_losses(table, labels(*["yes"] * 70), LossRule("zero_one"))
    expected = paired_difference([1.0] * 70, [0.0] * 60 + [1.0] * 10)
    assert found == expected.to_dict()
    assert found["lower"] > 0


def test_numbers_are_compared_as_numbers_and_a_word_judges_nobody() -> None:
    table = answers(["1.0", "2.5", "3.0"], ["1.5", "2.5", "3.0"])
    found = paired_losses(table, labels("1.0", "abc", "2.0"), LossRule("absolute", 1.0))
    assert (found["n_rows"], found["old"], found["new"]) == (2, 0.5, 0.75)


def test_without_labels_nothing_is_known() -> None:
    found = paired_losses(answers(["a"], ["b"]), labels(), LossRule("zero_one"))
    assert (found["n_rows"], found["lower"], found["upper"]) == (0, -1.0, 1.0)
    assert found["old"] is None
