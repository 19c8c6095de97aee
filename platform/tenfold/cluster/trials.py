"""How the trials of a search share a cluster: threads each, side by side, perhaps on GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tenfold.cluster.devices import (
    CONTEXT_BYTES,
    Place,
    Precision,
    choose_families,
    choose_precision,
    devices_of,
    gpu_places,
    in_numbers,
    too_small,
)
from tenfold.cluster.inventory import Inventory, Node
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
MAX_SESSIONS_PER_GPU = 4
"""More processes on one GPU wait for one another; Ray does not keep their memory apart."""
SHARE_STEPS = 10_000
"""Ray counts parts of a GPU in ten thousandths."""
SUBJECT = "trials train"


@dataclass(frozen=True, slots=True)
class Trials:
    """How the search runs; see `Plan` for the fields of the same meaning."""

    threads: int
    cpus: float
    gpus: float
    gpu_type: str | None
    devices: Mapping[str, str]
    precision: Precision
    at_once: int
    at_once_beside_serving: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sharing:
    """Sessions on the GPUs of a place."""

    place: Place
    per_gpu: int
    threads: int
    at_once: int

    @property
    def gpus_used(self) -> int:
        return min(self.place.gpus, self.at_once)


def plan_trials(project: Project, inventory: Inventory, work: Work, *, free_cpus: float) -> Trials:
    """Threads, devices, and how many at once.

    Args:
        project: its device is obeyed.
        inventory: what there is.
        work: the rows that a search holds.
        free_cpus: logical CPUs that serving leaves, above 0.

    Raises:
        ProjectError: the project wants a GPU that is not there or too small.
    """
    threads = _threads_by_size(inventory, work)
    choice, sharing = choose_families(project, inventory, work, subject=SUBJECT), None
    if choice.families:
        sharing = _share_gpus(inventory, work, threads)
        if sharing is None:
            choice = too_small(project, inventory, _gpu_bytes(work), subject=SUBJECT)
    if sharing is None:
        at_once, why = _at_once_on_cpus(inventory, work, threads)
    else:
        threads, at_once = sharing.threads, sharing.at_once
        why = _why_shared(sharing, work)
    cpus = min(float(threads), free_cpus)
    place = None if sharing is None else sharing.place
    precision, why_precision = choose_precision(choice.families, place, work)
    told = () if why_precision is None else (why_precision,)
    return Trials(
        threads=threads,
        cpus=cpus,
        gpus=0.0 if sharing is None else (SHARE_STEPS // sharing.per_gpu) / SHARE_STEPS,
        gpu_type=None if place is None else place.kind,
        devices=devices_of(project, choice.families),
        precision=precision,
        at_once=at_once,
        at_once_beside_serving=max(1, min(at_once, int(free_cpus / cpus))),
        reasons=(_with_numbers(choice.why, inventory, sharing), why, *told),
    )


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _threads_by_size(inventory: Inventory, work: Work) -> int:
    wanted = next(n for limit, n in THREADS_BY_CELLS if limit is None or work.cells < limit)
    plenty = inventory.cpus // MAX_TRIALS_AT_ONCE
    largest = max(node.cpus for node in inventory.nodes)
    return max(1, min(max(wanted, plenty), MAX_THREADS, largest))


def _gpu_bytes(work: Work) -> int:
    """Of a GPU, for one session: it keeps the quantized bins of its folds and one fit's tensors."""
    return CONTEXT_BYTES + work.training_bytes


def _node_bytes(work: Work) -> int:
    return TRIAL_PROCESS_BYTES + work.training_bytes


def _by_memory(node: Node, work: Work) -> int:
    return int(node.memory_bytes * MEMORY_SHARE) // _node_bytes(work)


def _at_once_on_cpus(inventory: Inventory, work: Work, threads: int) -> tuple[int, str]:
    by_cpu = sum(node.cpus // threads for node in inventory.nodes)
    by_memory = sum(min(node.cpus // threads, _by_memory(node, work)) for node in inventory.nodes)
    at_once = max(1, min(by_cpu, by_memory, MAX_TRIALS_AT_ONCE))
    why = f"{at_once} trials at once with {_threads(threads)} each on {inventory.cpus} cores"
    if by_memory < min(by_cpu, MAX_TRIALS_AT_ONCE):
        why += f"; memory bounds them, each needs about {in_words(_node_bytes(work))}"
    elif by_cpu > MAX_TRIALS_AT_ONCE:
        why += "; more would learn little from one another"
    return at_once, why


def _share_gpus(inventory: Inventory, work: Work, threads: int) -> _Sharing | None:
    """The sharing that keeps most GPUs busy, then the one with most sessions; None if the work is
    too large for every GPU that can be asked for."""
    found = [_sharing_of(place, work, threads) for place in gpu_places(inventory)]
    fitting = [sharing for sharing in found if sharing is not None]
    return max(fitting, key=lambda sharing: (sharing.gpus_used, sharing.at_once), default=None)


def _sharing_of(place: Place, work: Work, threads: int) -> _Sharing | None:
    """As many sessions on each GPU as memory, cores and use allow: never a second one on a GPU
    while another has none."""
    by_memory = place.memory_bytes // _gpu_bytes(work)
    if by_memory < 1:
        return None
    by_node = min(min(node.cpus, _by_memory(node, work)) // len(node.cuda) for node in place.nodes)
    by_use = MAX_TRIALS_AT_ONCE // place.gpus
    per_gpu = max(1, min(by_memory, by_node, by_use, MAX_SESSIONS_PER_GPU))
    room = min(node.cpus // (per_gpu * len(node.cuda)) for node in place.nodes)
    threads = max(1, min(threads, room))
    slots = sum(
        min(per_gpu * len(node.cuda), node.cpus // threads, _by_memory(node, work))
        for node in place.nodes
    )
    return _Sharing(place, per_gpu, threads, max(1, min(slots, MAX_TRIALS_AT_ONCE)))


def _with_numbers(why: str, inventory: Inventory, sharing: _Sharing | None) -> str:
    if sharing is None:
        return why
    only = "" if sharing.place.kind is None else f", on {sharing.place.kind} only"
    return f"{SUBJECT} {why} ({in_numbers(inventory)}){only}"


def _why_shared(sharing: _Sharing, work: Work) -> str:
    place = sharing.place
    why = f"{sharing.at_once} trials at once with {_threads(sharing.threads)} each: "
    many = f"{sharing.per_gpu} sessions" if sharing.per_gpu > 1 else "one session"
    why += f"{many} a GPU, each needs about {in_words(_gpu_bytes(work))} of {_smallest(place)}"
    if sharing.at_once < min(sharing.per_gpu * place.gpus, MAX_TRIALS_AT_ONCE):
        why += "; cores or memory of the nodes with GPUs bound them"
    return why


def _smallest(place: Place) -> str:
    which = "the smallest's usable" if place.gpus > 1 else "its usable"
    return f"{which} {in_words(place.memory_bytes)}"
