"""What answers on few rows: the best configuration, a greedy blend, or an even one.

``make bench-few``; a quarter of an hour. A table's sample of some hundred rows is searched as
``tenfold train`` does, with a fixed number of configurations; then the best configuration (two
seeds, as the blends' members), the greedy blend, the even blend and today's pick are fitted on all
of these rows and judged on up to 3,000 others, which is what makes a sample of 240 rows tell
something. The table beside `tenfold.training.even` is of searches of 30 to 40 seconds.
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from _form import Form
from contest.tables import TABLES, Table
from tenfold.data import prepare
from tenfold.evaluation import measure
from tenfold.models import choose_engine
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold.training.answer import Answer, Part
from tenfold.training.blend import Mix, greedy
from tenfold.training.board import Tried
from tenfold.training.ensemble import PREFERENCES, choose_answer
from tenfold.training.even import even_blend
from tenfold.training.fitter import Fitter
from tenfold.training.question import question_of, traits_of
from tenfold.training.rows import load_rows
from tenfold.training.search import Limits, Material, search_inline
from tenfold.training.second_look import look_again

DATA = Path(__file__).parents[2] / "shared" / "data"
NAMES = ("adult", "telco-churn", "german-credit", "penguins", "king-county", "bike")
MOST_TEST_ROWS = 3_000
METRICS = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}


def sampled(table: Table, data: Path, *, rows: int, seed: int, folder: Path) -> tuple[Path, float]:
    """A file of so many training rows and the test rows behind them, and the share of these."""
    with (data / f"{table.name}.csv").open(newline="", encoding="utf-8-sig") as file:
        head, *lines = csv.reader(file)
    kept = [at for at, name in enumerate(head) if name not in table.without]
    target = head.index(table.target)
    known = [line for line in lines if line[target].strip() not in ("", "?")]
    random.Random(1000 + seed).shuffle(known)
    n_test = min(MOST_TEST_ROWS, len(known) - rows)
    path = folder / f"{table.name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        for line in (head, *known[: rows + n_test]):
            out.writerow([line[at] for at in kept])
    return path, n_test / (rows + n_test)


def judged(table: Table, data: Path, *, rows: int, seed: int, trials: int) -> dict[str, float]:
    """The metric on the other rows, by who answers."""
    with tempfile.TemporaryDirectory() as name:
        path, share = sampled(table, data, rows=rows, seed=seed, folder=Path(name))
        problem = {"task": table.task, "target": table.target, "metric": METRICS[table.task]}
        if table.positive:
            problem["positive_class"] = table.positive
        project = Project.from_dict(
            {
                "name": table.name, "problem": problem, "train": {"seed": seed},
                "data": {"sources": [{"path": str(path)}]},
            }
        )  # fmt: skip
        # A project may seal half of its rows at most; here nearly all judge.
        parts = project.prepare.model_copy(update={"test_fraction": share})
        project = project.model_copy(update={"prepare": parts})
        snapshot = prepare(project, settings=Settings.from_env({"TENFOLD_HOME": name}))
        profiles = snapshot.profiles()
        question = replace(
            question_of(project, snapshot), traits=traits_of(snapshot.schema, profiles)
        )
        found = load_rows(snapshot, question)
    material = Material(found.training, profiles, snapshot.schema, question, 1)
    result = search_inline(material, Limits(trials=trials, seconds=None))
    fitter = Fitter(material)
    chosen = choose_answer(
        material, result.best, result.tried, result.oof_of,
        fitter=fitter, prefer=PREFERENCES["balanced"],
    )  # fmt: skip
    answers = _blends(material, result) | {"the pick": chosen.answer}
    scores = {}
    for who, answer in answers.items():
        built = fitter.build(answer)
        matrix = built.preprocessor.transform_codes(built.narrow(found.test.codes))
        said = choose_engine(built.model, matrix).score(matrix)
        threshold = 0.5 if table.task == "binary" else None
        scores[who] = measure(question.metric, question.judge(found.test.truth, said, threshold))
    return scores


def _blends(material: Material, result: Any) -> dict[str, Answer]:
    from tenfold.training.ensemble import _candidates, _judge

    searched = _candidates(material, result.best, result.tried, result.oof_of)
    by_number = {tried.config.number: tried for tried in result.tried}
    told, oofs = look_again(material, by_number, searched)
    judge = _judge(material, list(oofs.values()))
    scores = {number: judge.take(oof) for number, oof in oofs.items()}
    families = {number: told[number].config.family for number in oofs}
    best, *even = even_blend(judge, scores, families=families, seed=material.question.seed)
    mixes = {"best": best, "greedy": greedy(judge, scores)[-1], "even": even[-1] if even else best}
    return {who: _answer(mix, told, material) for who, mix in mixes.items()}


def _answer(mix: Mix, told: Any, material: Material) -> Answer:
    def part(number: int, weight: float) -> Part:
        tried: Tried = told[number]
        made = Part.of(
            tried.config.family, tried.config.params,
            rounds=tried.outcome.rounds, more_rows=material.more_rows,
        )  # fmt: skip
        return replace(made, weight=weight)

    return Answer(tuple(part(*each) for each in mix.weights)).with_seeds(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Every table, then the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--tables", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=60)
    options = parser.parse_args(arguments)
    form, lines = Form("few"), []
    form.add("rows", options.rows)
    for table in TABLES:
        if table.name not in options.tables:
            continue
        found: dict[str, list[float]] = defaultdict(list)
        for seed in range(options.seeds):
            scores = judged(
                table, options.data, rows=options.rows, seed=seed, trials=options.trials
            )
            print(table.name, seed, {who: round(value, 4) for who, value in scores.items()})
            for who, value in scores.items():
                found[who].append(value)
        means = {who: statistics.mean(values) for who, values in found.items()}
        for who, value in means.items():
            form.add(f"{table.name}.{who.replace(' ', '_')}.{METRICS[table.task]}", value)
        digits = 1 if table.task == "regression" else 4
        lines.append(
            [table.name, METRICS[table.task], *(f"{v:,.{digits}f}" for v in means.values())]
        )
    heads = ["table", "metric", "best", "greedy", "even", "the pick"]
    form.table(f"{options.rows} rows, judged on others", heads, lines)
    form.finish(libraries=["xgboost", "torch", "scikit-learn"])


if __name__ == "__main__":
    main()
