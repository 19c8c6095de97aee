"""Trains and then retrains on a Ray that counts a GPU which is none.

::

    python -m tests.tenfold_jobs.retrain_on_gpus PROJECT_JSON FOLDER

The last line printed is JSON: the process id, how many notes the training left, the family of the
retrained model, the windows that were compared, and whether its card tells of a search.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tenfold.canonical import read_json
from tenfold.cluster.connect import CLOSED_EXPORTERS, auth_environment
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold_jobs.retrain import run_retrain
from tenfold_jobs.train import run_train
from tests.tenfold_jobs.live_logs import log

OUT_OF_REACH = "roc_auc >= 0.9999"
MISSED = f"missed {OUT_OF_REACH} on newer rows; a search from it tried"


def flipped(n_rows: int) -> pa.Table:
    """Rows of a world in which those stay who left before."""
    rng = np.random.default_rng(7)
    x, z = rng.normal(size=(2, n_rows))
    left = np.where(x + 0.7 * rng.normal(size=n_rows) > 0, "no", "yes")
    return pa.table({"x": x, "z": z, "left": left})


def main(body: dict[str, Any], folder: Path) -> None:
    settings = Settings.from_env()
    os.environ |= auth_environment(settings) | CLOSED_EXPORTERS
    import ray

    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False, address="local")
    project = Project.from_dict(body).at(folder)
    run_train(project, settings)
    n_trained = len(Path(os.environ["PROBE_NOTES"]).read_text().splitlines())
    log(settings, flipped(600), project=project.name, target="left")
    body["problem"]["gates"] = [OUT_OF_REACH]
    made = run_retrain(Project.from_dict(body).at(folder), settings)
    version = Registry(settings).require(project.name, made.version)
    told = {
        "pid": os.getpid(),
        "n_trained": n_trained,
        "family": read_json(version.path / "manifest.json")["lineage"]["family"],
        "windows": sorted(made.windows),
        "searched": MISSED in (version.path / "card.md").read_text(),
    }
    print(json.dumps(told))
    ray.shutdown()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
