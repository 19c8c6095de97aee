"""What a cluster has: nodes, cores, memory, accelerators. Read, never guessed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenfold.errors import ClusterError

__all__ = ["Accelerator", "Inventory", "Node", "inventory_local", "inventory_ray"]

GIB = 1024**3
NVIDIA_SMI_TIMEOUT_S = 10.0
"""A healthy driver answers in under a second; a hung one must not hang the plan."""

KNOWN_MEMORY_GIB = {
    "V100": 16, "P100": 16, "T4": 16, "P4": 8, "K80": 12, "A10": 24, "A10G": 24, "L4": 24,
    "L40": 48, "L40S": 48, "A100": 40, "A100-40G": 40, "A100-80G": 80, "H20": 96, "H100": 80,
    "H200": 141, "B200": 180, "B300": 288, "GH200": 96, "GB200": 186, "GB300": 288,
    "RTX-PRO-6000": 96,
}  # fmt: skip
"""Memory by Ray's names of accelerator types; the smallest model where a name covers several."""

NO_CUDA = re.compile(r"(AMD-|Intel-GPU-|MXC\d|Apple-|M[1-9](-|$))")
"""How Ray's names begin of types that count as ``GPU`` and do not run CUDA: of AMD, Intel, MetaX,
Apple."""
OTHER_KINDS = ("TPU-", "Intel-GAUDI", "Ascend", "aws-neuron", "FURIOSA", "MOBILINT", "RBLN")
"""How Ray's names begin of types that are counted under a resource of their own."""
OTHER_RESOURCES = (
    "TPU", "HPU", "NPU", "neuron_cores", "RBLN", "FURIOSA", "MBLT", "TTNPU",
)  # fmt: skip
"""Ray's resources of accelerators that are no GPUs."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One GPU, or another device that computes.

    Attributes:
        kind: Ray's name of the type, e.g. ``"A100"``; ``"GPU"`` where the type is unknown.
        memory_bytes: its memory, None where unknown.
        resource: what Ray counts it under, ``"GPU"`` or for example ``"TPU"``.
    """

    kind: str
    memory_bytes: int | None = None
    resource: str = "GPU"

    @property
    def runs_cuda(self) -> bool:
        """Whether it runs CUDA. A GPU of unknown type is taken for one that does.

        >>> [Accelerator(kind).runs_cuda for kind in ("A100", "GPU", "AMD-Instinct-MI210")]
        [True, True, False]
        """
        return self.resource == "GPU" and not NO_CUDA.match(self.kind)


@dataclass(frozen=True, slots=True)
class Node:
    """One machine or pod.

    Attributes:
        name: how reports call it.
        cpus: cores that may be used, at least 1.
        memory_bytes: memory that may be used.
        accelerators: its GPUs and other accelerators, one entry each.
        labels: what it is called by, Ray's own (``ray.io/…``) among them.
    """

    name: str
    cpus: int
    memory_bytes: int
    accelerators: tuple[Accelerator, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def cuda(self) -> tuple[Accelerator, ...]:
        """Its GPUs that run CUDA."""
        return tuple(gpu for gpu in self.accelerators if gpu.runs_cuda)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All nodes.

    >>> with_gpu = Node("b", 4, 16 * GIB, (Accelerator("T4"),))
    >>> inventory = Inventory((Node("a", 8, 32 * GIB), with_gpu))
    >>> inventory.cpus, inventory.gpus, inventory.accelerators
    (12, 1, {'T4': 1})
    """

    nodes: tuple[Node, ...]

    @property
    def cpus(self) -> int:
        """Cores of all nodes."""
        return sum(node.cpus for node in self.nodes)

    @property
    def memory_bytes(self) -> int:
        """Memory of all nodes."""
        return sum(node.memory_bytes for node in self.nodes)

    @property
    def gpus(self) -> int:
        """GPUs of all nodes that run CUDA."""
        return sum(len(node.cuda) for node in self.nodes)

    @property
    def accelerators(self) -> dict[str, int]:
        """How many GPUs and other accelerators of each type, sorted by type."""
        kinds = sorted(gpu.kind for node in self.nodes for gpu in node.accelerators)
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}

    def to_dict(self) -> dict[str, Any]:
        """The totals as JSON values."""
        return {
            "nodes": len(self.nodes),
            "cpus": self.cpus,
            "memory_bytes": self.memory_bytes,
            "accelerators": self.accelerators,
        }


def inventory_local(*, root: Path = Path("/")) -> Inventory:
    """This machine, within the limits of its control group.

    Args:
        root: where ``proc`` and ``sys`` are looked for; another folder in tests.

    Returns:
        One node. Cores are those this process may run on, capped by the group's quota (rounded
        down, at least 1); memory is the smaller of the machine's and the group's.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota(root)
    if quota is not None:
        cpus = min(cpus, max(1, int(quota)))
    memory = _total_memory(root)
    limit = _read_number(root / "sys/fs/cgroup/memory.max")
    if limit is not None:
        memory = min(memory, limit)
    return Inventory((Node("local", cpus, memory, _local_gpus(root)),))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _read_number(path: Path) -> int | None:
    text = (_read(path) or "").strip()
    return int(text) if text.isdigit() else None


