"""Reports are found where they were made, and None says that they were not."""

from __future__ import annotations

from pathlib import Path

from tenfold.project import Project
from tenfold.registry import Registry, Version
from tenfold.settings import Settings
from tenfold_jobs.report import find_reports
from tests.tenfold_jobs.conftest import PublishSmall


def with_card(version: Version) -> str:
    path = version.path / "card.html"
    path.write_text("a card")
    return str(path)


def test_before_anything_was_made_there_is_nothing(
    settings: Settings, mixed_project: Project
) -> None:
    expected = {"project": "mixed", "report": None, "card": None}
    assert find_reports(mixed_project, settings) == expected


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
    assert find_reports(mixed_project, settings)["card"] is None
