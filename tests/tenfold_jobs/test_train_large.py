"""Forced through Ray Data and Ray Train: same snapshot and folds, the same quality."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tenfold.data import Snapshot, prepare
from tenfold.inference.predictor import Predictor
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold_jobs.train import TrainRecord, run_train

pytestmark = [
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.timeout(400),
]

CLOSE = 0.005
"""ROC AUC: workers see their rows in another order and quantize them together."""


def train(
    data_folder: Path, home: Path, *, family: str, local_bytes: int
) -> tuple[str, str, TrainRecord]:
    project = Project.from_dict(
        {
            "problem": {"task": "binary", "target": "salary", "positive_class": ">50K"},
            "data": {"sources": [{"path": "adult.csv"}]},
            # One seed on both sides: the small one would else answer with the mean of four.
            "train": {
                "trials": 1,
                "folds": 2,
                "families": [family],
                "workers": 2,
                "prefer": "latency",
            },
        }
    ).at(data_folder)
    settings = Settings.from_env(
        {"TENFOLD_HOME": str(home), "TENFOLD_LOCAL_BYTES": str(local_bytes)}
    )
    snapshot = prepare(project, settings=settings)
    return snapshot.digest, snapshot.folds_digest, run_train(project, settings)


@pytest.mark.parametrize("family", ["boosting", pytest.param("network", marks=pytest.mark.slow)])
def test_large_and_small_agree(data_folder: Path, tmp_path: Path, family: str) -> None:
    small = train(data_folder, tmp_path / "small", family=family, local_bytes=2**30)
    large = train(data_folder, tmp_path / "large", family=family, local_bytes=0)
    assert large[:2] == small[:2]
    one, two = (record.metrics["roc_auc"]["value"] or 0.0 for record in (small[2], large[2]))
    assert abs(one - two) < CLOSE, (one, two)
    assert large[2].digest != small[2].digest, "the large one was not fitted by workers"
    assert large[2].family == family


@pytest.mark.slow
def test_workers_fit_a_count_that_never_falls(data_folder: Path, tmp_path: Path) -> None:
    """Objective and monotone columns reach every worker, and hold in what answers."""
    project = Project.from_dict(
        {
            "problem": {"task": "regression", "target": "cnt", "objective": "count"},
            "data": {
                "sources": [{"path": "bike.csv"}],
                "columns": {"temp": {"monotone": "increasing"}},
            },
            "train": {"trials": 1, "folds": 2, "workers": 2, "prefer": "latency"},
        }
    ).at(data_folder)
    settings = Settings.from_env({"TENFOLD_HOME": str(tmp_path), "TENFOLD_LOCAL_BYTES": "0"})
    prepare(project, settings=settings)
    record = run_train(project, settings)
    assert (record.family, record.engine) == ("boosting", "onnx")
    assert set(record.metrics) >= {"poisson_deviance", "rmse"}
    version = Registry(settings).require(project.name)
    predictor = Predictor.load(version.path, digest=version.artifact_digest)
    table = next(iter(Snapshot.latest(settings, project).blocks())).slice(0, 1)
    row = table.select([c.name for c in predictor.schema.features]).to_pylist()[0]
    answers = [
        predictor.predict_rows([{**row, "temp": float(temp)}]).values[0]
        for temp in np.linspace(0.0, 1.0, 60)
    ]
    steps = np.diff(np.asarray(answers, dtype=np.float64))
    assert steps.min() >= 0.0
    assert steps.max() > 0.0
    assert min(answers) > 0.0
