"""``tenfold promote``, ``rollback`` and ``traffic``: who answers, and which share."""

from __future__ import annotations

from typing import Any

from tenfold.errors import UserError
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.registry import CHALLENGER, CHAMPION, Registry
from tenfold.settings import Settings
from tenfold.traffic import Canary, read_canary, write_canary
from tenfold_jobs.mirror import tell_mlflow

__all__ = ["run_promote", "run_rollback", "run_traffic"]


def run_promote(
    project: Project, settings: Settings, *, version: int | None, progress: Progress = SILENT
) -> dict[str, Any]:
    """Make a version the champion: the named one, else the challenger, else the newest.

    Raises:
        UserError: there is no such version.
        RegistryConflict: the champion moved meanwhile.
    """
    registry = Registry(settings)
    previous = registry.alias(project.name, CHAMPION)
    chosen = registry.alias(project.name, CHALLENGER) if version is None else version
    if chosen is None:
        registry.require(project.name, previous or 1)
        chosen = registry.versions(project.name)[-1].version
    if chosen != previous:
        registry.promote(project.name, chosen, expected=previous)
        body = {"version": chosen, "previous": previous, "reason": "asked for by a person"}
        registry.state.journal.append(project.name, "promote", body)
        tell_mlflow(project.name, settings, progress=progress)
    return {"project": project.name, "champion": chosen, "previous": previous}


def run_rollback(
    project: Project, settings: Settings, *, progress: Progress = SILENT
) -> dict[str, Any]:
    """Point the champion to the version it replaced.

    Raises:
        UserError: there is no earlier champion.
        RegistryConflict: the champion moved meanwhile.
    """
    registry = Registry(settings)
    previous = registry.alias(project.name, CHAMPION)
    back = registry.rollback(project.name)
    body = {"version": back.version, "previous": previous, "reason": "asked for by a person"}
    registry.state.journal.append(project.name, "rollback", body)
    tell_mlflow(project.name, settings, progress=progress)
    return {"project": project.name, "champion": back.version, "previous": previous}


def run_traffic(
    project: Project,
    settings: Settings,
    *,
    canary_percent: int | None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Set, or with None only show, the challenger's share of the requests.

    Raises:
        UserError: a share is asked for and there is no challenger.
    """
    registry = Registry(settings)
    champion = registry.require(project.name)
    challenger = registry.alias(project.name, CHALLENGER)
    if canary_percent and challenger is None:
        newest = registry.versions(project.name)[-1].version
        if newest == champion.version:
            raise UserError(
                f"project {project.name!r} has no challenger; train another version first"
            )
        registry.set_alias(project.name, CHALLENGER, newest)
        challenger = newest
        tell_mlflow(project.name, settings, progress=progress)
    if canary_percent is not None and challenger is not None:
        write_canary(registry.state, project.name, Canary(challenger, canary_percent))
        body = {"canary_percent": canary_percent, "challenger": challenger}
        registry.state.journal.append(project.name, "traffic", body)
    canary = read_canary(registry.state, project.name)
    return {
        "project": project.name,
        "champion": champion.version,
        "challenger": challenger,
        "canary_percent": 0 if canary is None else canary.share_of(challenger),
    }
