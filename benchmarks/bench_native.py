"""Native categories against the other codings, in the same folds with the same trees.

    python benchmarks/bench_native.py [table ...]

Prints per table and coding the mean of the folds' metric over seeds, and seconds of CPU.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from contest.tables import TABLES
from tenfold.data import prepare
from tenfold.models import FAMILIES
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.question import question_of, traits_of
from tenfold.training.rows import load_rows
from tenfold.training.search import Material

DATA = Path(__file__).parents[1] / "shared" / "data"
SEEDS = (0, 1)
AS_CATEGORIES: dict[str, tuple[str, ...]] = {
    "king-county": ("zipcode",),
    "bike": ("hr", "weekday", "mnth"),
    "elec2": ("period",),
}
"""Numbers that name something, declared as categories."""
CODINGS: dict[str, dict[str, str]] = {
    "ordinal": {"categories": "ordinal", "many": "ordinal"},
    "target from 65 on": {"categories": "ordinal", "many": "target"},
    "target": {"categories": "target", "many": "target"},
    "native from 65 on": {"categories": "ordinal", "many": "native"},
    "native": {"categories": "native", "many": "native"},
    "native, target from 65 on": {"categories": "native", "many": "target"},
}


def main(names: list[str]) -> None:
    for table in TABLES:
        if names and table.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings.from_env({"TENFOLD_HOME": folder})
            problem: dict[str, Any] = {
                "task": table.task, "target": table.target, "metric": table.metric
            }  # fmt: skip
            if table.positive:
                problem["positive_class"] = table.positive
            columns = {name: {"kind": "category"} for name in AS_CATEGORIES.get(table.name, ())}
            path = str(DATA / f"{table.name}.csv")
            body = {
                "name": table.name,
                "problem": problem,
                "data": {"sources": [{"path": path}], "columns": columns},
                "train": {"folds": 5, "families": ["boosting"]},
            }
            project = Project.from_dict(body)
            snapshot = prepare(project, settings=settings)
            profiles = snapshot.profiles()
            question = question_of(project, snapshot)
            traits = traits_of(snapshot.schema, profiles)
            rows = load_rows(snapshot, question)
        print(table.name, table.metric, "largest domain", traits.n_categories, flush=True)
        for number, params in enumerate(FAMILIES["boosting"].defaults(table.task)):
            for words, coding in CODINGS.items():
                if traits.n_categories < 65 and "65" in words:
                    continue
                scores, began = [], time.process_time()
                for seed in SEEDS:
                    asked = replace(question, seed=seed)
                    material = Material(rows.training, profiles, snapshot.schema, asked, 1)
                    outcome = evaluate(
                        material.workspace(), Config(1, "boosting", {**params, **coding})
                    )
                    if outcome.error:
                        print(outcome.error)
                    scores.append(outcome.score)
                spent = time.process_time() - began
                print(
                    f"  {number} {words:26} {statistics.mean(scores):12.5f} "
                    f"+- {abs(scores[0] - scores[-1]) / 2:.5f}  {spent:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
