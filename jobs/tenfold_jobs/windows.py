"""Which rows a retrain learns from: everything, the live rows, or those since the change.

The choice is made on the newest labeled rows, which no candidate was fitted on: the champion's own
recipe is fitted on each window without them, and the best score of the project's metric wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tenfold.evaluation import measure
from tenfold.features import Preprocessor, Recipe
from tenfold.features.codes import encode_table
from tenfold.models import FAMILIES
from tenfold.profile import Profile
from tenfold.schema import Schema
from tenfold.training.finish import Plan, fit_in_process
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows, truth_of

__all__ = ["Chosen", "Window", "candidate_windows", "choose_window"]

MIN_WINDOW_ROWS = 100
"""A recipe fitted on fewer rows says more about the rows than about the window."""

JUDGE_SHARE = 0.3
"""The newest labeled rows that choose; the others are learned from."""

MAX_JUDGE_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Window:
    """Rows to learn from, oldest first.

    Attributes:
        name: ``everything``, ``live`` or ``since-change``.
        table: cleaned rows with their target.
        n_live: how many of them, at the end, are labeled live rows.
    """

    name: str
    table: pa.Table
    n_live: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """The window, and the score of each candidate on the newest rows."""

    window: Window
    scores: dict[str, float]


def candidate_windows(base: pa.Table, live: pa.Table, *, change: int | None) -> list[Window]:
    """The windows that have enough rows, the widest first.

    Args:
        base: the prepared table's rows.
        live: labeled live rows, oldest first, with the same columns.
        change: index in ``live`` of the first row after the estimated change; None if unknown.

    >>> rows = pa.table({"x": list(range(300))})
    >>> [(w.name, w.table.num_rows) for w in candidate_windows(rows, rows, change=120)]
    [('everything', 600), ('live', 300), ('since-change', 180)]
    """
    found = [Window("everything", pa.concat_tables([base, live]), live.num_rows)]
    if live.num_rows >= MIN_WINDOW_ROWS:
        found.append(Window("live", live, live.num_rows))
    if change and live.num_rows - change >= MIN_WINDOW_ROWS:
        since = live.slice(change)
        found.append(Window("since-change", since, since.num_rows))
    return found


def choose_window(
    windows: Sequence[Window],
    *,
    question: Question,
    schema: Schema,
    family: str,
    params: Mapping[str, Any],
    threads: int,
) -> Chosen:
    """Fit the recipe on each window without the newest rows and let those decide.

    The first window wins a tie: more rows, all else equal. One window needs no contest.
    """
    if len(windows) == 1:
        return Chosen(windows[0], {})
    smallest = min(window.n_live for window in windows)
    n_judge = min(MAX_JUDGE_ROWS, int(JUDGE_SHARE * smallest))
    newest = windows[-1].table.slice(windows[-1].table.num_rows - n_judge)
    scores: dict[str, float] = {}
    best = windows[0]
    for window in windows:
        older = window.table.slice(0, window.table.num_rows - n_judge)
        plan = _plan(question, schema, older, family=family, params=params, threads=threads)
        scores[window.name] = _score(plan, _rows(question, schema, older), newest, schema)
        if window is not best and question.better(scores[window.name], scores[best.name]):
            best = window
    return Chosen(best, scores)


def _plan(
    question: Question,
    schema: Schema,
    table: pa.Table,
    *,
    family: str,
    params: Mapping[str, Any],
    threads: int,
) -> Plan:
    recipe = Recipe(**FAMILIES[family].recipe(params))
    profile = Profile.from_table(table, schema)
    return Plan(family, params, Preprocessor.fit(schema, profile, recipe=recipe), question, threads)


def _score(plan: Plan, rows: TrainingRows, newest: pa.Table, schema: Schema) -> float:
    question = plan.question
    try:
        model = fit_in_process(plan, rows)
    except (ValueError, ArithmeticError):  # a window with one class cannot be learned from
        return float("nan")
    judge = _rows(question, schema, newest)
    scores = model.predict(plan.preprocessor.transform_codes(judge.codes))
    threshold = 0.5 if question.task.value == "binary" else None
    return measure(question.metric, question.judge(judge.truth, scores, threshold))


def _rows(question: Question, schema: Schema, table: pa.Table) -> TrainingRows:
    n_rows = table.num_rows
    truth: NDArray[Any] = truth_of(question, schema, table)
    known = ~np.isnan(truth) if truth.dtype.kind == "f" else truth >= 0
    return TrainingRows(
        codes=encode_table(schema, table),
        truth=truth,
        fold=np.zeros(n_rows, dtype=np.int8),
        position=np.arange(n_rows, dtype=np.int64),
        hashes=np.zeros(n_rows, dtype="S16"),
    ).take(known)
