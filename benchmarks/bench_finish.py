"""What blends and seeds buy, and what a row then costs: the table of ``docs/finish.md``.

``make bench-finish``. Six fixed configurations (linear, boosting four times, a network) are judged
over three folds; then the best of them, the same with four seeds, the best blend, and that with
four seeds are fitted on all training rows and judged on the sealed test rows, each through its own
engine. Two standard errors of a difference on the test rows stand beside it, from a paired
bootstrap. Microseconds are of a single row, preparation and engine, one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from _form import Form
from contest.tables import TABLES, Table
from tenfold.data import prepare
from tenfold.evaluation import measure
from tenfold.models import FAMILIES, choose_engine
from tenfold.project import Project
from tenfold.settings import Settings
from tenfold.training.answer import Answer
from tenfold.training.board import Tried
from tenfold.training.ensemble import PREFERENCES, Chosen, choose_answer
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.fitter import Fitter
from tenfold.training.portfolio import portfolio
from tenfold.training.question import Question, question_of, traits_of
from tenfold.training.rows import load_rows
from tenfold.training.search import Material

DATA = Path(__file__).parents[1] / "shared" / "data"
NAMES = ("adult", "telco-churn", "king-county", "bike", "diamonds")
PICKED = {"linear": (0,), "boosting": (0, 1, 2, 3), "network": (0,)}
"""Which entries of a family's portfolio."""
MOST_ROUNDS = 600
"""Of boosting: what is compared is one model with several, not one model with a longer one."""
REPLICATES = 200


def configurations(question: Question) -> list[Config]:
    """The six, numbered."""
    by_family: dict[str, list[Any]] = {}
    for entry in portfolio(question):
        by_family.setdefault(entry.family, []).append(entry.params)
    picked = [(f, dict(by_family[f][i])) for f, places in PICKED.items() for i in places]
    for family, params in picked:
        if family == "boosting":
            params["rounds"] = min(int(params.get("rounds", MOST_ROUNDS)), MOST_ROUNDS)
    return [Config(n, family, params) for n, (family, params) in enumerate(picked, start=1)]


def judged(table: Table, data: Path, form: Form) -> list[list[object]]:
    """Rows of the printed table for one table."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env({"TENFOLD_HOME": folder})
        problem = {"task": table.task, "target": table.target, "metric": table.metric}
        if table.positive:
            problem["positive_class"] = table.positive
        body = {
            "name": table.name,
            "problem": problem,
            "data": {"sources": [{"path": str(data / f"{table.name}.csv")}]},
            "train": {"folds": 3, "families": list(PICKED)},
        }
        project = Project.from_dict(body)
        snapshot = prepare(project, settings=settings)
        profiles = snapshot.profiles()
        question = replace(
            question_of(project, snapshot), traits=traits_of(snapshot.schema, profiles)
        )
        rows = load_rows(snapshot, question)
    material = Material(rows.training, profiles, snapshot.schema, question, 2)
    work = material.workspace()
    tried = []
    for config in configurations(question):
        tried.append(Tried(config, evaluate(work, config)))
        print(table.name, config.family, tried[-1].outcome.score, flush=True)
    fitter = Fitter(material)
    oofs = {t.config.number: t.outcome.oof for t in tried}
    pick = max if question.maximize else min
    best = pick((t for t in tried if t.outcome.oof is not None), key=lambda t: t.outcome.score)

    def choose(prefer: str) -> Chosen:
        return choose_answer(
            material, best, tried, oofs.get, fitter=fitter, prefer=PREFERENCES[prefer]
        )

    began = time.monotonic()
    accurate, balanced = choose("accuracy"), choose("balanced")
    form.add(f"{table.name}.choice_s", time.monotonic() - began)
    single = Answer.single(
        best.config.family,
        best.config.params,
        rounds=best.outcome.rounds,
        more_rows=material.more_rows,
    )
    answers = {
        "best configuration": single,
        "the same x 4 seeds": single.with_seeds(4),
        "best blend": accurate.answer.with_seeds(1),
        "best blend x 4 seeds": accurate.answer.with_seeds(4),
        "the pick (balanced)": balanced.answer,
    }
    return _scored(table, answers, fitter, question, rows.test, form)


def _scored(
    table: Table,
    answers: dict[str, Answer],
    fitter: Fitter,
    question: Question,
    test: Any,
    form: Form,
) -> list[list[object]]:
    out, found = [], {}
    for name, answer in answers.items():
        built = fitter.build(answer)
        matrix = built.preprocessor.transform_codes(built.narrow(test.codes))
        engine = choose_engine(built.model, matrix)
        scores = engine.score(matrix)
        threshold = 0.5 if table.task == "binary" else None
        found[name] = question.judge(test.truth, scores, threshold)
        micros, size_bytes = fitter.measure(answer)
        value = measure(question.metric, found[name])
        gap, error = _gap(question.metric, found[name], found["best configuration"])
        key = f"{table.name}.{name.replace(' ', '_')}"
        form.add(f"{key}.{question.metric}", value)
        form.add(f"{key}.us_per_row", micros)
        form.add(f"{key}.bytes", size_bytes)
        form.add(f"{key}.answer", answer.words)
        digits = 1 if table.task == "regression" else 4
        out.append(
            [
                table.name,
                name,
                f"{value:,.{digits}f}",
                f"{gap:+,.{digits}f} ± {2 * error:,.{digits}f}",
                f"{micros:.0f}",
                f"{size_bytes / 1e6:.1f}",
                engine.name,
                answer.words,
            ]
        )
        print(*out[-1], flush=True)
    return out


def _gap(metric: str, one: Any, other: Any) -> tuple[float, float]:
    """The difference on the test rows, and its standard error by a paired bootstrap."""
    random, n = np.random.default_rng(0), one.n_rows
    gaps = []
    for _ in range(REPLICATES):
        draw = random.multinomial(n, np.full(n, 1.0 / n)).astype(np.float64)
        gaps.append(measure(metric, one, weights=draw) - measure(metric, other, weights=draw))
    return measure(metric, one) - measure(metric, other), float(np.std(gaps))


def main() -> None:
    """Every table, then the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", nargs="+", default=list(NAMES))
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    unknown = set(options.tables) - {table.name for table in TABLES}
    if unknown:
        parser.error(f"no such tables: {sorted(unknown)}")
    assert set(PICKED) <= set(FAMILIES)
    form, rows = Form("finish"), []
    for table in TABLES:
        if table.name in options.tables:
            rows += judged(table, options.data, form)
    heads = ["table", "answers", "metric", "vs best", "us/row", "MB", "engine", "members"]
    form.table("Blends and seeds on the sealed test rows", heads, rows)
    form.finish(libraries=["xgboost", "torch", "onnxruntime", "scikit-learn"])


if __name__ == "__main__":
    main()
