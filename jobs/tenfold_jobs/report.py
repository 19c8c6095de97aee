"""``tenfold report``: where the exploration report and the model card are, and its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tenfold.canonical import read_json
from tenfold.errors import UserError
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings

__all__ = ["find_reports", "report_document"]


def find_reports(project: Project, settings: Settings) -> dict[str, str | None]:
    """Paths of the newest exploration report and of the newest model's card.

    Returns:
        ``project``, ``report`` and ``card``; None for the one that was not made yet.

    Raises:
        UserError: neither was made yet.
    """
    report = settings.reports / project.name / "report.html"
    registry = Registry(settings)
    newest = registry.resolve(project.name) or next(reversed(registry.versions(project.name)), None)
    card = None if newest is None else newest.path / "card.html"
    found = {
        "report": str(report) if report.exists() else None,
        "card": str(card) if card is not None and card.exists() else None,
    }
    if not any(found.values()):
        raise UserError(f"{project.name}: nothing was made yet; run `tenfold prepare`")
    return {"project": project.name, **found}


def report_document(project: Project, settings: Settings) -> dict[str, Any]:
    """The paths of `find_reports`, and under ``numbers`` what the exploration report shows.

    Returns:
        ``project``, ``report``, ``card`` and ``numbers``: the whole of ``report.json``, from which
        the page was drawn; None where there is no page.

    Raises:
        UserError: neither was made yet.
        StoreError: the numbers that were written with the page are gone or cannot be read.
    """
    found = find_reports(project, settings)
    page = found["report"]
    return {
        **found,
        "numbers": None if page is None else read_json(Path(page).with_suffix(".json")),
    }
