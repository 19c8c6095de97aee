from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.project import load_project
from tenfold.settings import Settings
from tenfold_jobs.prepare import run_prepare
from tenfold_serve.snapshots import NewestSnapshot

PROJECT = """
name: shop
problem: {task: regression, target: y}
data:
  sources: [{path: rows.csv}]
  columns: {x: {kind: number, role: feature}}
prepare: {max_bad_fraction: 0.5}
"""


def write_rows(folder: Path, bad: int) -> None:
    good = [f"{number % 17 + number / 7:.3f},{number * 2}" for number in range(100)]
    lines = [*good, *good[:10], *["lots,1"] * bad]
    (folder / "rows.csv").write_text("\n".join(["x,y", *lines, ""]))


def test_the_newest_table_tells_what_it_left_out(settings: Settings, tmp_path: Path) -> None:
    newest = NewestSnapshot(settings, "shop")
    assert newest.facts() == {}
    (tmp_path / "project.yaml").write_text(PROJECT)
    project = load_project(tmp_path / "project.yaml")
    seen, causes = [], []
    for bad in (5, 15):
        write_rows(tmp_path, bad)
        run_prepare(project, settings)
        seen.append(newest.facts())
        causes.append(newest.causes())
        assert newest.facts() is seen[-1]  # not read again while nothing changed
    assert [facts["records"] for facts in seen] == [115.0, 125.0]
    assert [facts["quarantined_records"] for facts in seen] == [5.0, 15.0]
    assert [facts["duplicate_records"] for facts in seen] == [10.0, 10.0]
    assert [facts["quarantined_files"] for facts in seen] == [0.0, 0.0]
    assert causes == [{"unreadable_value": 5}, {"unreadable_value": 15}]
    assert [facts["quarantine_ratio"] for facts in seen] == pytest.approx([5 / 115, 15 / 125])
    assert [facts["duplicate_ratio"] for facts in seen] == pytest.approx([10 / 115, 10 / 125])
    assert seen[0]["timestamp_seconds"] < seen[1]["timestamp_seconds"]
