"""The last fit: alone or by a training group, and what each worker has, so that all of it fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tenfold.cluster.devices import (
    CONTEXT_BYTES,
    CPU,
    CUDA,
    CUDA_FROM_CELLS,
    Choice,
    Place,
    Precision,
    choose_families,
    choose_precision,
    families_of,
    gpu_places,
    too_small,
)
from tenfold.cluster.inventory import GIB, Inventory, Node
from tenfold.cluster.trials import MEMORY_SHARE, Trials
from tenfold.cluster.work import Work, in_words
from tenfold.errors import ProjectError
from tenfold.project import Project

__all__ = ["Group", "plan_group", "size_workers"]

DATA_CPUS = 1.0
"""Left free beside a training group, so that Ray Data can always run one task."""
BYTES_PER_WORKER = 2 * GIB
"""Source bytes that one worker takes before another one is worth its start (10-17 s for a group,
measured)."""
MAX_WORKER_CPUS = 16
"""XGBoost's threads saturate near 16 cores (measured on 1M x 200); more cores make more workers."""
CPU_SHARES = (*(float(n) for n in range(MAX_WORKER_CPUS, 0, -1)), 0.75, 0.5, 0.25, 0.1, 0.01)
"""What a worker may ask for, largest first; parts of a CPU only where whole ones do not fit."""
GPU_NODE_CPUS = 0.25
"""What a node with GPUs keeps for its workers at least: a GPU without any CPU has no worker."""
READS = (65_536, 16_384, 4_096, 1_024)
"""Rows that a worker of a streaming fit reads at a time, the first that fits its memory. The steps
of a network are 256 rows over all workers whatever the memory: longer ones cost .005 of ROC AUC."""
READ_SHARE = 0.125
"""Of a worker's memory, for the rows that it reads at a time."""
SUBJECT = "the last fit runs"


@dataclass(frozen=True, slots=True)
class Group:
    """How the last fit runs; see `Plan` for the fields of the same meaning."""

    fit: Literal["single", "distributed"]
    n_workers: int
    worker_cpus: float
    worker_gpus: float
    gpu_type: str | None
    devices: Mapping[str, str]
    precision: Precision
    batch_rows: int | None
    external_memory: bool
    reasons: tuple[str, ...]


def plan_group(
    project: Project,
    inventory: Inventory,
    work: Work,
    *,
    mode: str,
    serving_cpus: float,
    trials: Trials,
    cpus_elsewhere: float = 0.0,
) -> Group:
    """The last fit of a project.

    Args:
        project: its workers and its device are obeyed.
        inventory: the nodes that fits run on.
        work: the whole table.
        mode: ``"in-process"`` or ``"ray-data"``.
        serving_cpus: logical CPUs that are left to replicas.
        trials: how the search runs; a fit in one process runs where its trials did.
        cpus_elsewhere: logical CPUs of nodes without fits, which replicas and Ray Data take first.

    Raises:
        ProjectError: the project asks for more workers or GPUs than there are.
    """
    reserve = max(0.0, serving_cpus + DATA_CPUS - cpus_elsewhere)
    if mode == "in-process":
        return _single(project, inventory, work, reserve=reserve, trials=trials)
    families = _choose(project, inventory, work)
    on_gpus = _workers_on_gpus(project, inventory, work) if families.families else None
    if families.families and on_gpus is None:
        families = _refused(project, inventory, work)
    if on_gpus is None:
        place = None
        n_workers, why = count_workers(project, inventory, work, mode=mode)
        told = (why, families.why) if inventory.accelerators else (why,)
    else:
        place, n_workers = on_gpus
        told = (_why_on_gpus(project, place, n_workers, families),)
    share = size_workers(inventory, n_workers, reserve=reserve, place=place)
    alone = n_workers == 1 and place is None
    memory = _worker_bytes(inventory, n_workers, share, place=place)
    batch_rows = None if alone else _batch_rows(work, memory)
    bins = 0 if alone or place is not None else _bins_too_large(project, work, n_workers, memory)
    precision, _same_as_the_search_s = choose_precision(families.families, place, work)
    return Group(
        fit="single" if alone else "distributed",
        n_workers=n_workers,
        worker_cpus=share,
        worker_gpus=0.0 if place is None else 1.0,
        gpu_type=None if place is None else place.kind,
        devices=_devices(trials, families),
        precision=precision,
        batch_rows=batch_rows,
        external_memory=bins > 0,
        reasons=(*told, *_why_batch(batch_rows), *_why_external(bins, memory)),
    )


