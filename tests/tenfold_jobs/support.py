"""A prepared table and models that were finished on it, for packing and promotion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tenfold.data import Snapshot, prepare
from tenfold.models import FAMILIES
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold.training.answer import Answer
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.finish import Finished, finish
from tenfold.training.question import Question, make_question
from tenfold.training.rows import TrainingRows, load_rows
from tenfold.training.search import Material
from tenfold_jobs.packing import Origin, Packed, pack

N_ROWS = 400


@dataclass
class Case:
    """A prepared table and models of two families that were finished on it."""

    project: Project
    snapshot: Snapshot
    question: Question
    test: TrainingRows
    finished: dict[str, Finished]

    def origin(self, **more: object) -> Origin:
        return replace(Origin(self.snapshot, self.question, 12.4), **more)  # type: ignore[arg-type]

    def with_gates(self, *gates: str) -> Project:
        body = self.project.to_dict()
        body["problem"] = body["problem"] | {"gates": list(gates)}
        return Project.from_dict(body).at(self.project.folder)

    def pack(
        self, settings: Settings, family: str = "linear", *, project: Project | None = None
    ) -> Packed:
        return pack(project or self.project, settings, self.finished[family], self.origin())


def make_case(folder: Path) -> Case:
    """A table of two features, a linear model that knows it and a dummy that does not."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=N_ROWS)
    left = np.where(x + 0.7 * rng.normal(size=N_ROWS) > 0, "yes", "no")
    since = [f"2030-01-{1 + i % 28:02d}T10:00:00" for i in range(N_ROWS)]
    lines = [f"{a:.6f},{b},{c}" for a, b, c in zip(x, since, left, strict=True)]
    (folder / "churn.csv").write_text("x,since,left\n" + "\n".join(lines) + "\n")
    body = {
        "problem": {"task": "binary", "target": "left", "gates": ["roc_auc >= 0.6"]},
        "data": {"sources": [{"path": "churn.csv"}]},
        "train": {"folds": 2, "families": ["linear"], "seed": 5},
    }
    project = Project.from_dict(body).at(folder)
    snapshot = prepare(project, settings=Settings.from_env({"TENFOLD_HOME": str(folder / "h")}))
    question = make_question(project, snapshot.schema, ordered=False, positive="yes")
    rows = load_rows(snapshot, question)
    material = Material(rows.training, snapshot.profiles(), snapshot.schema, question, 1)
    finished = {}
    for family in ("linear", "dummy"):
        params = dict(FAMILIES[family].defaults("binary")[0])
        outcome = evaluate(material.workspace(), Config(0, family, params))
        finished[family] = finish(
            material, rows.test, Answer.single(family, params),    oof=outcome.oof,
            block_rows=20,
        )  # fmt: skip
    return Case(project, snapshot, question, rows.test, finished)
