"""The training group: how many workers, and how many CPUs each, so that all of it fits."""

from __future__ import annotations

import math

from tenfold.cluster.inventory import GIB, Inventory
from tenfold.cluster.work import Work, in_words
from tenfold.errors import ProjectError
from tenfold.project import Project

__all__ = ["count_workers", "size_workers"]

DATA_CPUS = 1.0
"""Left free beside a training group, so that Ray Data can always run one task."""
BYTES_PER_WORKER = 2 * GIB
"""Source bytes that one worker takes before another one is worth its start (10-17 s for a group,
measured)."""
MAX_WORKER_CPUS = 16
"""XGBoost's threads saturate near 16 cores (measured on 1M x 200); more cores make more workers."""
CPU_SHARES = (*(float(n) for n in range(MAX_WORKER_CPUS, 0, -1)), 0.75, 0.5, 0.25, 0.1, 0.01)
"""What a worker may ask for, largest first; parts of a CPU only where whole ones do not fit."""


def count_workers(
    project: Project, inventory: Inventory, work: Work, *, mode: str
) -> tuple[int, str]:
    """How many workers a training group has, and why; 1 means that none is made.

    Raises:
        ProjectError: the project asks for more workers than there are cores.
    """
    most = inventory.cpus
    asked = project.train.workers
    if asked is not None:
        if asked > most:
            raise ProjectError(
                f"train.workers: must be at most the {most} cores of this cluster; found {asked}; "
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


def size_workers(inventory: Inventory, n_workers: int, *, serving_cpus: float) -> float:
    """Logical CPUs of one worker: the most that leaves Ray Data and the replicas theirs."""
    reserve = serving_cpus + DATA_CPUS
    if reserve >= inventory.cpus:
        reserve = inventory.cpus / 2
    room = _room(inventory, reserve)
    for share in CPU_SHARES:
        if sum(int(cpus / share) for cpus in room) >= n_workers:
            return share
    return CPU_SHARES[-1]


def _room(inventory: Inventory, reserve: float) -> list[float]:
    """Per node, the CPUs that workers may take; the reserve is taken from the largest first."""
    room = []
    for node in sorted(inventory.nodes, key=lambda node: -node.cpus):
        taken = min(reserve, float(node.cpus))
        reserve -= taken
        room.append(node.cpus - taken)
    return room