def _choose(project: Project, inventory: Inventory, work: Work) -> Choice:
    """Which of the families that a group can fit go to GPUs."""
    if not any(name in CUDA_FROM_CELLS for name in families_of(project)):
        return Choice((), f"{SUBJECT} in one process: no family of this project fits on a group")
    chosen = choose_families(project, inventory, work, subject=SUBJECT)
    names = tuple(name for name in chosen.families if name in CUDA_FROM_CELLS)
    return Choice(names, chosen.why)


def _devices(trials: Trials, families: Choice) -> dict[str, str]:
    """Of the last fits: families that a group cannot fit stay where their trials were."""
    return {
        name: device if name not in CUDA_FROM_CELLS else CUDA if name in families.families else CPU
        for name, device in trials.devices.items()
    }


def _single(
    project: Project, inventory: Inventory, work: Work, *, reserve: float, trials: Trials
) -> Group:
    """In one process, on the devices of the trials: they held the same rows."""
    n_workers, why = count_workers(project, inventory, work, mode="in-process")
    return Group(
        fit="single",
        n_workers=n_workers,
        worker_cpus=size_workers(inventory, n_workers, reserve=reserve),
        worker_gpus=trials.gpus,
        gpu_type=trials.gpu_type,
        devices=trials.devices,
        precision=trials.precision,
        batch_rows=None,
        external_memory=False,
        reasons=(f"{why}; the last fit takes what a trial took" if trials.gpus else why,),
    )


def count_workers(
    project: Project, inventory: Inventory, work: Work, *, mode: str
) -> tuple[int, str]:
    """How many workers a training group on CPUs has, and why; 1 means that none is made.

    Raises:
        ProjectError: the project asks for more workers than there are cores.
    """
    most = inventory.cpus
    asked = project.train.workers
    if asked is not None:
        if asked > most:
            where = "the nodes that train.nodes means" if project.train.nodes else "this cluster"
            raise ProjectError(
                f"train.workers: must be at most the {most} cores of {where}; found {asked}; "
                "lower it or remove it, and the plan chooses"
            )
        return asked, f"{asked} training workers, as the project says"
    if mode == "in-process":
        return 1, "no training group: the table fits one process"
    by_size = math.ceil(work.size_bytes / BYTES_PER_WORKER)
    n_nodes = len(inventory.nodes)
    spread = max(n_nodes, math.ceil(most / MAX_WORKER_CPUS))
    count = min(most, max(2, min(by_size, spread)))
    if count == 1:
        return 1, "no training group: there is one core"
    where = f"over {n_nodes} nodes" if n_nodes > 1 else "on one node"
    why = f"one for each {in_words(BYTES_PER_WORKER)} of data, two at least"
    return count, f"{count} training workers {where}: {why}"


def _workers_on_gpus(
    project: Project, inventory: Inventory, work: Work
) -> tuple[Place, int] | None:
    """Which GPUs and how many workers, one GPU each; None where the bins of the table do not fit
    or the project wants more workers than there are GPUs."""
    asked = project.train.workers
    by_size = max(1, math.ceil(work.size_bytes / BYTES_PER_WORKER))
    found = []
    for place in gpu_places(inventory):
        needed = _needed(place, work)
        count = min(place.gpus, max(needed, by_size)) if asked is None else asked
        if needed <= count <= place.gpus:
            found.append((place, count))
    return max(found, key=lambda one: (one[1], one[0].memory_bytes), default=None)


def _needed(place: Place, work: Work) -> int:
    """GPUs over which the bins of the whole table fit."""
    room = place.memory_bytes - CONTEXT_BYTES
    return max(1, math.ceil(work.quantized_bytes / room)) if room > 0 else place.gpus + 1


