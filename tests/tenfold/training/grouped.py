"""A fit by a training group, small enough to be killed many times."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tenfold.cluster import Placement
from tenfold.data import Snapshot, prepare
from tenfold.data.arrow_file import write_arrow
from tenfold.models import FAMILIES, Model, fitting
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold.training.answer import Part
from tenfold.training.distributed import fit_distributed
from tenfold.training.fitter import Fitter, Plan
from tenfold.training.question import question_of
from tenfold.training.rows import TrainingRows, load_rows
from tenfold.training.search import Material

PARAMS: dict[str, dict[str, Any]] = {
    "boosting": {"rounds": 40, "subsample": 1.0, "colsample_bytree": 1.0},
    "network": {"epochs": 30, "horizon": 30, "dropout": 0.2},
}


@dataclass(frozen=True)
class Grouped:
    """What a group is to fit."""

    plan: Plan
    snapshot: Snapshot
    rows: TrainingRows

    def fit(
        self,
        storage: Path,
        *,
        n_workers: int = 2,
        cpus: float = 0.5,
        nodes: Mapping[str, str] | None = None,
        checkpoint_s: float = 0.0,
        external_memory: bool = False,
        tell: Callable[[str], object] = print,
    ) -> Model:
        """With a checkpoint as often as the workers are asked."""
        return fit_distributed(
            self.plan,
            self.snapshot,
            self.rows,
            n_workers=n_workers,
            placement=Placement(cpus=cpus, nodes=nodes or {}),
            storage=storage,
            tell=tell,
            checkpoint_s=checkpoint_s,
            external_memory=external_memory,
        )

    def matrix(self) -> Any:
        """Prepared rows, to compare models on."""
        return self.plan.prepared.served.transform_codes(self.rows.codes)


def make_grouped(
    folder: Path, family: str, *, n_rows: int = 4_000, native: bool = False
) -> Grouped:
    """A table of three columns, prepared, with the plan of its last fit; ``native`` adds a category
    that trees split by sets."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n_rows, 3)).round(6)
    town = rng.integers(0, 30, n_rows)
    signal = x[:, 0] + x[:, 1] * x[:, 2] + native * 2.0 * np.sin(town * 9.0)
    label = np.where(signal + 0.5 * rng.normal(size=n_rows) > 0, "yes", "no")
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {name: x[:, j] for j, name in enumerate("abc")}
    if native:
        columns["town"] = np.char.add("town ", town.astype(str))
    write_arrow(folder / "rows.arrow", pa.table(columns | {"label": label}))
    project = Project.from_dict(
        {
            "problem": {"task": "binary", "target": "label", "positive_class": "yes"},
            "data": {"sources": [{"path": "rows.arrow"}]},
            "train": {"folds": 2, "families": [family]},
        }
    ).at(folder)
    snapshot = prepare(project, settings=Settings.from_env({"TENFOLD_HOME": str(folder / "home")}))
    question = question_of(project, snapshot)
    rows = load_rows(snapshot, question).training
    material = Material(rows, snapshot.profiles(), snapshot.schema, question, 1)
    params = FAMILIES[family].defaults("binary")[0] | PARAMS[family]
    params |= {"categories": "native"} if native else {}
    prepared = Fitter(material).prepared(Part(family, params))
    return Grouped(Plan(family, fitting(params), prepared, question, 1), snapshot, rows)


def train_workers() -> list[int]:
    """Process ids of the train workers of the Ray that this process started, in order of start."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        pid = int(folder.name)
        title = (folder / "cmdline").read_bytes() if (folder / "cmdline").exists() else b""
        if b"RayTrainWorker" in title and parent_of(parent_of(pid)) == os.getpid():
            found.append(pid)
    return sorted(found)


def parent_of(pid: int) -> int:
    """Its parent's id; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
