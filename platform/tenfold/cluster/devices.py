"""Which families are fitted on a GPU, and which GPUs one request to Ray can mean.

Only CUDA counts: neither XGBoost's wheel nor ours of PyTorch runs on other accelerators. None of
the thresholds here was measured yet: they come from published figures, which are named, and are
to be set again from ``make bench-gpu`` on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tenfold.cluster.inventory import GIB, Accelerator, Inventory, Node
from tenfold.cluster.work import MATRIX_GROWTH, Work, in_words
from tenfold.errors import ProjectError
from tenfold.project import Project
from tenfold.project.work import default_families, family_devices

__all__ = [
    "CPU",
    "CUDA",
    "CUDA_FROM_CELLS",
    "Choice",
    "Place",
    "Precision",
    "choose_families",
    "choose_precision",
    "devices_of",
    "families_of",
    "gpu_places",
    "in_numbers",
    "may_use_gpu",
    "too_small",
]

CPU, CUDA = "cpu", "cuda"
Precision = Literal["fp32", "bf16"]
"""What networks compute their products with on a GPU; sums, weights and losses stay fp32."""
CUDA_FROM_CELLS: Mapping[str, int] = {"boosting": 10_000_000, "network": 2_000_000}
"""Cells of a table from which ``auto`` lets CUDA fit a family. Not measured yet. Boosting:
published, 200 trees on 400k x 30 take 6.3 s on CPU and 3.3 s on a GPU, and on 0.1M rows of airline
data the CPU wins. Network: a guess, its steps are launches of microseconds."""
PLUGIN_FROM_CELLS = max(CUDA_FROM_CELLS.values())
"""The same for families of installed packages, of which nothing is known: the more cautious one."""
GPU_WORTH_CPUS = 32
"""Cores that one GPU is worth in a search. Not measured yet; published, 100 trees on 1M rows of
airline data take 7.8 s on a V100 and 2.7 to 12 s on a server of 32 virtual cores."""
CONTEXT_BYTES = GIB
"""What the driver and the libraries of one process keep of a GPU's memory, before any data. Not
measured yet."""
USABLE_SHARE = 0.9
"""Of a GPU's memory; allocators leave gaps."""
UNKNOWN_KIND = "GPU"
"""The kind of a GPU whose type is not told, which no request can name."""
UNKNOWN_GPU_BYTES = 8 * GIB
"""Taken for a GPU whose memory is not told: the smallest of the types that Ray names."""
WITHOUT_BF16 = ("V100", "P100", "T4", "P4", "K80", UNKNOWN_KIND)
"""Types that have no fast bf16, and what may be one of them."""
STEP_LAUNCHES_S = 5e-4
"""Of one step of a network: about a hundred kernels of some 5 us each (published launch costs)."""
STEP_FLOP_PER_FEATURE = 6 * 256 * 64
"""Forward and back through the first layer: 256 rows, 64 neurons, the defaults of the network."""
FP32_FLOP_PER_S = 2e13
"""Of an A100 or an L4 in fp32 (published peaks 1.95e13 and 3e13)."""


@dataclass(frozen=True, slots=True)
class Place:
    """GPUs that one request to Ray can be served by: all, or those of one type.

    Attributes:
        nodes: that hold them, at least one.
        kind: Ray's name of the type that the request must demand, or None.
    """

    nodes: tuple[Node, ...]
    kind: str | None = None

    @property
    def gpus(self) -> int:
        """How many there are."""
        return sum(len(node.cuda) for node in self.nodes)

    @property
    def memory_bytes(self) -> int:
        """Usable memory of the smallest: Ray may give any of them."""
        return int(min(_memory(gpu) for node in self.nodes for gpu in node.cuda) * USABLE_SHARE)


@dataclass(frozen=True, slots=True)
class Choice:
    """Families that should be fitted on a GPU, none perhaps, and why."""

    families: tuple[str, ...]
    why: str


