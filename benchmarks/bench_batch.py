"""Batch scoring from file to file, beside the engine alone and the booster it came from.

``make bench-batch`` takes some two minutes; ``--rows`` chooses the size. 200 trees of depth 6 on 20
numbers; 1 M rows of Parquet with a key.

- *tenfold*: ``tenfold predict`` as a function call in a process that has loaded the model: reads,
  cleans, prepares, scores, keeps every piece, and publishes one Parquet file with key, answers,
  version and digest.
- *engine*: the artifact's own engine on the ready matrix, in as many threads, no file at all.
- *booster*: XGBoost's own ``inplace_predict`` on the ready matrix with as many threads.

``batch_vs_engine`` and ``batch_vs_booster`` are rows per second of ours over theirs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from _form import Form
from tenfold.artifact import PREPROCESS_FILE, REFERENCE_FILE, Lineage, ManifestDraft
from tenfold.canonical import canonical_json
from tenfold.features import Preprocessor, Recipe, encode_table
from tenfold.inference import Predictor, pack_artifact
from tenfold.inference.engines import OnnxEngine
from tenfold.models import FAMILIES, Fit
from tenfold.monitor import FrozenBins, build_reference
from tenfold.profile import Profile
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.settings import Settings
from tenfold_jobs.predict import run_predict

N_NUMBERS = 20
FIT_ROWS = 20_000
GROUP_ROWS = 65_536
REPEATS = 3
TREES = {"rounds": 200, "max_depth": 6, "eta": 0.1}


def make_table(n_rows: int, seed: int) -> pa.Table:
    """A key, 20 numbers, and a class that hangs on some of them."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(n_rows, N_NUMBERS))
    signal = values[:, 0] * values[:, 1] + np.sin(3 * values[:, 2]) + 0.5 * values[:, 3]
    label = np.where(signal + random.normal(size=n_rows) > 0, "yes", "no")
    columns: dict[str, Any] = {"id": np.arange(n_rows)}
    columns |= {f"n{j}": values[:, j] for j in range(N_NUMBERS)}
    return pa.table({**columns, "y": label})


def publish(settings: Settings, project: Project) -> Predictor:
    """Fit the reference model and make it the champion."""
    names = [f"n{j}" for j in range(N_NUMBERS)]
    target = Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))
    schema = Schema((*(Column(name, Kind.NUMBER) for name in names), target))
    table = make_table(FIT_ROWS, seed=1)
    profile = Profile.from_table(table, schema)
    fitted = Preprocessor.fit(schema, profile, recipe=Recipe(numbers="raw"))
    codes = encode_table(schema, table)
    truth = (np.array(table["y"].to_pylist()) == "yes").astype(np.int64)
    family = FAMILIES["boosting"]
    params = {**family.defaults("binary")[0], **TREES}
    model = family.fit(Fit(fitted.transform_codes(codes), truth, "binary", 2, params, 0, 2))
    reference = build_reference(FrozenBins.freeze(schema, profile), codes)
    files = {PREPROCESS_FILE: canonical_json(fitted.to_dict()), **model.files()}
    files |= {REFERENCE_FILE: reference.to_bytes(), "model.onnx": model.to_onnx() or b""}
    lineage = Lineage(
        snapshot="0" * 64, folds="0" * 64, code="bench", seed=0, params={}, family="boosting"
    )
    draft = ManifestDraft(
        project=project.to_dict(), task="binary", schema=schema, classes=("no", "yes"),
        engine="onnx", lineage=lineage,
    )  # fmt: skip
    staged = settings.artifacts / "staged"
    pack_artifact(staged, files=files, manifest=draft, table=table)
    registry = Registry(settings)
    version = registry.publish(project.name, staged)
    registry.promote(project.name, version.version, expected=None)
    return Predictor.load(version.path)


def in_threads(work: Callable[[Any], object], matrix: Any) -> None:
    """Chunks of the matrix over all cores."""
    chunks = np.array_split(matrix, max(1, len(matrix) // GROUP_ROWS))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, chunks))


def main() -> None:
    """All three in turns, then the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    n_rows = parser.parse_args().rows
    form = Form("batch")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env({"TENFOLD_HOME": folder})
        project = Project.model_validate(
            {
                "name": "bench",
                "problem": {"task": "binary", "target": "y"},
                "data": {"sources": [{"path": "in.parquet"}], "key": "id"},
            }
        )
        predictor = publish(settings, project)
        table = make_table(n_rows, seed=2)
        path, out = Path(folder) / "in.parquet", Path(folder) / "out.parquet"
        pq.write_table(table, path, row_group_size=GROUP_ROWS)
        codes = encode_table(predictor.schema, table)
        matrix = predictor.preprocessor.transform_codes(codes)
        champion = Registry(settings).require("bench", "champion").path
        engine = OnnxEngine((champion / "model.onnx").read_bytes())
        booster = _booster(champion / "model.ubj")
        contenders: dict[str, Callable[[], object]] = {
            "tenfold": lambda: run_predict(project, settings, input=path, output=out),
            "engine": lambda: in_threads(engine.predict, matrix),
            "booster": lambda: booster.inplace_predict(matrix),
        }
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(REPEATS):
            for name, work in contenders.items():
                began = time.perf_counter()
                work()
                times[name].append(time.perf_counter() - began)
    rate = {name: n_rows / statistics.median(seen) for name, seen in times.items()}
    for name, value in rate.items():
        form.add(f"{name}.rows_per_s", round(value))
    form.add("rows", n_rows)
    form.add("batch_vs_engine", rate["tenfold"] / rate["engine"])
    form.add("batch_vs_booster", rate["tenfold"] / rate["booster"])
    form.table(
        f"{n_rows:,} rows, {REPEATS} repeats",
        ["contender", "rows/s"],
        [[name, f"{value:,.0f}"] for name, value in rate.items()],
    )
    form.finish(libraries=["onnxruntime", "xgboost", "pyarrow", "numpy"])


def _booster(path: Path) -> Any:
    import xgboost

    booster = xgboost.Booster({"nthread": os.cpu_count()})
    booster.load_model(path)
    return booster


if __name__ == "__main__":
    main()
