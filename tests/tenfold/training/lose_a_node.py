"""Fits with two workers on two nodes of a cluster, kills one node for good, and tells the end.

::

    python -m tests.tenfold.training.lose_a_node FOLDER

The last line printed is JSON: what the fit said, the rounds of its checkpoints in their order, how
many of them there were when the node died, and the model's ROC AUC.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from sklearn.metrics import roc_auc_score

from tenfold.cluster.connect import auth_environment
from tenfold.settings import Settings
from tests.tenfold.training.grouped import Grouped, make_grouped

WORKER_CPUS = 1.5
"""Of two on a node: a node holds one worker, and data tasks beside it."""


def main(folder: Path) -> None:
    settings = Settings.from_env({"TENFOLD_HOME": str(folder / "ray")})
    os.environ |= auth_environment(settings)
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = "15"
    grouped = make_grouped(folder, "boosting")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    lost = cluster.add_node(num_cpus=2)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        print(json.dumps(_lose(grouped, folder / "fit", cluster, lost)))
    finally:
        ray.shutdown()
        cluster.shutdown()


def _lose(grouped: Grouped, storage: Path, cluster: Any, lost: Any) -> dict[str, Any]:
    said: list[str] = []
    models: list[Any] = []
    rounds: dict[str, int] = {}
    lost_at = 0

    def fit() -> None:
        models.append(grouped.fit(storage, cpus=WORKER_CPUS, tell=said.append))

    thread = threading.Thread(target=fit)
    thread.start()
    while thread.is_alive():
        for facts in sorted(storage.glob("fit/checkpoint_*/checkpoint.json")):
            with suppress(OSError):  # removed since: only the newest two are kept
                rounds.setdefault(facts.parent.name, json.loads(facts.read_bytes())["at"])
        if not lost_at and len(rounds) >= 2:
            lost_at = len(rounds)
            cluster.remove_node(lost, allow_graceful=False)
        thread.join(0.05)
    scores = models[0].predict(grouped.matrix())[:, -1]
    return {
        "said": said,
        "rounds": list(rounds.values()),
        "lost_at": lost_at,
        "roc_auc": float(roc_auc_score(grouped.rows.truth, scores)),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