def gpu_places(inventory: Inventory) -> list[Place]:
    """What can be asked for: all GPUs if each runs CUDA, then each type, the largest memory first.

    Ray counts every maker's cards as ``GPU``: where one of them runs no CUDA, a request must name
    a type.
    """
    holders = [node for node in inventory.nodes if _cards(node)]
    kinds = {gpu.kind for node in holders for gpu in _cards(node)}
    places = []
    if holders and all(gpu.runs_cuda for node in holders for gpu in _cards(node)):
        places.append(Place(tuple(holders)))
    if len(kinds) > 1:
        named = [place for kind in sorted(kinds) if (place := _of_kind(holders, kind))]
        places += sorted(named, key=lambda place: -place.memory_bytes)
    return places


def _of_kind(holders: list[Node], kind: str) -> Place | None:
    """The nodes of one type that runs CUDA; None for a type that shares a node with another: Ray
    knows one type a node."""
    nodes = [node for node in holders if any(gpu.kind == kind for gpu in _cards(node))]
    alone = all(gpu.kind == kind and gpu.runs_cuda for node in nodes for gpu in _cards(node))
    return Place(tuple(nodes), kind) if alone and kind != UNKNOWN_KIND else None


def families_of(project: Project) -> tuple[str, ...]:
    """The families that a project's search tries."""
    return project.train.families or default_families(project.problem.task)


def devices_of(project: Project, on_gpu: tuple[str, ...]) -> dict[str, str]:
    """The device of each family of a project."""
    return {name: CUDA if name in on_gpu else CPU for name in families_of(project)}


def choose_families(project: Project, inventory: Inventory, work: Work, *, subject: str) -> Choice:
    """Which families go to a GPU, memory left aside.

    Args:
        project: its device is obeyed.
        inventory: what there is.
        work: what is fitted: the search's part of the table, or all of it.
        subject: how the reason begins, ``"trials train"``.

    Raises:
        ProjectError: the project wants a GPU and there is none, or no family of it can use one.
    """
    able = tuple(name for name in families_of(project) if CUDA in family_devices(name))
    if project.train.device == "cpu":
        return Choice((), f"{subject} on CPU, as the project says")
    if project.train.device == "gpu":
        _must_be_possible(project, inventory, able)
        return Choice(able, f"{in_list(able)} on CUDA, as the project says")
    worth = tuple(name for name in able if work.cells >= _from_cells(name))
    if worth and _is_worth_it(inventory):
        return Choice(worth, f"{in_list(worth)} on CUDA")
    return Choice((), f"{subject} on CPU: {_why_not(inventory, work, able, worth)}")


def _must_be_possible(project: Project, inventory: Inventory, able: tuple[str, ...]) -> None:
    remedy = "write 'device: auto'"
    if not able:
        raise ProjectError(
            f"train.device: gpu needs a family that CUDA can fit ({in_list(CUDA_FROM_CELLS)}); "
            f"found {in_list(families_of(project))}; name one in train.families, or {remedy}"
        )
    if not gpu_places(inventory):
        where = " on the nodes that train.nodes means" if project.train.nodes else ""
        found = in_numbers(inventory) if inventory.accelerators else "none"
        there = f"{where}; found {found}"
        raise ProjectError(
            f"train.device: gpu needs a GPU that runs CUDA{there}; "
            f"start a node that has one, or {remedy}"
        )


def _is_worth_it(inventory: Inventory) -> bool:
    return bool(gpu_places(inventory)) and inventory.gpus * GPU_WORTH_CPUS >= inventory.cpus


def _why_not(
    inventory: Inventory, work: Work, able: tuple[str, ...], worth: tuple[str, ...]
) -> str:
    found = f"({in_numbers(inventory)})"
    if not inventory.accelerators:
        return "there is no GPU"
    if not gpu_places(inventory):
        return f"no GPU that runs CUDA can be asked for {found}"
    if not able:
        return f"no family of this project uses a GPU {found}"
    if not worth:
        least = min(_from_cells(name) for name in able)
        return (
            f"{work.cells:,} cells are few, a GPU is expected to pay from {least:,} on "
            f"(not measured yet) {found}"
        )
    return (
        f"{inventory.cpus} cores are expected to do more than the GPUs, each worth about "
        f"{GPU_WORTH_CPUS} (not measured yet) {found}"
    )


