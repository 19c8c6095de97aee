"""``tenfold report``: where the exploration report and the model card are."""

from __future__ import annotations

from tenfold.errors import UserError
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings

__all__ = ["find_reports"]


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