def _refused(project: Project, inventory: Inventory, work: Work) -> Choice:
    """Why no group has GPUs though it should.

    Raises:
        ProjectError: the project wants a GPU.
    """
    asked, most = project.train.workers, max(place.gpus for place in gpu_places(inventory))
    if asked is None or asked <= most:
        each = CONTEXT_BYTES + math.ceil(work.quantized_bytes / (asked or most))
        return too_small(project, inventory, each, subject=SUBJECT)
    if project.train.device == "gpu":
        raise ProjectError(
            f"train.workers: must be at most the {most} GPUs that one training group can have "
            f"where train.device is gpu; found {asked}; lower it, or write 'device: auto'"
        )
    why = f"{asked} workers are more than the {most} GPUs that one group can have"
    return Choice((), f"{SUBJECT} on CPU: {why}")


def _why_on_gpus(project: Project, place: Place, n_workers: int, families: Choice) -> str:
    which = "GPU" if place.kind is None else place.kind
    many = f"{n_workers} training workers" if n_workers > 1 else "one training worker"
    if project.train.workers is not None:
        why = "as the project says"
    else:
        why = f"one for each {in_words(BYTES_PER_WORKER)} of data or what a GPU holds"
    return f"{many} with one {which} each: {why}; {families.why}"


def size_workers(
    inventory: Inventory, n_workers: int, *, reserve: float, place: Place | None = None
) -> float:
    """Logical CPUs of one worker: the most that leaves Ray Data and the replicas theirs.

    Args:
        inventory: what there is.
        n_workers: of the group, from 1.
        reserve: logical CPUs that are left to replicas and Ray Data; at most half of all is.
        place: whose GPUs the workers have, one each; None for workers on CPUs.
    """
    if reserve >= inventory.cpus:
        reserve = inventory.cpus / 2
    room = _room(inventory, reserve, place)
    for share in CPU_SHARES:
        if sum(min(int(cpus / share), most) for cpus, most in room) >= n_workers:
            return share
    return CPU_SHARES[-1]


def _room(inventory: Inventory, reserve: float, place: Place | None) -> list[tuple[float, int]]:
    """Per node that may hold workers, the CPUs that they may take and how many they may be. The
    reserve is taken from nodes that hold none first, then from the largest."""
    hosts: tuple[Node, ...] = inventory.nodes if place is None else place.nodes
    least = 0.0 if place is None else GPU_NODE_CPUS
    room = []
    for node in sorted(inventory.nodes, key=lambda node: (node in hosts, -node.cpus)):
        is_host = node in hosts
        taken = min(reserve, node.cpus - (least if is_host else 0.0))
        reserve -= taken
        if is_host:
            room.append((node.cpus - taken, node.cpus * 100 if place is None else len(node.cuda)))
    return room


def _worker_bytes(
    inventory: Inventory, n_workers: int, share: float, *, place: Place | None
) -> float:
    """Memory that one worker may take, on the node that has least for each."""
    hosts = inventory.nodes if place is None else place.nodes
    return min(
        node.memory_bytes * MEMORY_SHARE / min(n_workers, max(1, int(node.cpus / share)))
        for node in hosts
    )


def _batch_rows(work: Work, memory: float) -> int:
    """Rows that a worker reads at a time, so that they take a small part of its memory."""
    most = memory * READ_SHARE / max(1, work.row_bytes)
    return next((rows for rows in READS if rows <= most), READS[-1])


def _bins_too_large(project: Project, work: Work, n_workers: int, memory: float) -> int:
    """Bytes of boosting's bins in each worker if they do not fit beside what it reads, else 0."""
    if "boosting" not in families_of(project):
        return 0
    each = math.ceil(work.quantized_bytes / n_workers)
    return each if each > memory * (1.0 - READ_SHARE) else 0


def _why_external(bins: int, memory: float) -> tuple[str, ...]:
    if not bins:
        return ()
    return (
        f"boosting keeps its bins on the workers' disks: {in_words(bins)} each are more than the "
        f"{in_words(int(memory))} of memory that a worker has, and a round takes about three times "
        "as long",
    )


def _why_batch(batch_rows: int | None) -> tuple[str, ...]:
    if batch_rows is None:
        return ()
    why = "" if batch_rows == READS[0] else ", memory allows no more of so many columns"
    return (f"each worker reads {batch_rows:,} rows at a time{why}",)
