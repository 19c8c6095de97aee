"""Fits a table with a training group of two workers on a Ray of its own, and tells the end.

::

    python -m tests.faults.killed_fit FOLDER STORAGE CHECKPOINT_S

The table is made in the folder, checkpoints go to the storage. The last line printed is JSON: the
SHA-256 of the model's scores on all rows.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from tenfold.settings import Settings
from tenfold_jobs.ray_rim import start_ray
from tests.tenfold.training.grouped import make_grouped


def main(folder: Path, storage: Path, checkpoint_s: float) -> None:
    grouped = make_grouped(folder, "boosting")
    settings = Settings.from_env({"TENFOLD_HOME": str(folder / "ray")})
    with start_ray(settings, num_cpus=2):
        model = grouped.fit(storage, checkpoint_s=checkpoint_s)
    scores = np.ascontiguousarray(model.predict(grouped.matrix()))
    print(json.dumps({"scores": hashlib.sha256(scores.tobytes()).hexdigest()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
