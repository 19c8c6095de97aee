"""Where a retrain fits: on the devices and nodes that the plan names, as a training does.

Most retrains fit on CPU in the command's own process and start no Ray: the plan is asked only where
it could name a GPU or the project means some nodes. A retrain must not hang on what others hold at
the hour when drift is proven: what the plan names must be free soon, else ``device: auto`` fits on
CPU and says so, and ``device: gpu`` ends in one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tenfold.cluster import Placement, Plan, inventory_local, inventory_ray, make_plan
from tenfold.cluster.connect import keeper_address
from tenfold.cluster.devices import may_use_gpu
from tenfold.cluster.placement import ON_CPU
from tenfold.cluster.work import Work
from tenfold.errors import ClusterError
from tenfold.inference.served import served_in
from tenfold.progress import SILENT, Progress
from tenfold.project import Project
from tenfold.project.labels import in_selector_words
from tenfold.settings import Settings
from tenfold_jobs.ray_rim import is_connected, start_ray

__all__ = ["HERE", "PATIENCE_S", "Where", "free_of", "place_retrain"]

PATIENCE_S = 60.0
"""In which what the plan names must be free: a last fit on a shared GPU takes about as long."""


@dataclass(frozen=True, slots=True)
class Where:
    """Where fits run.

    Attributes:
        placement: what they ask Ray for; nothing by default, and then they run in this process.
        sessions: side by side, of a search.
        notes: what the model card should say of it.
    """

    placement: Placement = ON_CPU
    sessions: int = 1
    notes: tuple[str, ...] = ()


HERE = Where()
"""On CPU, in this process."""


@contextmanager
def place_retrain(
    project: Project,
    settings: Settings,
    *,
    n_rows: int,
    n_columns: int,
    champion: Path | None = None,
    progress: Progress = SILENT,
    patience_s: float = PATIENCE_S,
) -> Iterator[Where]:
    """Where the fits of a retrain run, and a Ray to run them on if that is not this process.

    Args:
        project: its device and its nodes are obeyed.
        settings: where the cluster or the keeper is.
        n_rows: that are refitted on, at most.
        n_columns: features.
        champion: folder of the model that answers, perhaps on the same GPUs.
        progress: hears it when a GPU is not free.
        patience_s: see `free_of`.

    Raises:
        ProjectError: the project wants a GPU or nodes that are not there.
        ClusterError: the cluster does not answer, or what the project insists on is not free.
    """
    work = Work(n_rows=n_rows, n_columns=n_columns, size_bytes=0)
    if project.train.nodes is None and not may_use_gpu(project, work):
        yield HERE
        return
    joins = bool(is_connected() or settings.ray_address or keeper_address(settings))
    if not joins and project.train.nodes is None:
        size = _size(work, settings)
        local = make_plan(project, inventory_local(), **size, served=None, serves=False)
        if not local.placement.is_asked_for:
            yield HERE
            return
    with start_ray(settings):
        plan = make_plan(
            project,
            inventory_ray(),
            **_size(work, settings),
            served=None if champion is None else served_in(champion),
            serves=False,
        )
        where = _where(plan)
        if where.placement.is_asked_for:
            where = free_of(project, where, patience_s=patience_s)
        for note in where.notes:
            progress.say(note)
        yield where


def _size(work: Work, settings: Settings) -> dict[str, int]:
    return {
        "n_rows": work.n_rows,
        "n_columns": work.n_columns,
        "size_bytes": work.size_bytes,
        "local_bytes": settings.local_bytes,
    }


def _where(plan: Plan) -> Where:
    """One thread is asked for, as everywhere in a retrain: replicas answer on the same cores."""
    placement = replace(plan.placement, cpus=min(1.0, plan.trial_cpus))
    return Where(placement, plan.retrain_trials_at_once) if placement.is_asked_for else HERE


def free_of(project: Project, where: Where, *, patience_s: float = PATIENCE_S) -> Where:
    """What of a place is free on the connected Ray within some seconds.

    Args:
        project: whether it insists on a GPU.
        where: what the plan names.
        patience_s: how long to wait for it.

    Returns:
        The place; without its GPUs, and with a note, where these are not free and the project's
        device is auto.

    Raises:
        ClusterError: not free, and the project insists on it.
    """
    placement = where.placement
    if _is_free(placement, patience_s):
        return where
    if placement.gpus and project.train.device == "auto":
        note = (
            f"No GPU was free within {patience_s:g} s ({placement.gpus:g} of one was asked for): "
            "this was fitted on CPU."
        )
        rest = replace(placement, gpus=0.0)
        if not rest.nodes:
            return replace(HERE, notes=(note,))
        left = free_of(project, replace(where, placement=rest), patience_s=patience_s)
        return replace(left, notes=(note,))
    asked, remedy = _asked(placement)
    raise ClusterError(
        f"a retrain must find {asked} free within {patience_s:g} s, and others hold it; run it "
        f"again later, or {remedy}"
    )


def _asked(placement: Placement) -> tuple[str, str]:
    """What a placement asks for in words, and which line of the project file asks less."""
    kind = f" on a node with {in_selector_words(placement.nodes)}" if placement.nodes else ""
    if placement.gpus:
        return f"{placement.gpus:g} of a GPU{kind}", "write 'device: auto'"
    return f"{placement.cpus:g} of a CPU{kind}", "remove train.nodes"


def _is_free(placement: Placement, patience_s: float) -> bool:
    """Whether Ray can give it within some seconds; it is given back at once."""
    from ray.util.placement_group import placement_group, remove_placement_group

    group = placement_group([placement.resources()], bundle_label_selector=[dict(placement.nodes)])
    try:
        return bool(group.wait(timeout_seconds=patience_s))
    finally:
        remove_placement_group(group)
