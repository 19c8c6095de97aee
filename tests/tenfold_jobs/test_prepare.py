"""``tenfold prepare``'s body."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tenfold.data import Snapshot
from tenfold.errors import DataError
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold_jobs.prepare import PrepareRecord, run_prepare

COMMANDS = Path(__file__).resolve().parents[2] / "docs" / "commands.md"


def _adult(path: Path) -> Project:
    return Project.from_dict(
        {
            "problem": {"task": "binary", "target": "salary", "positive_class": ">50K"},
            "data": {"sources": [{"path": str(path)}]},
        }
    )


def test_the_record_and_the_report(data_folder: Path, settings: Settings) -> None:
    project = _adult(data_folder / "adult.csv")
    record = run_prepare(project, settings)
    snapshot = Snapshot.latest(settings, project)
    assert (record.snapshot, record.folds_digest) == (snapshot.digest, snapshot.folds_digest)
    assert (record.rows, record.duplicates, record.quarantined) == (32_561, 0, 0)
    assert record.equal == 24
    assert record.driver == "in-process"
    assert sum(record.folds.values()) == record.rows
    report = Path(record.report)
    assert report == settings.reports / "adult" / "report.html"
    assert snapshot.digest[:12] in report.read_text()
    assert json.loads(json.dumps(record.to_dict()))["rows"] == 32_561


def test_a_bad_table_leaves_no_report(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n")
    project = Project.from_dict(
        {
            "problem": {"task": "binary", "target": "y"},
            "data": {"sources": [{"path": str(path)}]},
        }
    )
    with pytest.raises(DataError, match="has no rows, only a header"):
        run_prepare(project, settings)
    assert not settings.reports.exists()


def test_with_no_local_bytes_it_goes_through_ray_and_gives_the_same_digests(
    tmp_path: Path, data_folder: Path, settings: Settings, ray_session: None
) -> None:
    header, *rows = (data_folder / "adult.csv").read_text().splitlines(keepends=True)[:6_001]
    (tmp_path / "adult").mkdir()
    for part in range(3):  # a table of one piece needs no Ray
        text = "".join([header, *rows[part::3]])
        (tmp_path / "adult" / f"{part}.csv").write_text(text)
    project = _adult(tmp_path / "adult")
    local = run_prepare(project, settings)
    through_ray = run_prepare(
        project,
        Settings.from_env({"TENFOLD_HOME": str(tmp_path / "ray"), "TENFOLD_LOCAL_BYTES": "0"}),
    )
    assert through_ray.driver == "ray-data"
    assert through_ray.snapshot == local.snapshot
    assert through_ray.folds_digest == local.folds_digest
    assert through_ray.folds == local.folds
    assert through_ray.findings == local.findings


def test_looking_at_a_table_needs_neither_ray_nor_a_framework() -> None:
    code = (
        "import sys, tenfold.data\n"
        "print([m for m in ('ray', 'torch', 'xgboost', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ},
    )
    assert done.stdout.strip() == "[]"


def test_the_guide_names_every_field_of_the_document() -> None:
    (line,) = [
        row for row in COMMANDS.read_text().splitlines() if "`tenfold prepare PROJECT" in row
    ]
    told = {word.removesuffix("[]") for word in re.findall(r"`([^`]+)`", line.split("|")[-2])}
    assert told == {field.name for field in fields(PrepareRecord)}
