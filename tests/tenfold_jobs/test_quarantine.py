"""What could not be mended is shown, on the page, and written to a file by a command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tenfold.data import Snapshot
from tenfold.errors import DataError, UserError
from tenfold.project import load_project
from tenfold.settings import Settings
from tenfold_jobs.prepare import run_prepare
from tenfold_jobs.quarantine import FIRST_SHOWN, run_quarantine
from tests.command import tenfold, tenfold_json

N_BAD = 12
PROJECT = """
name: people
problem: {task: binary, target: y}
data: {sources: [{path: people.csv}]}
"""


@pytest.fixture
def project_file(tmp_path: Path) -> Path:
    """600 people, of whom twelve have a formula for an age and one of these a wrong score too."""
    rows = [f"{20 + i % 50},{i / 8},{('no', 'yes')[i % 2]}" for i in range(600)]
    for i in range(N_BAD):
        rows[40 * i + 3] = f"=A{i}<b>,{'x' if i == 1 else i},no"
    (tmp_path / "people.csv").write_text("\n".join(["age,score,y", *rows]))
    file = tmp_path / "project.yaml"
    file.write_text(PROJECT)
    return file


def test_bad_cells_are_shown_and_written(project_file: Path, settings: Settings) -> None:
    project = load_project(project_file)
    with pytest.raises(DataError, match="must be prepared first"):
        run_quarantine(project, settings)
    page = Path(run_prepare(project, settings).report)
    snapshot = Snapshot.latest(settings, project)
    found = run_quarantine(project, settings)
    assert (found["quarantined"], found["cells"], found["output"]) == (N_BAD, N_BAD + 1, None)
    assert found["reasons"] == [
        {"reason": "age: is not a whole number", "cells": N_BAD},
        {"reason": "score: is not a number", "cells": 1},
    ]
    assert found["first"][0] == {
        "source": "people", "position": 4, "column": "age", "value": "=A0<b>",
        "reason": "is not a whole number",
    }  # fmt: skip
    assert len(found["first"]) == FIRST_SHOWN

    numbers = json.loads(page.with_suffix(".json").read_bytes())
    assert numbers["quarantined"] == found["first"]
    shown = page.read_text().split('<h2 id="quarantine">')[1].split("<h2")[0]
    assert shown.count("<td>is not a") == FIRST_SHOWN
    assert "&#39;=A0&lt;b&gt;&#39;" in shown and "<b>" not in shown
    assert f"<b>{N_BAD}</b><span>rows in quarantine" in page.read_text()

    file = project_file.with_name("bad.parquet")
    assert run_quarantine(project, settings, output=file)["output"] == str(file)
    assert pq.read_table(file) == snapshot.quarantine()


def test_the_command_writes_a_file_for_a_spreadsheet(
    project_file: Path, settings: Settings
) -> None:
    run_prepare(load_project(project_file), settings)
    output = project_file.with_name("bad.csv")
    words = ("quarantine", str(project_file), "-o", str(output))
    document = tenfold_json(*words, home=settings.home)
    assert (document["cells"], document["output"]) == (N_BAD + 1, str(output))
    with output.open(newline="") as stream:
        header, first, *more = csv.reader(stream)
    assert header == ["source", "position", "column", "value", "reason"]
    assert first == ["people", "4", "age", "'=A0<b>", "is not a whole number"]
    assert len(more) == N_BAD
    lines = tenfold(*words[:2], home=settings.home).stdout.splitlines()
    assert lines[:2] == ["12 rows in quarantine", "  age: is not a whole number: 12"]
    assert lines[3] == "people, row 4: age '=A0<b>' is not a whole number"
    assert lines[-1] == "and 3 more"


@pytest.mark.parametrize(
    "name, told",
    [
        ("bad.xlsx", r"--output must end in \.csv or \.parquet; found '.*bad\.xlsx'; name such"),
        ("none/bad.csv", r"--output: there is no folder .*none; make it first"),
    ],
)
def test_a_file_that_cannot_be_is_told_first(
    name: str, told: str, project_file: Path, settings: Settings
) -> None:
    output = project_file.with_name("x").parent / name
    with pytest.raises(UserError, match=told):
        run_quarantine(load_project(project_file), settings, output=output)