def may_use_gpu(project: Project, work: Work) -> bool:
    """Whether a cluster could have GPUs for which a plan would put a family of a project on them.

    Args:
        project: its device is obeyed.
        work: what is fitted.
    """
    if project.train.device != "auto":
        return project.train.device == "gpu"
    able = (name for name in families_of(project) if CUDA in family_devices(name))
    return any(work.cells >= _from_cells(name) for name in able)


def _from_cells(family: str) -> int:
    return CUDA_FROM_CELLS.get(family, PLUGIN_FROM_CELLS)


def choose_precision(
    families: tuple[str, ...], place: Place | None, work: Work
) -> tuple[Precision, str | None]:
    """What a network's products are computed with on a GPU, and why; None where no network is.

    bf16 halves the time of arithmetic and leaves that of launches as it is: it pays where a step's
    arithmetic takes longer than its launches, and where every GPU of the place has it.

    >>> gpus = Place((Node("n", 8, 64 * GIB, (Accelerator("A100"),)),))
    >>> [choose_precision(("network",), gpus, Work(n_rows=1000, n_columns=n, size_bytes=1))[0]
    ...  for n in (20, 50_000)]
    ['fp32', 'bf16']
    """
    if place is None or "network" not in families:
        return "fp32", None
    step_s = work.n_columns * MATRIX_GROWTH * STEP_FLOP_PER_FEATURE / FP32_FLOP_PER_S
    step = f"about {step_s * 1e6:,.0f} us of arithmetic beside {STEP_LAUNCHES_S * 1e6:.0f} us of"
    if step_s <= STEP_LAUNCHES_S:
        return (
            "fp32",
            f"networks compute in fp32: a step is {step} launches, bf16 would save little",
        )
    kinds = sorted({gpu.kind for node in place.nodes for gpu in node.cuda})
    lacking = [kind for kind in kinds if kind in WITHOUT_BF16]
    if lacking:
        return "fp32", f"networks compute in fp32: {', '.join(lacking)} has no fast bf16"
    return (
        "bf16",
        f"networks compute in bf16: a step is {step} launches, and bf16 halves the former",
    )


def too_small(project: Project, inventory: Inventory, need_bytes: int, *, subject: str) -> Choice:
    """What follows when no GPU holds the work.

    Raises:
        ProjectError: the project wants a GPU.
    """
    largest = max((place.memory_bytes for place in gpu_places(inventory)), default=0)
    need, has = in_words(need_bytes), in_words(largest)
    if project.train.device == "gpu":
        raise ProjectError(
            f"train.device: gpu must hold the table; it needs about {need} of a GPU's memory, and "
            f"{has} can be used here; take larger GPUs or more of them, or write 'device: auto', "
            "which fits on CPU then"
        )
    return Choice(
        (),
        f"{subject} on CPU: about {need} of a GPU's memory would be needed, and {has} can be used "
        f"({in_numbers(inventory)})",
    )


def in_list(names: tuple[str, ...] | Mapping[str, int]) -> str:
    """Names for people.

    >>> in_list(("linear", "boosting", "network"))
    'linear, boosting and network'
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def in_numbers(inventory: Inventory) -> str:
    """What there is of each type, for people."""
    return ", ".join(f"{count} x {kind}" for kind, count in inventory.accelerators.items())


def _cards(node: Node) -> list[Accelerator]:
    """What Ray counts as ``GPU`` on a node."""
    return [gpu for gpu in node.accelerators if gpu.resource == "GPU"]


def _memory(gpu: Accelerator) -> int:
    return UNKNOWN_GPU_BYTES if gpu.memory_bytes is None else gpu.memory_bytes
