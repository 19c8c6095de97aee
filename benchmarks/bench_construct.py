"""What constructed columns add on real tables: the same models on the same folds, without and with.

``python benchmarks/bench_construct.py adult bike`` (default: every table with a target). A table is
prepared as `tenfold init` proposes; columns are constructed inside each fold; a boosting of 300
rounds and a linear model are judged out of fold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

TABLES = {
    "german-credit": "class-label", "penguins": "species", "telco-churn": "Churn", "bike": "cnt",
    "king-county": "Price", "elec2": "class", "adult": "salary", "diamonds": "price",
}  # fmt: skip
BOOSTING = {"eta": 0.1, "max_depth": 6, "rounds": 300}


def measure(name: str, data: Path) -> str:
    """One line a model: the mean score of the folds before and after, each fold's gain, and what
    was made for the fit on all folds."""
    from tenfold.data import prepare
    from tenfold.intake.init import init_project
    from tenfold.project import load_project
    from tenfold.settings import Settings
    from tenfold.training.evaluate import Config, Workspace, evaluate
    from tenfold.training.making import Making, fit_stages
    from tenfold.training.question import question_of
    from tenfold.training.rows import load_rows

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "project.yaml"
        text = init_project(data / f"{name}.csv", target=TABLES[name], output=output)
        output.write_text(text, encoding="utf-8")
        project = load_project(output)
        snapshot = prepare(project, settings=Settings.from_env({"TENFOLD_HOME": folder}))
        question = question_of(project, snapshot)
        rows = load_rows(snapshot, question).training
        shared = {
            "profiles": snapshot.profiles(), "schema": snapshot.schema, "question": question,
            "threads": 2,
        }  # fmt: skip
        stages = fit_stages(rows, **shared, making=Making("auto", "off"))
        made = max(stages.items(), key=lambda item: len(item[0]))[1].made
        lines = []
        linear = {"c": 1.0} if question.classes else {"alpha": 1.0}
        models = {"boosting": BOOSTING, "linear": linear}
        for number, (family, params) in enumerate(models.items()):
            config = Config(number, family, params)
            before = evaluate(Workspace(rows, **shared), config)
            after = evaluate(Workspace(rows, **shared, stages=stages), config)
            gains = [
                f"{b - a:+.4g}" for a, b in zip(before.fold_scores, after.fold_scores, strict=False)
            ]
            lines.append(
                f"{name:14} {family:9} {question.metric:10} "
                f"{before.score:12.5g} {after.score:12.5g}  {' '.join(gains)}  "
                f"made {len(made)}: {', '.join(made)}"
            )
    return "\n".join(lines)


def main() -> None:
    """All tables in turns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*", default=list(TABLES))
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    asked = parser.parse_args()
    for name in asked.tables:
        sys.stdout.write(measure(name, asked.data) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
