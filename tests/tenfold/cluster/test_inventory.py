from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tenfold.cluster.inventory import (
    GIB,
    Accelerator,
    Inventory,
    Node,
    gpu_kind,
    inventory_from_nodes,
    inventory_local,
    inventory_ray,
    parse_nvidia_smi,
)
from tenfold.errors import ClusterError


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def node(**resources: Any) -> dict[str, Any]:
    named = {key.replace("__", ":"): value for key, value in resources.items()}
    return {"Alive": True, "NodeManagerAddress": "10.0.0.1", "Resources": named}


def test_this_machine() -> None:
    inventory = inventory_local()
    assert 1 <= inventory.cpus <= (os.cpu_count() or 1)
    assert inventory.memory_bytes > 256 * 1024**2
    assert len(inventory.nodes) == 1


def test_memory_is_the_smaller_of_machine_and_group(tmp_path: Path) -> None:
    put(tmp_path, "proc/meminfo", "MemTotal:       33554432 kB\nMemFree: 1 kB\n")
    assert inventory_local(root=tmp_path).memory_bytes == 32 * GIB
    put(tmp_path, "sys/fs/cgroup/memory.max", f"{8 * GIB}\n")
    assert inventory_local(root=tmp_path).memory_bytes == 8 * GIB
    put(tmp_path, "sys/fs/cgroup/memory.max", "max\n")
    assert inventory_local(root=tmp_path).memory_bytes == 32 * GIB


@pytest.mark.parametrize(
    ("kind", "cuda"),
    [
        *(("H100", True), ("GPU", True), ("RTX-4090", True), ("M40", True)),
        *(("AMD-Radeon-HD-7900", False), ("Intel-GPU-Max-1100", False), ("MXC500", False)),
        *(("Apple-Silicon", False), ("M1", False), ("M3-Pro", False)),
    ],
)
def test_which_gpus_run_cuda(kind: str, cuda: bool) -> None:
    assert Accelerator(kind).runs_cuda == cuda
    assert not Accelerator(kind, resource="NPU").runs_cuda


@pytest.mark.parametrize(("quota", "cpus"), [("100000 100000", 1), ("50000 100000", 1)])
def test_cores_are_capped_by_the_group_s_quota(tmp_path: Path, quota: str, cpus: int) -> None:
    put(tmp_path, "sys/fs/cgroup/cpu.max", quota)
    assert inventory_local(root=tmp_path).cpus == cpus


def test_no_quota_means_the_cores_this_process_may_use(tmp_path: Path) -> None:
    put(tmp_path, "sys/fs/cgroup/cpu.max", "max 100000")
    assert inventory_local(root=tmp_path).cpus == len(os.sched_getaffinity(0))


def test_gpus_by_the_driver_s_list(tmp_path: Path) -> None:
    for place, model in (("0000:01:00.0", "NVIDIA A100-SXM4-80GB"), ("0000:02:00.0", "Tesla T4")):
        text = f"Model: \t\t {model}\nIRQ:   1\n"
        put(tmp_path, f"proc/driver/nvidia/gpus/{place}/information", text)
    assert inventory_local(root=tmp_path).accelerators == {"A100": 1, "T4": 1}


def test_nvidia_smi_tells_the_memory() -> None:
    text = "NVIDIA H100 80GB HBM3, 81559\nTesla T4, [N/A]\n\n"
    assert parse_nvidia_smi(text) == (
        Accelerator("H100", 81559 * 1024**2),
        Accelerator("T4", None),
    )


def test_an_unknown_gpu_keeps_its_first_word() -> None:
    assert gpu_kind("NVIDIA Zeta 9000") == "Zeta"
    assert gpu_kind("") == "GPU"


def test_ray_nodes() -> None:
    rows = [
        node(CPU=8.0, GPU=2.0, memory=16.0 * GIB, object_store_memory=8.0 * GIB)
        | {"NodeManagerAddress": "10.0.0.2"},
        node(CPU=4.0, memory=4.0 * GIB),
        node(CPU=64.0) | {"Alive": False},
        node(memory=1.0 * GIB),
    ]
    rows[0]["Resources"]["accelerator_type:A100"] = 1.0
    inventory = inventory_from_nodes(rows)
    assert inventory == Inventory(
        (
            Node("10.0.0.1", 4, 4 * GIB),
            Node("10.0.0.2", 8, 24 * GIB, (Accelerator("A100", 40 * GIB),) * 2),
        )
    )
    assert inventory.to_dict() == {
        "nodes": 2,
        "cpus": 12,
        "memory_bytes": 28 * GIB,
        "accelerators": {"A100": 2},
    }


def test_a_gpu_without_a_declared_type() -> None:
    assert inventory_from_nodes([node(CPU=2.0, GPU=1.0)]).nodes[0].accelerators == (
        Accelerator("GPU", None),
    )


def test_other_accelerators_are_counted_under_their_own_resource() -> None:
    rows = [
        node(**{"CPU": 8.0, "TPU": 4.0, "accelerator_type:TPU-V4": 1.0}),
        node(**{"CPU": 8.0, "GPU": 2.0, "accelerator_type:AMD-Instinct-MI210": 1.0}),
        node(
            **{"CPU": 8.0, "NPU": 1.0, "GPU": 1.0},
            **{"accelerator_type:Ascend910B": 1.0, "accelerator_type:L4": 1.0},
        ),
    ]
    inventory = inventory_from_nodes(rows)
    assert inventory.gpus == 1
    assert inventory.accelerators == {
        "AMD-Instinct-MI210": 2,
        "Ascend910B": 1,
        "L4": 1,
        "TPU-V4": 4,
    }
    assert [a.resource for a in inventory.nodes[2].accelerators] == ["GPU", "NPU"]


def test_a_cluster_without_work_nodes() -> None:
    with pytest.raises(ClusterError) as caught:
        inventory_from_nodes([node(memory=1.0)])
    assert str(caught.value) == ("the Ray cluster has no live node with a CPU; start a worker node")


def test_ray_must_be_connected_and_is_imported_only_then() -> None:
    code = (
        "import sys, tenfold.cluster\n"
        "assert not {'ray', 'torch', 'numpy', 'pyarrow'} & set(sys.modules)\n"
        "from tenfold.errors import ClusterError\n"
        "try:\n    tenfold.cluster.inventory_ray()\n"
        "except ClusterError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "an inventory needs a connected Ray; connect before planning"


def test_the_inventory_of_a_real_ray(ray_session: None) -> None:
    inventory = inventory_ray()
    assert (inventory.cpus, len(inventory.nodes), inventory.gpus) == (2, 1, 0)
    assert inventory.memory_bytes > 0
