"""Where the replicas of each project sit: decided once, when the endpoint starts, by the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tenfold.cluster import Inventory
from tenfold.cluster.plan import plan_serving
from tenfold.cluster.seats import ON_CPU_SEAT, Seat
from tenfold.cluster.served import Served, device_of
from tenfold.data import Snapshot
from tenfold.errors import TenfoldError, UserError
from tenfold.inference.cuda import why_no_cuda
from tenfold.inference.served import served_in
from tenfold.project import Project
from tenfold.registry import CHAMPION, Registry
from tenfold.settings import Settings

__all__ = ["refusal", "seats_for"]

NO_TABLE = {"n_rows": 0, "n_columns": 0, "size_bytes": 0}


def seats_for(
    projects: Sequence[Project], settings: Settings, inventory: Inventory
) -> dict[str, Seat]:
    """The seats of all projects that one endpoint serves, by name.

    Args:
        projects: that it serves.
        settings: where models and snapshots lie.
        inventory: the nodes that replicas may run on.

    Raises:
        ProjectError: a project asks for a GPU, and there is none that would do for its champion.
        UserError: it asks for one, and the installation runs nothing on CUDA.
        ArtifactError: its champion is damaged.
    """
    return {project.name: _seat_of(project, settings, inventory) for project in projects}


def refusal(seat: Seat, folder: Path) -> str:
    """Why replicas could not load a model that passed its probe on CPU; empty where they can, as
    far as that shows without a GPU.

    Args:
        seat: of the replicas.
        folder: of the artifact.
    """
    if seat.device == "cpu":
        return ""
    try:
        device_of(served_in(folder), seat.asked)
    except TenfoldError as error:
        return str(error)
    return ""


def _seat_of(project: Project, settings: Settings, inventory: Inventory) -> Seat:
    asked = project.serve.device
    matters = asked == "gpu" or (asked == "auto" and bool(inventory.gpus))
    seat = plan_serving(
        project,
        inventory,
        served=_champion(project, settings) if matters else None,
        local_bytes=settings.local_bytes,
        **(_table(project, settings) if matters else NO_TABLE),
    )
    why = why_no_cuda() if seat.device == "cuda" else ""
    if not why:
        return seat
    if seat.asked == "gpu":
        raise UserError(why)
    return replace(ON_CPU_SEAT, reason=f"replicas answer on CPU: {why}")


def _champion(project: Project, settings: Settings) -> Served | None:
    """The model that answers first."""
    champion = Registry(settings).resolve(project.name, CHAMPION)
    return None if champion is None else served_in(champion.path)


def _table(project: Project, settings: Settings) -> dict[str, int]:
    """The size of the table that a retrain learns from; of none where there is no snapshot."""
    try:
        snapshot = Snapshot.latest(settings, project)
    except TenfoldError:
        return dict(NO_TABLE)
    return {
        "n_rows": snapshot.n_rows,
        "n_columns": len(snapshot.schema.features),
        "size_bytes": sum(block["size_bytes"] for block in snapshot.manifest["blocks"]),
    }
