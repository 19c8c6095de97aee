"""The contest's verdicts, and its page as the committed runs give it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from contest.page import page_files
from contest.score import compare, majority, score
from contest.standings import held, standings
from contest.tables import TABLES, split_table

HOUSE = Path(__file__).resolve().parents[2]
AUC, RMSE = TABLES[0], next(table for table in TABLES if table.task == "regression")
NOISE = np.random.default_rng(0).normal(size=100)


def run(system: str, value: float, *, table: str = AUC.name, seed: int = 0, **more: Any) -> Any:
    replicates = (value + 0.01 * NOISE).tolist()
    return {
        "table": table, "system": system, "seconds": 120, "seed": seed, "score": value,
        "replicates": replicates, "row_ms": 1.0 + seed, **more,
    }  # fmt: skip


def test_a_shared_spread_is_no_tie_and_a_paired_one_is() -> None:
    """What both do alike on each resample says nothing about their difference."""
    ours, theirs = run("tenfold", 0.92), run("xgboost", 0.91)
    pair = [(one["score"], one["replicates"]) for one in (ours, theirs)]
    assert compare(AUC, *pair) == "win"
    assert compare(AUC, *reversed(pair)) == "loss"
    assert compare(RMSE, *pair) == "loss"
    own = (0.91, (0.91 + 0.02 * np.random.default_rng(1).normal(size=100)).tolist())
    assert compare(AUC, pair[0], own) == "tie"


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        (["win", "win", "loss"], "win"),
        (["loss", "tie", "loss"], "loss"),
        (["win", "tie", "loss"], "tie"),
        (["tie", "tie", "win"], "tie"),
    ],
)
def test_the_majority_of_seeds_counts(outcomes: list[str], said: str) -> None:
    assert majority(outcomes) == said


def test_only_seeds_that_both_have_are_compared() -> None:
    lines = standings(
        [
            run("tenfold", 0.92), run("tenfold", 0.80, seed=1), run("xgboost", 0.91),
            run("flaml", 0.5, seed=2), run("autogluon-medium", 0.99, seconds=60),
            {"table": AUC.name, "system": "autogluon-high", "seconds": 120, "seed": 0, "error": []},
        ],
        seconds=120,
    )  # fmt: skip
    assert [(line.system, line.seeds, line.ours) for line in lines] == [
        ("tenfold", 2, ""), ("xgboost", 1, "win"), ("flaml", 1, ""),
    ]  # fmt: skip
    assert lines[0].score == pytest.approx(0.86)
    assert held(lines) == {"xgboost": ["win"]}


def test_every_system_sees_the_same_quarter_whatever_the_order(
    data_folder: Path, tmp_path: Path
) -> None:
    table = next(table for table in TABLES if table.name == "penguins")
    split = split_table(table, data_folder, seed=0, folder=tmp_path / "a")
    text = (data_folder / "penguins.csv").read_text().splitlines()
    (tmp_path / "penguins.csv").write_text("\n".join([text[0], *reversed(text[1:])]))
    other = split_table(table, tmp_path, seed=0, folder=tmp_path / "b")
    assert sorted(split.truth) == sorted(other.truth)
    assert set(split.test.read_text().splitlines()) == set(other.test.read_text().splitlines())
    assert 0.15 < len(split.truth) / len(text) < 0.35
    assert "species" not in split.test.read_text().splitlines()[0]


def test_scores_are_those_of_the_metric() -> None:
    truth = ["3.0", "5.0"]
    assert score(RMSE, truth, [], np.array([[3.0], [7.0]])) == pytest.approx(np.sqrt(2.0))
    right = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert score(AUC, ["<=50K", ">50K"], ["<=50K", ">50K"], right) == 1.0
    assert score(AUC, ["<=50K", ">50K"], [">50K", "<=50K"], right) == 0.0


def test_the_page_is_what_the_kept_runs_give() -> None:
    kept = (HOUSE / "benchmarks" / "results" / "quality-runs.jsonl").read_text().splitlines()
    lines = standings(map(json.loads, kept), seconds=120)
    for name, text in page_files(lines, seconds=120).items():
        assert (HOUSE / "docs" / name).read_text() == text, f"{name}: make bench-quality makes it"
