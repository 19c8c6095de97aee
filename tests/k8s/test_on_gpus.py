"""Replicas on GPUs: the patch says what the plan says, and changes nothing else."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import yaml

from tenfold.cluster import Accelerator, Inventory, Node
from tenfold.cluster.inventory import GIB
from tenfold.cluster.plan import plan_serving
from tenfold.project import Project
from tenfold_serve.lineups import application
from tenfold_serve.seats import seat_from

Manifest = dict[str, Any]
ONE_T4 = Inventory((Node("gpu", 8, 32 * GIB, (Accelerator("T4", 16 * GIB),)),))
PROJECT = Project.from_dict(
    {
        "name": "adult",
        "problem": {"task": "binary", "target": "salary"},
        "data": {"sources": [{"path": "adult.csv"}]},
        "serve": {"device": "gpu", "replicas": {"min": 2, "max": 4}, "grpc_port": 9001},
    }
)


def service(manifests: list[Manifest]) -> Manifest:
    (found,) = [manifest for manifest in manifests if manifest["kind"] == "RayService"]
    spec: Manifest = found["spec"]
    return spec


def one_application(spec: Manifest) -> Manifest:
    (found,) = yaml.safe_load(spec["serveConfigV2"])["applications"]
    made: Manifest = found
    return made


def test_the_patched_service_is_one_that_kuberay_takes(
    built_on_gpus: list[Manifest], crd_schemas: dict[str, Manifest], strict: ModuleType
) -> None:
    (found,) = [manifest for manifest in built_on_gpus if manifest["kind"] == "RayService"]
    assert strict.faults(found, crd_schemas["RayService"]) == []


def test_share_and_bytes_are_the_plan_s(built_on_gpus: list[Manifest]) -> None:
    size = {"n_rows": 0, "n_columns": 0, "size_bytes": 0, "local_bytes": 1}
    seat = plan_serving(PROJECT, ONE_T4, served=None, **size)
    made, found = application(PROJECT, {}, seat), one_application(service(built_on_gpus))
    assert found["args"]["gpu"] == made["args"]["gpu"]
    assert seat_from(found["args"]["gpu"]).device == "cuda"
    (ours,), (theirs,) = made["deployments"], found["deployments"]
    assert theirs["ray_actor_options"] == ours["ray_actor_options"]


def test_the_rest_is_the_base_s(built: list[Manifest], built_on_gpus: list[Manifest]) -> None:
    before, after = one_application(service(built)), one_application(service(built_on_gpus))
    del after["args"]["gpu"], after["deployments"][0]["ray_actor_options"]
    assert after == before
    others = [[m for m in made if m["kind"] != "RayService"] for made in (built, built_on_gpus)]
    assert others[0] == others[1]


def test_the_nodes_with_gpus_are_the_other_workers_but_for_the_gpu(
    built_on_gpus: list[Manifest],
) -> None:
    cpu, gpu = service(built_on_gpus)["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = gpu["template"]["spec"]["containers"]
    assert container["resources"]["limits"].pop("nvidia.com/gpu") == "1"
    (toleration,) = gpu["template"]["spec"].pop("tolerations")
    assert toleration["key"] == "nvidia.com/gpu"
    assert gpu.pop("groupName") == "gpu"
    assert cpu.pop("groupName") == "cpu"
    assert gpu == cpu
