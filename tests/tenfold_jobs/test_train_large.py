"""Forced through Ray Data and Ray Train: same snapshot and folds, the same quality."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.data import prepare
from tenfold.project import Project
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


@pytest.mark.parametrize("family", ["boosting", "network"])
def test_large_and_small_agree(data_folder: Path, tmp_path: Path, family: str) -> None:
    small = train(data_folder, tmp_path / "small", family=family, local_bytes=2**30)
    large = train(data_folder, tmp_path / "large", family=family, local_bytes=0)
    assert large[:2] == small[:2]
    one, two = (record.metrics["roc_auc"]["value"] or 0.0 for record in (small[2], large[2]))
    assert abs(one - two) < CLOSE, (one, two)
    assert large[2].digest != small[2].digest, "the large one was not fitted by workers"
    assert large[2].family == family
