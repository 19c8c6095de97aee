"""Reports are found where they were made, shown, and opened in the user's own browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tenfold.errors import StoreError, UserError
from tenfold.profile.report import render_report
from tenfold.project import Project, load_project
from tenfold.registry import Registry, Version
from tenfold.settings import Settings
from tenfold_jobs.prepare import run_prepare
from tenfold_jobs.report import find_reports, report_document
from tests.command import tenfold, tenfold_json
from tests.tenfold_jobs.conftest import PublishSmall


def with_card(version: Version) -> str:
    path = version.path / "card.html"
    path.write_text("a card")
    return str(path)


def test_before_anything_was_made_the_remedy_is_told(
    settings: Settings, mixed_project: Project
) -> None:
    with pytest.raises(UserError, match="mixed: nothing was made yet; run `tenfold prepare`"):
        find_reports(mixed_project, settings)


def test_the_report_of_the_preparation_needs_no_model(
    settings: Settings, mixed_project: Project
) -> None:
    path = settings.reports / "mixed" / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text("a report")
    (settings.reports / "other").mkdir()
    found = find_reports(mixed_project, settings)
    assert found == {"project": "mixed", "report": str(path), "card": None}


def test_the_card_is_the_champions_else_the_newest_versions(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    cards = [with_card(publish_small()) for _ in range(2)]
    publish_small("other")
    assert find_reports(mixed_project, settings)["card"] == cards[1]
    Registry(settings).promote("mixed", 1, expected=None)
    assert find_reports(mixed_project, settings)["card"] == cards[0]
    Path(cards[0]).unlink()
    with pytest.raises(UserError, match="nothing was made yet"):
        find_reports(mixed_project, settings)


def test_numbers_that_are_gone_are_told(settings: Settings, mixed_project: Project) -> None:
    path = settings.reports / "mixed" / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text("a report")
    with pytest.raises(StoreError, match=r"report\.json must be a readable JSON file"):
        report_document(mixed_project, settings)


def test_a_card_alone_has_no_numbers(
    settings: Settings, mixed_project: Project, publish_small: PublishSmall
) -> None:
    with_card(publish_small())
    assert report_document(mixed_project, settings)["numbers"] is None


PROJECT = """
name: mixed
problem: {task: binary, target: label}
data: {sources: [{path: mixed.csv}]}
"""


def test_json_carries_the_numbers_of_the_page(settings: Settings, tmp_path: Path) -> None:
    rows = [f"r{i:04d},{i % 7},{'ab'[i % 3 == 0]},{('no', 'yes')[i % 2]}" for i in range(70)]
    (tmp_path / "mixed.csv").write_text("\n".join(["id,n,c,label", *rows]))
    file = tmp_path / "project.yaml"
    file.write_text(PROJECT)
    prepared = run_prepare(load_project(file), settings)
    document = tenfold_json("report", str(file), home=settings.home)
    numbers = document["numbers"]
    assert set(document) == {"project", "report", "card", "numbers"}
    page = Path(document["report"]).read_text()
    assert render_report(numbers) == page
    assert numbers["findings"] == prepared.findings
    assert [(one["name"], one["seen"]) for one in numbers["left_out"]] == [
        ("id", {"rows": 70, "missing_share": 0.0, "distinct": 70, "exact": True, "top": None})
    ]
    assert numbers["snapshot"]["digest"] == prepared.snapshot
    (n,) = (column for column in numbers["columns"] if column["name"] == "n")
    card = page.split('<section class="card"')[1 + numbers["columns"].index(n)]
    shown = dict(re.findall(r"<dt>(.+?)</dt><dd>(.+?)</dd>", card))
    assert shown["rows"] == str(n["count"])
    assert shown["mean"] == f"{n['mean']:.4g}"
    assert shown["median"] == f"{n['quantiles']['0.5']:.4g}"
    top = n["top"][0]
    assert f"{top['value']:.0f} ({100 * top['share']:.0f}%)" in card
    assert shown["largest"] == f"{n['maximum']:.4g}" == "6"


def a_browser(folder: Path) -> str:
    """A browser that only writes down what it was asked to open."""
    script, seen = folder / "browser", folder / "seen"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> "{seen}"\n')
    script.chmod(0o755)
    return str(script)


def test_open_shows_what_is_there_in_the_browser(settings: Settings, tmp_path: Path) -> None:
    project = tmp_path / "project.yaml"
    project.write_text(PROJECT)
    words = ("report", str(project), "--open")
    browser = a_browser(tmp_path)
    empty = tenfold(*words, home=settings.home, code=2, BROWSER=browser)
    assert empty.stderr == "error: mixed: nothing was made yet; run `tenfold prepare`\n"
    assert not (tmp_path / "seen").exists()
    path = settings.reports / "mixed" / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text("a report")
    shown = tenfold(*words, home=settings.home, BROWSER=browser)
    assert f"report: {path}\n" in shown.stdout
    assert (tmp_path / "seen").read_text() == f"{path.as_uri()}\n"
