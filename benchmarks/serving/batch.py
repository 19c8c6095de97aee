"""Batch scoring from file to file, beside the engine alone and the booster that it came from.

A million rows of Parquet with a key, by the reference model.

- *tenfold*: ``tenfold predict`` as a function call in a process that has loaded the model: reads,
  cleans, prepares, scores, keeps every piece, and publishes one Parquet file with key, answers,
  version and digest.
- *engine*: the artifact's own engine on the ready matrix, in as many threads, no file at all.
- *booster*: XGBoost's own ``inplace_predict`` on the ready matrix with as many threads.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from _form import Form
from serving.reference import PROJECT, reference_table
from tenfold.features import encode_table
from tenfold.inference import Predictor
from tenfold.inference.engines import OnnxEngine
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold_jobs.predict import run_predict

__all__ = ["measure_batch"]

N_ROWS = 1_000_000
_GROUP_ROWS = 65_536
_REPEATS = 3


def measure_batch(form: Form, artifact: Path, work: Path, *, n_rows: int = N_ROWS) -> None:
    """All three in turns; ``batch_vs_engine`` and ``batch_vs_booster`` are rows per second of ours
    over theirs.

    Args:
        artifact: the reference model.
        work: an empty folder that is there.
        n_rows: of the table.
    """
    settings = Settings.from_env({"TENFOLD_HOME": str(work / "home")})
    project = Project.from_dict(
        {
            "name": PROJECT,
            "problem": {"task": "binary", "target": "y"},
            "data": {"sources": [{"path": "in.parquet"}], "key": "id"},
        }
    )
    registry = Registry(settings)
    registry.publish(PROJECT, Path(shutil.copytree(artifact, work / "artifact")))
    registry.promote(PROJECT, 1, expected=None)
    predictor = Predictor.load(registry.require(PROJECT, 1).path)
    table = reference_table(n_rows, seed=2)
    path, out = work / "in.parquet", work / "out.parquet"
    keyed = table.add_column(0, "id", pa.array(np.arange(n_rows)))
    pq.write_table(keyed, path, row_group_size=_GROUP_ROWS)
    matrix = predictor.preprocessor.transform_codes(encode_table(predictor.schema, table))
    engine = OnnxEngine((artifact / "model.onnx").read_bytes())
    booster = _booster(artifact / "model.ubj")
    contenders: dict[str, Callable[[], object]] = {
        "tenfold": lambda: run_predict(project, settings, input=path, output=out),
        "engine": lambda: _in_threads(engine.predict, matrix),
        "booster": lambda: booster.inplace_predict(matrix),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(_REPEATS):
        for name, score in contenders.items():
            began = time.perf_counter()
            score()
            times[name].append(time.perf_counter() - began)
    rate = {name: n_rows / statistics.median(seen) for name, seen in times.items()}
    for name, value in rate.items():
        form.add(f"batch.{name}.rows_per_s", round(value))
        if name != "tenfold":
            form.add(f"batch_vs_{name}", rate["tenfold"] / value)
    form.table(
        f"From file to file, {n_rows:,} rows",
        ["contender", "rows/s", "ours, times"],
        [[name, f"{value:,.0f}", f"{rate['tenfold'] / value:.2f}"] for name, value in rate.items()],
    )


def _in_threads(score: Callable[[Any], object], matrix: Any) -> None:
    """Chunks of the matrix over all cores."""
    chunks = np.array_split(matrix, max(1, len(matrix) // _GROUP_ROWS))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(score, chunks))


def _booster(path: Path) -> Any:
    import xgboost

    booster = xgboost.Booster({"nthread": os.cpu_count()})
    booster.load_model(path)
    return booster
