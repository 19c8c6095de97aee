"""Twenty columns that tell something and two hundred of noise, from a file to a request's row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tenfold.data import Snapshot, prepare
from tenfold.inference import Predictor
from tenfold.inference.openapi import example_row, openapi_components
from tenfold.project import Project
from tenfold.registry import Registry
from tenfold.settings import Settings
from tenfold_jobs.train import TrainRecord, run_train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("ray_session"),
    pytest.mark.timeout(300),
]

N_SIGNAL, N_NOISE, N_ROWS = 20, 200, 4_000
SCORE_NOISE = 0.01
"""Two trainings on some thousand test rows differ by so much in ROC AUC without a reason."""


@dataclass(frozen=True)
class Trained:
    record: TrainRecord
    predictor: Predictor
    snapshot: Snapshot

    @property
    def asked(self) -> set[str]:
        return {column.name for column in self.predictor.columns}


def write_table(folder: Path) -> None:
    random = np.random.default_rng(0)
    signal = random.normal(size=(N_ROWS, N_SIGNAL))
    noise = random.normal(size=(N_ROWS, N_NOISE))
    weights = random.choice([-1.0, 1.0], N_SIGNAL) * random.uniform(0.7, 1.3, N_SIGNAL)
    p = 1 / (1 + np.exp(-signal @ weights))
    left = np.where(random.random(N_ROWS) < p, "yes", "no")
    names = [f"s{n}" for n in range(N_SIGNAL)] + [f"n{n}" for n in range(N_NOISE)]
    matrix = np.hstack([signal, noise])
    order = random.permutation(len(names))  # where a column stands must not tell
    lines = [",".join([names[k] for k in order] + ["left"])]
    lines += [
        ",".join([*(f"{row[k]:.4f}" for k in order), label])
        for row, label in zip(matrix, left, strict=True)
    ]
    (folder / "wide.csv").write_text("\n".join(lines) + "\n")


def train(folder: Path, *, select: str) -> Trained:
    body = {
        "name": f"wide-{select}",
        "problem": {"task": "binary", "target": "left"},
        "data": {"sources": [{"path": "wide.csv"}]},
        "train": {"trials": 1, "folds": 3, "families": ["linear"], "select_columns": select},
    }
    project = Project.from_dict(body).at(folder)
    settings = Settings.from_env({"TENFOLD_HOME": str(folder / "home")})
    snapshot = prepare(project, settings=settings)
    record = run_train(project, settings)
    version = Registry(settings).require(project.name)
    return Trained(record, Predictor.load(version.path), snapshot)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("wide")
    write_table(made)
    return made


def test_signal_stays_noise_goes_and_the_score_is_not_worse(folder: Path) -> None:
    chosen, everything = train(folder, select="auto"), train(folder, select="off")
    kept = {name for name in chosen.asked if name.startswith("s")}
    dropped = N_NOISE - len(chosen.asked - kept)
    assert len(kept) >= 18
    assert dropped >= 180
    assert len(everything.asked) == N_SIGNAL + N_NOISE
    with_all, with_kept = (
        trained.record.metrics["roc_auc"]["value"] or 0.0 for trained in (everything, chosen)
    )
    assert with_kept >= with_all - SCORE_NOISE

    predictor = chosen.predictor
    assert set(openapi_components(predictor.manifest)["Row"]["required"]) == chosen.asked
    row = example_row(predictor.schema)
    assert set(row) == chosen.asked
    alone = predictor.predict_rows([row]).scores
    noisy = predictor.predict_rows([row | {"n0": 1e9} if "n0" not in chosen.asked else row]).scores
    assert alone.tobytes() == noisy.tobytes()
    table = next(iter(chosen.snapshot.blocks())).slice(0, 40)
    rows = table.select(list(row)).to_pylist()
    batch, online = predictor.predict_table(table), predictor.predict_rows(rows)
    assert batch.scores.tobytes() == online.scores.tobytes()
