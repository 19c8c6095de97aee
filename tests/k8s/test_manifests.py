from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tenfold.project import Replicas, load_project
from tenfold_serve.haproxy import KEPT_S
from tenfold_serve.ray_rim import SERVE_FLAGS, import_serve
from tenfold_serve.scaling import scaling_config

Manifest = dict[str, Any]
UNCHECKED = {
    "ConfigMap",
    "Namespace",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "PodMonitor",
    "PrometheusRule",
    "Service",
}
"""Kinds without a schema here; README.md names them."""


def _specs(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every cluster specification with the kind that it stands in."""
    for manifest in manifests:
        spec = manifest["spec"] if manifest["kind"].startswith("Ray") else None
        if spec is not None:
            cluster = spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec
            yield manifest["kind"], cluster


def _pods(cluster: Manifest) -> list[Manifest]:
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"] for group in groups]


def _one(manifests: list[Manifest], kind: str) -> Manifest:
    return next(manifest for manifest in manifests if manifest["kind"] == kind)


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob", "RayService"])
def test_kuberay_kinds_hold_only_what_their_schema_knows(
    kind: str,
    built: list[Manifest],
    crd_schemas: dict[str, Manifest],
    strict: ModuleType,
) -> None:
    assert strict.faults(_one(built, kind), crd_schemas[kind]) == []


def test_the_validator_refuses_what_a_server_would_drop(
    committed: list[Manifest], crd_schemas: dict[str, Manifest], strict: ModuleType
) -> None:
    good = _one(committed, "RayCluster")
    for place, value in (
        (("spec", "rayVersionn"), "2.60.0"),
        (("spec", "authOptions", "mode"), "open"),
        (("spec", "headGroupSpec", "template", "spec", "hostNetwrok"), True),
        (("spec", "workerGroupSpecs", 0, "replicas"), "two"),
    ):
        bad = copy.deepcopy(good)
        target: Any = bad
        for step in place[:-1]:
            target = target[step]
        target[place[-1]] = value
        assert len(strict.faults(bad, crd_schemas["RayCluster"])) == 1, place


def test_every_kind_is_checked_or_named_as_unchecked(
    built: list[Manifest], crd_schemas: dict[str, Manifest], k8s_folder: Path
) -> None:
    kinds = {manifest["kind"] for manifest in built}
    assert kinds - set(crd_schemas) == UNCHECKED
    readme = (k8s_folder / "README.md").read_text()
    assert all(f"`{kind}`" in readme for kind in UNCHECKED)


def test_kustomize_changes_nothing_that_we_check(
    built: list[Manifest], committed: list[Manifest]
) -> None:
    for kind in ("RayCluster", "RayJob", "RayService"):
        before = _one(committed, kind)
        for pod in (pod for _, spec in _specs([before]) for pod in _pods(spec)):
            for container in pod["spec"]["containers"]:
                container["image"] = "tenfold:0.1.0"
        after = copy.deepcopy(_one(built, kind))
        assert after["metadata"].pop("namespace") == "tenfold"
        submitter = before["spec"].get("submitterPodTemplate")
        if submitter is not None:
            submitter["spec"]["containers"][0]["image"] = "tenfold:0.1.0"
        assert after == before


def test_the_kustomization_uses_only_fields_of_kustomize_4_and_5(k8s_folder: Path) -> None:
    kustomization = yaml.safe_load((k8s_folder / "kustomization.yaml").read_text())
    both = {"apiVersion", "kind", "namespace", "resources", "configMapGenerator"}
    assert set(kustomization) <= both | {"generatorOptions", "images"}
    files = [f for each in kustomization["configMapGenerator"] for f in each["files"]]
    for name in [*kustomization["resources"], *files]:
        path = (k8s_folder / name).resolve()
        assert path.is_file()
        # kustomize refuses files outside of its root
        assert path.is_relative_to(k8s_folder.resolve())


def test_token_authentication_is_set_explicitly_everywhere(committed: list[Manifest]) -> None:
    seen = [kind for kind, _ in _specs(committed)]
    assert sorted(seen) == ["RayCluster", "RayJob", "RayService"]
    for _, spec in _specs(committed):
        assert spec["authOptions"] == {"mode": "token", "secretName": "tenfold-ray-token"}
        assert tuple(map(int, spec["rayVersion"].split("."))) >= (2, 52)


def test_serve_has_the_flags_that_a_laptop_has(
    built: list[Manifest], built_on_gpus: list[Manifest], k8s_folder: Path
) -> None:
    """Image, head and workers alike: timeouts and draining are decided where HAProxy runs."""
    image = (k8s_folder.parent / "Dockerfile").read_text()
    found = [dict(re.findall(r"(RAY_SERVE_\w+)=(\S+)", image))]
    assert found[0].pop("RAY_SERVE_HAPROXY_BINARY_PATH").startswith("/opt/tenfold/bin/")
    for kind, spec in (one for manifests in (built, built_on_gpus) for one in _specs(manifests)):
        for container in (c for pod in _pods(spec) for c in pod["spec"]["containers"]):
            if kind == "RayService":
                env = {one["name"]: one.get("value") for one in container["env"]}
                found.append({k: v for k, v in env.items() if k.startswith("RAY_SERVE_")})
                assert env["RAY_worker_niceness"] == "0"
    assert found == [dict(SERVE_FLAGS)] * len(found) and len(found) >= 4


def test_haproxy_closes_its_connections_to_replicas_before_they_do(
    built: list[Manifest], built_on_gpus: list[Manifest]
) -> None:
    import_serve()  # without its warnings
    from ray.serve.schema import ServeDeploySchema

    for manifests in (built, built_on_gpus):
        config = yaml.safe_load(_one(manifests, "RayService")["spec"]["serveConfigV2"])
        options = ServeDeploySchema.model_validate(config).http_options
        assert options.keep_alive_timeout_s == 2 * KEPT_S


def test_no_secret_value_is_committed(built: list[Manifest]) -> None:
    assert not [manifest for manifest in built if manifest["kind"] == "Secret"]
    for _, spec in _specs(built):
        for pod in _pods(spec):
            for container in pod["spec"]["containers"]:
                names = {entry["name"] for entry in container["env"]}
                assert not {name for name in names if "TOKEN" in name or "PASSWORD" in name}
                assert container["envFrom"] == [
                    {"secretRef": {"name": "tenfold-settings", "optional": True}}
                ]


def test_every_pod_is_unprivileged(built: list[Manifest]) -> None:
    job = _one(built, "RayJob")["spec"]["submitterPodTemplate"]
    pods = [pod for _, spec in _specs(built) for pod in _pods(spec)]
    assert len(pods) == 6
    for pod in [*pods, job]:
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True and security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_names_that_manifests_refer_to_exist(built: list[Manifest]) -> None:
    names = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in built}
    for _, spec in _specs(built):
        for pod in _pods(spec):
            volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
            claim = volumes["home"]["persistentVolumeClaim"]["claimName"]
            assert ("PersistentVolumeClaim", claim) in names
            assert ("ConfigMap", volumes["project"]["configMap"]["name"]) in names
            for container in pod["spec"]["containers"]:
                assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)


def test_the_service_names_the_endpoint_that_exists(
    built: list[Manifest], k8s_folder: Path
) -> None:
    config = yaml.safe_load(_one(built, "RayService")["spec"]["serveConfigV2"])
    (application,) = config["applications"]
    module, _, name = application["import_path"].partition(":")
    # Read, not imported: importing it would start Ray's machinery for two names.
    source = k8s_folder.parent / "serve" / Path(*module.split(".")).with_suffix(".py")
    tree = ast.parse(source.read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert application["deployments"][0]["name"] in classes
    assert application["args"]["project"] == application["route_prefix"].strip("/")


def test_replicas_of_the_service_follow_the_load_as_a_project_says(built: list[Manifest]) -> None:
    config = yaml.safe_load(_one(built, "RayService")["spec"]["serveConfigV2"])
    (deployment,) = config["applications"][0]["deployments"]
    made = scaling_config(Replicas(min=2, max=4))
    assert {key: deployment[key] for key in made} == made


def test_the_project_file_loads_and_is_the_one_that_is_served(
    built: list[Manifest], k8s_folder: Path
) -> None:
    project = load_project(k8s_folder / "base" / "project.yaml")
    config = yaml.safe_load(_one(built, "RayService")["spec"]["serveConfigV2"])
    assert config["applications"][0]["args"]["project"] == project.name
    assert _one(built, "RayJob")["spec"]["entrypoint"].split() == [
        "tenfold", "run", "/etc/tenfold/project.yaml", "--json",
    ]  # fmt: skip
    monitors = [m for m in built if m["kind"] == "PodMonitor"]
    paths = {e.get("path") for m in monitors for e in m["spec"]["podMetricsEndpoints"]}
    assert f"/{project.name}/metrics" in paths


def test_pod_monitors_find_ports_that_pods_declare(built: list[Manifest]) -> None:
    # KubeRay adds the port `metrics` to every pod by itself.
    service = next(spec for kind, spec in _specs(built) if kind == "RayService")
    head = service["headGroupSpec"]["template"]
    ports = {port["name"] for port in head["spec"]["containers"][0]["ports"]} | {"metrics"}
    for monitor in (m for m in built if m["kind"] == "PodMonitor"):
        wanted = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
        assert wanted <= ports
        labels = {**head["metadata"]["labels"], "ray.io/node-type": "head"}
        labels["ray.io/is-ray-node"] = "yes"
        assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_grpc_is_reached_where_the_project_asks_for_it(
    built: list[Manifest], k8s_folder: Path
) -> None:
    port = load_project(k8s_folder / "base" / "project.yaml").serve.grpc_port
    config = yaml.safe_load(_one(built, "RayService")["spec"]["serveConfigV2"])
    assert config["applications"][0]["args"]["grpc_port"] == port
    service = next(m for m in built if m["kind"] == "Service")["spec"]
    (asked,) = service["ports"]
    assert asked["port"] == port
    cluster = next(spec for kind, spec in _specs(built) if kind == "RayService")
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for template in (group["template"] for group in groups):
        labels = template["metadata"]["labels"] | {"ray.io/serve": "true"}
        assert service["selector"].items() <= labels.items()
        (container,) = template["spec"]["containers"]
        assert {"name": asked["targetPort"], "containerPort": port} in container["ports"]
        assert {"name": "TENFOLD_LISTENS_ON", "value": "0.0.0.0"} in container["env"]
    clients = [
        rule for rule in _one(built, "NetworkPolicy")["spec"]["ingress"]
        if "namespaceSelector" in rule["from"][0] and rule["from"][0]["namespaceSelector"]
    ]  # fmt: skip
    assert [port in {one["port"] for one in rule["ports"]} for rule in clients] == [True]


def test_the_policy_lets_only_the_named_in(built: list[Manifest]) -> None:
    spec = _one(built, "NetworkPolicy")["spec"]
    assert spec["podSelector"]["matchLabels"] == {"ray.io/is-ray-node": "yes"}
    strangers = [rule for rule in spec["ingress"] if rule["from"] != [{"podSelector": {}}]]
    for rule in strangers:
        assert rule["from"] and rule["ports"]
        assert {port["port"] for port in rule["ports"]} <= {8000, 8080, 8265, 9001, 44217, 44227}
