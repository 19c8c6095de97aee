"""The training group: how many workers, and how many CPUs each, so that all of it fits."""

from __future__ import annotations

import math

from tenfold.cluster.inventory import GIB, Inventory
from tenfold.cluster.trials import Trials
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
    project: Project, inventory: Inventory, work: Work, trials: Trials, *, mode: str
) -> tuple[int, str]:
    """How many workers a training group has, and why; 1 means that none is made.

    Raises:
        ProjectError: the project asks for more workers than there are cores or GPUs.
    """
    most = trials.n_gpus if trials.use_gpu else inventory.cpus
    unit = "GPUs" if trials.use_gpu else "cores"
    asked = project.train.workers
    if asked is not None:
        if asked > most:
            raise ProjectError(
                f"train.workers: must be at most the {most} {unit} of this cluster; found {asked}; "
                "lower it or remove it, and the plan chooses"
            )
        return asked, f"{asked} training workers, as the project says"
    if mode == "in-process":
        return 1, "no training group: the table fits one process"
    by_size = math.ceil(work.size_bytes / BYTES_PER_WORKER)
    if trials.use_gpu:
        count = min(most, max(2, by_size))
        return count, f"{count} training workers, one {trials.accelerator or 'GPU'} each"
    n_nodes = len(inventory.nodes)
    spread = max(n_nodes, math.ceil(most / MAX_WORKER_CPUS))
    count = min(most, max(2, min(by_size, spread)))
    if count == 1:
        return 1, "no training group: there is one core"
    where = f"over {n_nodes} nodes" if n_nodes > 1 else "on one node"
    why = f"one for each {in_words(BYTES_PER_WORKER)} of data, two at least"
    return count, f"{count} training workers {where}: {why}"


def size_workers(
    inventory: Inventory, trials: Trials, n_workers: int, *, serving_cpus: float
) -> float:
    """Logical CPUs of one worker: the most that leaves Ray Data and the replicas theirs."""
    reserve = serving_cpus + DATA_CPUS
    if reserve >= inventory.cpus:
        reserve = inventory.cpus / 2
    room = _room(inventory, trials, reserve)
    for share in CPU_SHARES:
        slots = sum(min(int(cpus / share), most) for cpus, most in room)
        if slots >= n_workers:
            return share
    return CPU_SHARES[-1]


def _room(inventory: Inventory, trials: Trials, reserve: float) -> list[tuple[float, int]]:
    """Per node, the CPUs that workers may take and how many workers it may hold.

    The reserve is taken from nodes without a GPU first, then from the largest.
    """
    nodes = sorted(inventory.nodes, key=lambda node: (len(node.accelerators) > 0, -node.cpus))
    room = []
    for node in nodes:
        taken = min(reserve, float(node.cpus))
        reserve -= taken
        gpus = sum(gpu.kind == trials.gpu_kind for gpu in node.accelerators)
        room.append((node.cpus - taken, gpus if trials.use_gpu else inventory.cpus))
    return room
