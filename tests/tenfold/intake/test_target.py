from __future__ import annotations

import pyarrow as pa
import pytest

from tenfold.data.scan import ColumnScan, scan_table
from tenfold.errors import DataError
from tenfold.intake.target import positive_class, question_of
from tenfold.project.measures import Task
from tenfold.schema import MISSING_MARKERS


def scan(values: list[str]) -> ColumnScan:
    table = pa.table({"y": values})
    return scan_table(table, markers=MISSING_MARKERS, trim=True).columns[0]


@pytest.mark.parametrize(
    ("values", "task", "positive"),
    [
        (["no", "no", "yes"], Task.BINARY, "yes"),
        (["yes", "yes", "no"], Task.BINARY, "yes"),
        (["1", "1", "0"], Task.BINARY, "1"),
        ([" <=50K", " <=50K", " >50K"], Task.BINARY, ">50K"),
        (["b", "a"], Task.BINARY, "a"),
        (["True", "False", "True"], Task.BINARY, "True"),
        (["a", "b", "c"] * 5, Task.MULTICLASS, None),
        ([str(n % 10) for n in range(100)], Task.MULTICLASS, None),
        ([str(n) for n in range(100)], Task.REGRESSION, None),
        (["0.5", "1.5", "2.5"], Task.REGRESSION, None),
        ([str(n) for n in range(99)] + ["oops"], Task.REGRESSION, None),
    ],
)
def test_the_task_is_guessed(values: list[str], task: Task, positive: str | None) -> None:
    question = question_of("y", scan(values))
    assert (question.task, question.positive_class) == (task, positive)


def test_the_baseline_is_the_commonest_class() -> None:
    assert question_of("y", scan(["a", "a", "a", "b"])).baseline == 0.75


def test_the_words_say_what_was_seen() -> None:
    assert question_of("y", scan(["a", "b", "a"])).why == "'y' has two classes: 'a' (2), 'b' (1)"
    many = question_of("y", scan([f"{n}.5" for n in range(1200)]))
    assert many.why == "'y' has 1,200 different numbers from 0.5 to 1199.5"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ["a", "a"],
            "target 'y' must have at least two different values; found 1 in 2 rows; "
            "choose another column",
        ),
        (
            ["?", ""],
            "target 'y' must have at least two different values; found no value at all; "
            "choose another column",
        ),
        (
            [f"name {n}" for n in range(300)],
            "target 'y' must be classes or numbers; found 300 different texts in 300 values; "
            "choose another column or group its values first",
        ),
    ],
)
def test_what_cannot_be_learned(values: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        question_of("y", scan(values))
    assert str(caught.value) == message


def test_equal_counts_choose_the_first_in_order() -> None:
    assert positive_class({"b": 5, "a": 5}) == positive_class({"a": 5, "b": 5}) == "a"
