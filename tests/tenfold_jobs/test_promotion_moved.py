"""A newer table moves ranges, categories and columns: the champion is judged on it all the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from tenfold.data import prepare
from tenfold.models import FAMILIES
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold.training.answer import Answer
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.finish import finish
from tenfold.training.question import question_of
from tenfold.training.rows import load_rows
from tenfold.training.search import Material
from tenfold_jobs.packing import Origin, Packed, pack
from tenfold_jobs.promotion import Promotion, promote_if_better

N_ROWS = 400
Change = Callable[[dict[str, Any]], object]


def columns(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=N_ROWS)
    city = rng.choice(["bern", "oslo", "rome"], N_ROWS)
    noisy = x + (city == "oslo") + 0.5 * rng.normal(size=N_ROWS)
    left = np.where(noisy > 0.3, "yes", "no")
    number = rng.integers(0, 9, N_ROWS)
    return {"x": x, "city": city, "number": number, "left": left, "spend": 3 * noisy}


def train(
    folder: Path,
    settings: Settings,
    family: str,
    *,
    columns: dict[str, Any],
    problem: dict[str, Any] | None = None,
    positive: str | None = "yes",
    markers: Sequence[str] = ("", "?"),
) -> tuple[Packed, Promotion]:
    """Prepare a table, fit one configuration on it, publish and ask for promotion."""
    pacsv.write_csv(pa.table(columns), folder / "churn.csv")
    asked = problem or {"task": "binary", "target": "left"}
    unused = ["left", "spend"]
    if asked.get("target") in unused:
        unused.remove(asked["target"])
    body = {
        "problem": asked,
        "data": {
            "sources": [{"path": "churn.csv"}],
            "columns": {name: {"role": "ignored"} for name in unused if name in columns},
        },
        "prepare": {"missing_markers": list(markers)},
        "train": {"folds": 2},
    }
    project = Project.from_dict(body).at(folder)
    snapshot = prepare(project, settings=settings)
    question = question_of(project, snapshot, positive=positive)
    rows = load_rows(snapshot, question)
    material = Material(rows.training, snapshot.profiles(), snapshot.schema, question, 1)
    params = dict(FAMILIES[family].defaults(question.task.value)[0])
    outcome = evaluate(material.workspace(), Config(0, family, params))
    finished = finish(
        material,
        rows.test,
        Answer.single(family, params, rounds=outcome.rounds),
        oof=outcome.oof,
        block_rows=20,
    )
    packed = pack(project, settings, finished, Origin(snapshot, question, 1.0))
    made = promote_if_better(
        settings,
        packed,
        snapshot=snapshot,
        question=question,
        finished=finished,
        test=rows.test,
    )
    return packed, made


def champion(settings: Settings) -> int | None:
    return Registry(settings).alias("churn", "champion")


def wider(table: dict[str, Any]) -> None:
    table["x"][0], table["x"][1] = 40.0, -40.0


def another_category(table: dict[str, Any]) -> None:
    table["city"] = np.where(np.arange(N_ROWS) % 9 == 0, "paris", table["city"])


def another_column(table: dict[str, Any]) -> None:
    table["other"] = np.arange(N_ROWS) % 7 * 1.5


def whole_numbers(table: dict[str, Any]) -> None:
    table["x"] = np.round(table["x"] * 3).astype(int)


def one_category(table: dict[str, Any]) -> None:
    table["city"] = np.full(N_ROWS, "oslo")


@pytest.mark.parametrize(
    "change", [wider, another_category, another_column, whole_numbers, one_category]
)
def test_a_worse_model_of_a_newer_table_is_not_promoted(
    change: Change, tmp_path: Path, settings: Settings
) -> None:
    train(tmp_path, settings, "linear", columns=columns(0))
    newer = columns(1)
    change(newer)
    _packed, made = train(tmp_path, settings, "dummy", columns=newer)
    assert made.alias is None
    assert made.champion_value is not None
    assert made.champion_value > 0.6
    assert made.reason.startswith("not promoted: version 1 is better: roc_auc 0.")
    assert champion(settings) == 1


def test_a_better_model_of_a_newer_table_is_promoted_with_both_values(
    tmp_path: Path, settings: Settings
) -> None:
    train(tmp_path, settings, "dummy", columns=columns(0))
    newer = columns(1)
    wider(newer)
    packed, made = train(tmp_path, settings, "linear", columns=newer)
    value = packed.metrics["roc_auc"].value
    assert made.reason == (
        f"roc_auc {value:.4g} is not below 0.5 of version 1 on the same 80 sealed rows"
    )
    row = Registry(settings).state.journal.tail("churn", 1)[0]
    assert (row.kind, row.body["previous"], row.body["version"]) == ("promote", 1, 2)
    assert (row.body["value"], row.body["champion_value"]) == (value, 0.5)


def test_the_champion_s_positive_class_may_be_the_other_one(
    tmp_path: Path, settings: Settings
) -> None:
    problem = {"task": "binary", "target": "left", "metric": "f1"}
    first, _ = train(tmp_path, settings, "linear", columns=columns(0), problem=problem)
    _packed, made = train(
        tmp_path, settings, "linear", columns=columns(0), problem=problem, positive="no"
    )
    assert made.previous == 1
    assert made.champion_value is not None
    assert made.champion_value > 0.7
    assert made.champion_value != first.metrics["f1"].value  # that of the other class


@pytest.mark.parametrize(
    ("problem", "families"),
    [
        ({"task": "regression", "target": "spend"}, ("linear", "dummy")),
        ({"task": "clustering"}, ("kmeans", "kmeans")),
    ],
    ids=["regression", "clustering"],
)
def test_the_other_tasks_are_compared_too(
    problem: dict[str, Any], families: tuple[str, str], tmp_path: Path, settings: Settings
) -> None:
    one: dict[str, Any] = {"columns": columns(0), "problem": problem, "positive": None}
    first, made = train(tmp_path, settings, families[0], **one)
    metric = "silhouette" if problem["task"] == "clustering" else "rmse"
    assert made.reason == "first champion"
    _packed, again = train(tmp_path, settings, families[0], **one)
    assert again.alias == "champion"
    assert again.champion_value == first.metrics[metric].value == again.value
    newer = columns(1)
    another_category(newer)
    _packed, third = train(tmp_path, settings, families[1], **(one | {"columns": newer}))
    assert third.champion_value is not None
    if problem["task"] == "regression":
        assert third.reason.startswith("not promoted: version 2 is better: rmse ")


def without_city(table: dict[str, Any]) -> None:
    del table["city"]


def numbers_for_cities(table: dict[str, Any]) -> None:
    table["city"] = np.arange(N_ROWS) % 5 * 1.1


def three_classes(table: dict[str, Any]) -> None:
    table["left"] = np.where(np.arange(N_ROWS) % 3 == 0, "maybe", table["left"])


@pytest.mark.parametrize(
    ("change", "task", "why"),
    [
        (without_city, "binary", "its column 'city' is not in this table"),
        (numbers_for_cities, "binary", "its column 'city' is a category, and here it is a number"),
        (three_classes, "multiclass", "its task is binary, not multiclass"),
    ],
)
def test_a_champion_that_cannot_be_judged_is_replaced_and_the_reason_says_so(
    change: Change, task: str, why: str, tmp_path: Path, settings: Settings
) -> None:
    train(tmp_path, settings, "linear", columns=columns(0))
    newer = columns(1)
    change(newer)
    problem = {"task": task, "target": "left", "metric": "accuracy"}
    _packed, made = train(tmp_path, settings, "dummy", columns=newer, problem=problem)
    assert made.alias == "champion"
    assert made.champion_value is None
    assert made.reason == f"version 1 cannot be judged on these rows and is replaced: {why}"


def test_a_category_that_means_missing_elsewhere_is_read_as_it_stands(
    tmp_path: Path, settings: Settings
) -> None:
    """The snapshot is clean: its cells are not compared with any markers again."""
    table = columns(0)
    table["city"] = np.where(table["left"] == "yes", "NA", "oslo")
    problem = {"task": "binary", "target": "left", "metric": "log_loss"}
    first, _ = train(tmp_path, settings, "linear", columns=table, problem=problem, markers=[""])
    table["other"] = np.arange(N_ROWS) % 7 * 1.5
    _packed, made = train(tmp_path, settings, "dummy", columns=table, problem=problem, markers=[""])
    assert first.metrics["log_loss"].value < 0.1
    assert made.champion_value is not None
    assert made.champion_value < 0.1
