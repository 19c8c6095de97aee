"""``tenfold promote``, ``rollback`` and ``traffic``: who answers, and which share."""

from __future__ import annotations

import time
from typing import Any

from tenfold.artifact import read_artifact
from tenfold.errors import UserError
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.registry import CHALLENGER, CHAMPION, Registry, Version
from tenfold.settings import Settings
from tenfold.traffic import (
    Canary,
    Shadow,
    columns_not_asked,
    read_canary,
    read_shadow,
    write_canary,
    write_shadow,
)
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
    shadow: bool | None = None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Set, or with None only show, what the challenger does.

    Args:
        project: whose.
        settings: where the registry is.
        canary_percent: its share of the requests.
        shadow: whether it scores in shadow.
        progress: for the mirror.

    Raises:
        UserError: something is asked of a challenger and there is none, or it reads columns that
            the champion's requests do not carry.
    """
    registry = Registry(settings)
    champion = registry.require(project.name)
    challenger = registry.alias(project.name, CHALLENGER)
    if (canary_percent or shadow) and challenger is None:
        newest = registry.versions(project.name)[-1].version
        if newest == champion.version:
            raise UserError(
                f"project {project.name!r} has no challenger; train another version first"
            )
        challenger = newest
    if shadow and challenger is not None:
        _require_columns(champion, registry.require(project.name, challenger))
    if challenger is not None and challenger != registry.alias(project.name, CHALLENGER):
        registry.set_alias(project.name, CHALLENGER, challenger)
        tell_mlflow(project.name, settings, progress=progress)
    if canary_percent is not None and challenger is not None:
        write_canary(registry.state, project.name, Canary(challenger, canary_percent))
        body = {"canary_percent": canary_percent, "challenger": challenger}
        registry.state.journal.append(project.name, "traffic", body)
    if shadow is not None:
        _set_shadow(registry, project.name, challenger if shadow else None)
    canary = read_canary(registry.state, project.name)
    wish = read_shadow(registry.state, project.name)
    return {
        "project": project.name,
        "champion": champion.version,
        "challenger": challenger,
        "canary_percent": 0 if canary is None else canary.share_of(challenger),
        "shadow": wish is not None and wish.of(challenger) is not None,
    }


def _set_shadow(registry: Registry, project: str, version: int | None) -> None:
    """A shadow that is there goes on: asked for twice, its rows are not counted anew."""
    before = read_shadow(registry.state, project)
    if version == (None if before is None else before.version):
        return
    wish = None if version is None else Shadow(version, time.time_ns() // 1_000_000)
    write_shadow(registry.state, project, wish)
    body: dict[str, Any] = {"shadow": "off"} if version is None else {
        "shadow": "on", "challenger": version,
    }  # fmt: skip
    registry.state.journal.append(project, "traffic", body)


def _require_columns(champion: Version, challenger: Version) -> None:
    """Requests carry what the champion reads, and the shadow gets no other columns."""
    old, new = (read_artifact(each.path).manifest.schema for each in (champion, challenger))
    reason = columns_not_asked(old, new)
    if reason:
        raise UserError(f"version {challenger.version} beside {champion.version}: {reason}")
