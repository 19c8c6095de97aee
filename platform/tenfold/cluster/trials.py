"""How the trials of a search share a cluster: threads each, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from tenfold.cluster.inventory import Inventory
from tenfold.cluster.work import Work, in_words
from tenfold.project import Project

__all__ = ["Trials", "plan_trials"]

MAX_TRIALS_AT_ONCE = 16
"""More trials side by side learn little from one another; cores go into threads instead."""
THREADS_BY_CELLS = ((2_000_000, 1), (50_000_000, 2), (None, 4))
"""Threads of a trial by the table's cells: many trials with few threads beat one with all, and a
small table loses more to waiting threads than it gains."""
MAX_THREADS = 4
TRIAL_PROCESS_BYTES = 700 * 1024**2
"""A worker that imported PyTorch and XGBoost, before any data."""
MEMORY_SHARE = 0.6
"""Of a node's memory, for trials; the rest is Ray's object store and the system."""


@dataclass(frozen=True, slots=True)
class Trials:
    """How the search runs; see `Plan` for the fields of the same meaning."""

    threads: int
    cpus: float
    at_once: int
    at_once_beside_serving: int
    reasons: tuple[str, ...]


def plan_trials(project: Project, inventory: Inventory, work: Work, *, free_cpus: float) -> Trials:
    """Threads, and how many at once.

    Args:
        project: its device is obeyed.
        inventory: what there is.
        work: the table's size.
        free_cpus: logical CPUs that serving leaves, above 0.
    """
    threads = _threads_by_size(inventory, work)
    at_once, why = _at_once_on_cpus(inventory, work, threads)
    cpus = min(float(threads), free_cpus)
    beside = max(1, min(at_once, int(free_cpus / cpus)))
    return Trials(
        threads=threads,
        cpus=cpus,
        at_once=at_once,
        at_once_beside_serving=beside,
        reasons=(_why_cpu(project, inventory), why),
    )


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _threads_by_size(inventory: Inventory, work: Work) -> int:
    wanted = next(n for limit, n in THREADS_BY_CELLS if limit is None or work.cells < limit)
    plenty = inventory.cpus // MAX_TRIALS_AT_ONCE
    largest = max(node.cpus for node in inventory.nodes)
    return max(1, min(max(wanted, plenty), MAX_THREADS, largest))


def _at_once_on_cpus(inventory: Inventory, work: Work, threads: int) -> tuple[int, str]:
    each = TRIAL_PROCESS_BYTES + work.training_bytes
    by_cpu = sum(node.cpus // threads for node in inventory.nodes)
    by_memory = sum(
        min(node.cpus // threads, int(node.memory_bytes * MEMORY_SHARE) // each)
        for node in inventory.nodes
    )
    at_once = max(1, min(by_cpu, by_memory, MAX_TRIALS_AT_ONCE))
    why = f"{at_once} trials at once with {_threads(threads)} each on {inventory.cpus} cores"
    if by_memory < min(by_cpu, MAX_TRIALS_AT_ONCE):
        why += f"; memory bounds them, each needs about {in_words(each)}"
    elif by_cpu > MAX_TRIALS_AT_ONCE:
        why += "; more would learn little from one another"
    return at_once, why


def _why_cpu(project: Project, inventory: Inventory) -> str:
    if project.train.device == "cpu":
        return "trials train on CPU, as the project says"
    if not inventory.gpus:
        return "trials train on CPU: there is no GPU"
    found = ", ".join(f"{count} x {kind}" for kind, count in inventory.accelerators.items())
    return f"trials train on CPU: fits run there so far, and GPUs are left to later ({found})"