def _cpu_quota(root: Path) -> float | None:
    """Cores that the control group (version 2) allows, None without a limit."""
    parts = (_read(root / "sys/fs/cgroup/cpu.max") or "").split()
    if len(parts) != 2 or not parts[0].isdigit() or not parts[1].isdigit():
        return None
    return int(parts[0]) / max(1, int(parts[1]))


def _total_memory(root: Path) -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB", _read(root / "proc/meminfo") or "", re.MULTILINE)
    if found:
        return int(found[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _local_gpus(root: Path) -> tuple[Accelerator, ...]:
    """NVIDIA GPUs by the driver's own list; their memory by ``nvidia-smi`` where it answers."""
    folder = root / "proc/driver/nvidia/gpus"
    try:
        n_gpus = len(list(folder.iterdir()))
    except OSError:
        return ()
    if not n_gpus:
        return ()
    names = [_read(path) or "" for path in sorted(folder.glob("*/information"))]
    models = [found[1] if (found := re.search(r"Model:\s+(.+)", name)) else "GPU" for name in names]
    listed = _nvidia_smi() if root == Path("/") else ()
    return listed or tuple(Accelerator(gpu_kind(model)) for model in models)


def _nvidia_smi() -> tuple[Accelerator, ...]:
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            query, capture_output=True, text=True, timeout=NVIDIA_SMI_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_nvidia_smi(done.stdout)


def parse_nvidia_smi(text: str) -> tuple[Accelerator, ...]:
    """GPUs out of ``name, MiB`` lines.

    >>> parse_nvidia_smi("NVIDIA A100-SXM4-40GB, 40960\\nTesla T4, [N/A]\\n")[0].memory_bytes
    42949672960
    """
    gpus = []
    for line in text.splitlines():
        name, _, size = line.rpartition(",")
        if name:
            mebibytes = size.strip()
            memory = int(mebibytes) * 1024**2 if mebibytes.isdigit() else None
            gpus.append(Accelerator(gpu_kind(name), memory))
    return tuple(gpus)


def gpu_kind(model: str) -> str:
    """Ray's short name of a GPU's long one.

    >>> [gpu_kind(m) for m in ("NVIDIA H100 80GB HBM3", "Tesla V100-SXM2-16GB", "NVIDIA A10G")]
    ['H100', 'V100', 'A10G']
    """
    words = re.split(r"[\s-]+", model.strip())
    known = (word for word in words if word in KNOWN_MEMORY_GIB)
    rest = [word for word in words if word not in ("NVIDIA", "Tesla", "")]
    return next(known, rest[0] if rest else "GPU")


def inventory_ray() -> Inventory:
    """The nodes of the Ray cluster that this process is connected to.

    Raises:
        ClusterError: Ray is not connected, or no node of it is alive.
    """
    import ray

    if not ray.is_initialized():
        raise ClusterError("an inventory needs a connected Ray; connect before planning")
    return inventory_from_nodes(ray.nodes())


def inventory_from_nodes(nodes: Sequence[Mapping[str, Any]]) -> Inventory:
    """An inventory out of the rows of ``ray.nodes()``.

    Nodes that are dead or have no CPU for work (a head with ``--num-cpus=0``) are left out.
    Memory is what Ray may hand to workers plus its object store.

    Raises:
        ClusterError: nothing is left.
    """
    found = []
    for row in nodes:
        resources = row.get("Resources", {})
        cpus = int(resources.get("CPU", 0))
        if not row.get("Alive", row.get("alive", False)) or cpus < 1:
            continue
        memory = int(resources.get("memory", 0) + resources.get("object_store_memory", 0))
        name = str(row.get("NodeManagerAddress", "node"))
        labels = {str(key): str(value) for key, value in (row.get("Labels") or {}).items()}
        found.append(Node(name, cpus, memory, _ray_accelerators(resources), labels))
    if not found:
        raise ClusterError("the Ray cluster has no live node with a CPU; start a worker node")
    return Inventory(tuple(sorted(found, key=lambda node: node.name)))


def _ray_accelerators(resources: Mapping[str, Any]) -> tuple[Accelerator, ...]:
    """What a node declares: a number of each resource, and types as ``accelerator_type:H100``, of
    which Ray gives a node at most one for each resource."""
    prefix = "accelerator_type:"
    kinds = sorted(key.removeprefix(prefix) for key in resources if key.startswith(prefix))
    of_others = [kind for kind in kinds if kind.startswith(OTHER_KINDS)]
    of_gpus = [kind for kind in kinds if kind not in of_others]
    gpu = of_gpus[0] if of_gpus else "GPU"
    size = KNOWN_MEMORY_GIB.get(gpu)
    found = [Accelerator(gpu, None if size is None else size * GIB)] * _count(resources, "GPU")
    for resource in OTHER_RESOURCES:
        kind = of_others[0] if of_others else resource
        found += [Accelerator(kind, resource=resource)] * _count(resources, resource)
    return tuple(found)


def _count(resources: Mapping[str, Any], name: str) -> int:
    return int(resources.get(name, 0))
