"""Reports are found where they were made, shown, and opened in the user's own browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.errors import UserError
from tenfold.project import Project
from tenfold.registry import Registry, Version
from tenfold.settings import Settings
from tenfold_jobs.report import find_reports
from tests.command import tenfold
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


PROJECT = """
name: mixed
problem: {task: binary, target: label}
data: {sources: [{path: mixed.csv}]}
"""


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
