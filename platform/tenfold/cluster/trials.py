"""How the trials of a search share a cluster: threads each, side by side, on which device."""

from __future__ import annotations

from dataclasses import dataclass

from tenfold.cluster.inventory import GIB, Inventory
from tenfold.cluster.work import Work, in_words
from tenfold.errors import ProjectError
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
GPU_CONTEXT_BYTES = 1 * GIB
"""What CUDA and the libraries take before any data."""
GPU_MIN_CELLS = {"network": 2_000_000, "boosting": 10_000_000}
"""From how many cells a family gains from a GPU: boosting on 400 k x 30 gained only 1.9 times."""
UNKNOWN_GPU_BYTES = 16 * GIB
"""For ranking types whose memory is not known; such a type is never called too small."""


@dataclass(frozen=True, slots=True)
class Trials:
    """How the search runs; see `Plan` for the fields of the same meaning."""

    threads: int
    cpus: float
    at_once: int
    at_once_beside_serving: int
    gpu_kind: str | None
    n_gpus: int
    reasons: tuple[str, ...]

    @property
    def use_gpu(self) -> bool:
        """Whether training asks for GPUs."""
        return self.n_gpus > 0

    @property
    def accelerator(self) -> str | None:
        """The type to ask Ray for, None on CPU or where the type is unknown."""
        return None if self.gpu_kind == "GPU" else self.gpu_kind


@dataclass(frozen=True, slots=True)
class _Pool:
    """The GPUs of one type that training uses; none for CPU training."""

    kind: str | None
    count: int
    why: str


def plan_trials(project: Project, inventory: Inventory, work: Work, *, free_cpus: float) -> Trials:
    """Threads, devices and how many at once.

    Args:
        project: its families and device are obeyed.
        inventory: what there is.
        work: the table's size.
        free_cpus: logical CPUs that serving leaves, above 0.

    Raises:
        ProjectError: a GPU is asked for and none is there or large enough.
    """
    pool = _choose_gpus(project, inventory, work)
    if pool.count:
        per_node = [
            (node.cpus, sum(gpu.kind == pool.kind for gpu in node.accelerators))
            for node in inventory.nodes
        ]
        threads = max(1, min([MAX_THREADS, *(cpus // n for cpus, n in per_node if n)]))
        at_once = min(pool.count, MAX_TRIALS_AT_ONCE)
        why = f"{at_once} trials at once, one GPU and {_threads(threads)} each"
    else:
        threads = _threads_by_size(inventory, work)
        at_once, why = _at_once_on_cpus(inventory, work, threads)
    cpus = min(float(threads), free_cpus)
    beside = max(1, min(at_once, int(free_cpus / cpus)))
    return Trials(
        threads=threads,
        cpus=cpus,
        at_once=at_once,
        at_once_beside_serving=beside,
        gpu_kind=pool.kind,
        n_gpus=pool.count,
        reasons=(pool.why, why),
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


def _choose_gpus(project: Project, inventory: Inventory, work: Work) -> _Pool:
    device, families = project.train.device, project.train.families
    forced = device == "gpu"
    if device == "cpu":
        return _Pool(None, 0, "trials train on CPU, as the project says")
    if not inventory.gpus:
        if forced:
            raise ProjectError(
                "train.device: must be auto or cpu here, because this cluster has no GPU; "
                "found 'gpu'; add a GPU node or write 'device: auto'"
            )
        return _Pool(None, 0, "trials train on CPU: there is no GPU")
    able = [GPU_MIN_CELLS[name] for name in families if name in GPU_MIN_CELLS]
    if not forced and not able:
        return _Pool(None, 0, f"trials train on CPU: no GPU helps {', '.join(families)}")
    if not forced and work.cells < min(able):
        why = f"{work.cells:,} cells are fewer than the {min(able):,} from which a GPU pays"
        return _Pool(None, 0, f"trials train on CPU: {why}")
    need = work.training_bytes + GPU_CONTEXT_BYTES
    ranked = _fitting_types(inventory, need)
    if not ranked:
        sizes = ", ".join(inventory.accelerators)
        why = f"training needs about {in_words(need)} and no GPU here has that ({sizes})"
        if forced:
            raise ProjectError(f"train.device: must be auto or cpu here: {why}; found 'gpu'")
        return _Pool(None, 0, f"trials train on CPU: {why}")
    kind, count = ranked[0]
    why = f"training uses the {count} x {kind}: about {in_words(need)} fit"
    others = [other for other in inventory.accelerators if other != kind]
    if others:
        why += f"; {', '.join(others)} stay free, since one type keeps times comparable"
    if any(not node.accelerators for node in inventory.nodes):
        why += "; nodes without a GPU prepare data and serve"
    return _Pool(kind, count, why)


def _fitting_types(inventory: Inventory, need_bytes: int) -> list[tuple[str, int]]:
    """Types whose memory suffices, the one with most memory in sum first."""
    fitting: dict[str, list[int]] = {}
    for node in inventory.nodes:
        for gpu in node.accelerators:
            if gpu.memory_bytes is None or gpu.memory_bytes >= need_bytes:
                fitting.setdefault(gpu.kind, []).append(gpu.memory_bytes or UNKNOWN_GPU_BYTES)
    order = sorted(fitting, key=lambda kind: (-sum(fitting[kind]), kind))
    return [(kind, len(fitting[kind])) for kind in order]
