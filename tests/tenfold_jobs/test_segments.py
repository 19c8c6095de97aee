"""A table without a target: segments with portraits and a stability, then served in batch."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tenfold.data import prepare
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold_jobs.cli.work import segment_lines
from tenfold_jobs.predict import run_predict
from tenfold_jobs.train import TrainRecord, run_train
from tests.runs import with_runs

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.timeout(240)]


def project_of(folder: Path, path: Path, **problem: Any) -> Project:
    body = {
        "name": "mall",
        "problem": {"task": "clustering", **problem},
        "data": {"sources": [{"path": str(path)}]},
        "prepare": {"drop_duplicates": False},
        "train": {"trials": 11, "folds": 3},
    }
    return Project.from_dict(body).at(folder)


def trained(folder: Path, path: Path, **problem: Any) -> tuple[Project, Settings, TrainRecord]:
    project = project_of(folder, path, **problem)
    settings = with_runs(Settings.from_env({"TENFOLD_HOME": str(folder / "home")}))
    prepare(project, settings=settings)
    return project, settings, run_train(project, settings)


def test_mall_customers_become_segments_that_are_served_in_batch(
    data_folder: Path, tmp_path: Path
) -> None:
    table = data_folder / "mall-customers.csv"
    project, settings, record = trained(tmp_path, table, gates=["stability >= 0.5"])
    found = record.segments
    assert found is not None
    assert record.alias == "champion"
    assert record.gates[0]["holds"]
    assert record.metrics["stability"]["value"] == found["stability"] >= 0.5
    assert sum(one["n_rows"] for one in found["segments"]) <= 200
    assert {mark["column"] for one in found["segments"] for mark in one["marks"]} >= {"Sex"}
    assert [row["k"] for row in found["choice"]] == list(range(2, 13))
    assert json.loads(json.dumps(record.to_dict()))["segments"]["verdict"] == found["verdict"]

    version = Registry(settings).require("mall")
    card = (version.path / "card.md").read_text()
    for one in found["segments"]:
        assert f"## {one['name']}: {one['n_rows']} rows" in card
    assert "## Number of segments" in card
    assert found["verdict"] in card

    output = tmp_path / "answers.csv"
    answered = run_predict(project, settings, input=table, output=output)
    assert answered.answered == 200
    with output.open() as file:
        rows = list(csv.DictReader(file))
    named = Counter(row["prediction"] for row in rows)
    assert set(named) == {one["name"] for one in found["segments"]}
    assert named["segment-1"] >= max(one["n_rows"] for one in found["segments"])


def test_a_table_without_structure_says_so_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "noise.csv"
    cells = [f"{(k * 7919) % 211},{(k * 104729) % 223}" for k in range(200)]
    path.write_text("\n".join(["a,b", *cells, ""]))
    _, settings, record = trained(tmp_path, path)
    assert record.segments is not None
    assert record.segments["structure"] is False
    verdict = record.segments["verdict"]
    assert verdict.startswith("no cluster structure")
    card = (Registry(settings).require("mall").path / "card.md").read_text()
    assert f"- N{verdict[1:]}." in card
    lines = segment_lines(record.segments)
    assert lines[0] == f"  {verdict}"
    assert lines[1].startswith("  segment-1: ")
    assert segment_lines(None) == []
