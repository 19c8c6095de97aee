"""Fits with two workers on the one node of three that has a label, and tells where they ran.

::

    python -m tests.tenfold.training.label_a_node FOLDER

The last line printed is JSON: how many workers were seen, and how many of them on that node.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from tenfold.cluster.connect import auth_environment
from tenfold.settings import Settings
from tests.tenfold.training.grouped import Grouped, make_grouped, parent_of, train_workers


def main(folder: Path) -> None:
    settings = Settings.from_env({"TENFOLD_HOME": str(folder / "ray")})
    os.environ |= auth_environment(settings)
    grouped = make_grouped(folder, "boosting")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3})
    cluster.add_node(num_cpus=3, labels={"pool": "other"})
    meant = cluster.add_node(num_cpus=2, labels={"pool": "fits"})
    raylet = meant.all_processes["raylet"][0].process.pid
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        seen = _watched(grouped, folder / "fit")
        told = {"seen": len(seen), "there": sum(parent == raylet for parent in seen.values())}
        print(json.dumps(told))
    finally:
        ray.shutdown()
        cluster.shutdown()


def _watched(grouped: Grouped, storage: Path) -> dict[int, int]:
    """The raylet of every worker that was seen during the fit, by the worker's process."""
    seen: dict[int, int] = {}
    thread = threading.Thread(
        target=lambda: grouped.fit(storage, cpus=0.5, nodes={"pool": "fits"}, checkpoint_s=1e9)
    )
    thread.start()
    while thread.is_alive():
        seen |= {pid: parent_of(pid) for pid in train_workers()}
        thread.join(0.02)
    return seen


if __name__ == "__main__":
    main(Path(sys.argv[1]))
