"""Trains on a cluster of three nodes with labels, and says how Ray reads selectors there.

::

    python -m tests.tenfold_jobs.on_nodes PROJECT_JSON FOLDER

The last line printed is JSON: the model's family and engine, how many configurations were tried,
the cases in which Ray and `tenfold.project.labels.selects` differ, what the plan says, and what it
says where no node is meant.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tenfold.cluster.connect import CLOSED_EXPORTERS, auth_environment
from tenfold.errors import ProjectError
from tenfold.project import Project
from tenfold.project.labels import selects
from tenfold.project.work import Train
from tenfold.settings import Settings
from tenfold_jobs.plan import run_plan
from tenfold_jobs.train import run_train

NODES = ({"name": "a", "pool": "x"}, {"name": "b"})
REST = {"name": "head", "pool": "rest"}
SELECTORS = ("x", "!x", "in(x, y)", "in(x,z)", "!in(x, z)", "in(z)")


def main(body: dict[str, Any], folder: Path) -> None:
    settings = Settings.from_env()
    os.environ |= auth_environment(settings) | CLOSED_EXPORTERS
    import ray
    from ray.cluster_utils import Cluster

    head: dict[str, Any] = {"num_cpus": 2, "include_dashboard": False, "labels": REST}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for labels in NODES:
        cluster.add_node(num_cpus=1, labels=labels)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        project = Project.from_dict(body).at(folder)
        there = Settings.from_env({**os.environ, "RAY_ADDRESS": cluster.address})
        plan = run_plan(project, there)
        nowhere = {**body, "train": {**body["train"], "nodes": {"pool": "nowhere"}}}
        refused = ""
        try:
            run_train(Project.from_dict(nowhere).at(folder), settings)
        except ProjectError as error:
            refused = str(error)
        record = run_train(project, settings)
        told = {
            "family": record.family,
            "n_tried": record.n_tried,
            "differ": differing(),
            "refused": refused,
            "nodes": dict(plan.nodes),
            "at_once": plan.trials_at_once,
            "reasons": list(plan.reasons),
        }
        print(json.dumps(told))
    finally:
        ray.shutdown()
        cluster.shutdown()


def differing() -> list[tuple[str, str]]:
    """Selectors and nodes that Ray reads otherwise than we do: a task that one node alone may run
    goes to the head where that node is not meant."""
    import ray

    @ray.remote(num_cpus=0.1, fallback_strategy=[{"label_selector": {"name": "head"}}])
    def where() -> str:
        return str(ray.get_runtime_context().get_node_labels()["name"])

    cases = [
        (Train(nodes={"pool": text}).nodes or {}, labels) for text in SELECTORS for labels in NODES
    ]
    ran = ray.get(
        [
            where.options(label_selector={**selector, "name": labels["name"]}).remote()
            for selector, labels in cases
        ]
    )
    return [
        (selector["pool"], labels["name"])
        for (selector, labels), name in zip(cases, ran, strict=True)
        if (name == labels["name"]) != selects(selector, labels)
    ]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
