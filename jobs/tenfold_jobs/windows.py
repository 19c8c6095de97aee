"""Which rows a retrain learns from, which choose the window, and which judge the result.

**Dealt once.** A labeled live row belongs to one of three parts by a hash of its features, whatever
retrain looks at it: *judge* (a quarter), *choose* (a fifth), *learn* (the rest). A row that judges
a challenger is never learned from, not by a later retrain either, and rows with equal features are
in the same part. Rows that chose the window are learned from afterwards; they do not judge.

**Windows**: everything (the prepared table's training rows and the live ones), the live rows, or
those since the estimated change. The champion's own recipe is fitted on each and the choosing rows
since the change decide by the project's metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tenfold.cluster import Placement
from tenfold.cluster.placement import ON_CPU
from tenfold.data.hashing import mix, row_hashes
from tenfold.evaluation import measure
from tenfold.features import Recipe
from tenfold.features.codes import encode_table
from tenfold.models import FAMILIES
from tenfold.profile import Profile
from tenfold.schema import Schema
from tenfold.training.fitter import Plan
from tenfold.training.making import Making, fit_stage
from tenfold.training.placed import call_placed, fit_placed
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows, truth_of

__all__ = ["CHOOSE", "JUDGE", "LEARN", "LiveRows", "Window", "choose_window", "deal", "windows_of"]

LEARN, CHOOSE, JUDGE = 0, 1, 2

JUDGE_SHARE = 0.25
"""A hundred labels give 25 judges, which settle a clear case; more would starve the learning."""

CHOOSE_SHARE = 0.2

MIN_WINDOW_ROWS = 60
"""Rows to learn from, at least: fewer say more about themselves than about the window."""

_SALT = np.uint64(0x7E4F0D5EA1ED)
"""Deals independently of folds and sealed rows, which hang on the same hashes."""

_FOLD_SALT = np.uint64(0x7E4F0D5EF01D)


def deal(table: pa.Table, schema: Schema) -> NDArray[np.int8]:
    """The part of each row, by its features alone: int8 (n_rows,) of `LEARN`, `CHOOSE`, `JUDGE`.

    >>> from tenfold.schema import Column, Kind
    >>> parts = deal(pa.table({"x": [1.0, 2.0, 1.0]}), Schema((Column("x", Kind.NUMBER),)))
    >>> bool(parts[0] == parts[2])
    True
    """
    features = Schema(schema.features)
    lanes = row_hashes(table.select(list(features.names)), features)
    place = mix(lanes[:, 0] ^ _SALT).astype(np.float64) / 2.0**64
    parts = np.full(table.num_rows, LEARN, dtype=np.int8)
    parts[place < JUDGE_SHARE + CHOOSE_SHARE] = CHOOSE
    parts[place < JUDGE_SHARE] = JUDGE
    return parts


@dataclass(frozen=True)
class LiveRows:
    """Labeled live rows, oldest first, with their parts.

    Attributes:
        table: cleaned rows with their target.
        parts: int8 (n_rows,), see `deal`.
        change: index of the first row after the estimated change; 0 if none is known.
    """

    table: pa.Table
    parts: NDArray[np.int8]
    change: int = 0

    def part(self, *parts: int, since: int = 0) -> pa.Table:
        """The rows of some parts from an index on, in order."""
        wanted = np.isin(self.parts, parts) & (np.arange(len(self.parts)) >= since)
        return self.table.filter(pa.array(wanted))

    @property
    def judges(self) -> pa.Table:
        """The rows that judge: those since the change, which is the world to be right in."""
        return self.part(JUDGE, since=self.change)


@dataclass(frozen=True, slots=True)
class Window:
    """Rows to learn from, oldest first.

    Attributes:
        name: ``everything``, ``live`` or ``since-change``.
        base: the prepared table's training rows, or None.
        since: index of the first live row that is taken.
    """

    name: str
    base: pa.Table | None
    since: int

    def rows(self, live: LiveRows, *parts: int) -> pa.Table:
        """The window's rows of some parts of the live rows, the base before them."""
        taken = live.part(*parts, since=self.since)
        return taken if self.base is None else pa.concat_tables([self.base, taken])


def windows_of(base: pa.Table | None, live: LiveRows) -> list[Window]:
    """The windows that have enough rows to learn from, the widest first.

    Args:
        base: the prepared table's training rows, with the live rows' columns.
        live: what came since.
    """
    found = [Window("everything", base, 0)] if base is not None else []
    if live.part(LEARN).num_rows >= MIN_WINDOW_ROWS:
        found.append(Window("live", None, 0))
    if live.change and live.part(LEARN, since=live.change).num_rows >= MIN_WINDOW_ROWS:
        found.append(Window("since-change", None, live.change))
    return found


def choose_window(
    windows: Sequence[Window],
    live: LiveRows,
    *,
    question: Question,
    schema: Schema,
    family: str,
    params: Mapping[str, Any],
    threads: int,
    making: Making | None = None,
    placement: Placement = ON_CPU,
) -> tuple[Window, dict[str, float]]:
    """Fit the recipe on each window's learning rows; the choosing rows decide.

    The first window wins a tie: more rows, all else equal. One window needs no contest. Fits run
    where the placement says, in this process by default.

    Returns:
        The window, and the score of each (NaN where the recipe could not be fitted or judged).
    """
    if len(windows) == 1:
        return windows[0], {}
    choosers = live.part(CHOOSE, since=live.change)
    scores: dict[str, float] = {}
    best = windows[0]
    for window in windows:
        rows = window.rows(live, LEARN)
        plan = _plan(
            question,
            schema,
            rows,
            family=family,
            params=params,
            threads=threads,
            making=making or Making(),
            placement=placement,
        )
        scores[window.name] = _score(plan, rows, choosers, schema, placement=placement)
        if window is not best and question.better(scores[window.name], scores[best.name]):
            best = window
    return best, scores


def _plan(
    question: Question,
    schema: Schema,
    table: pa.Table,
    *,
    family: str,
    params: Mapping[str, Any],
    threads: int,
    making: Making,
    placement: Placement,
) -> Plan:
    rows = _rows(question, schema, table)
    folds = _folds(question, schema, table)
    fit = partial(
        fit_stage,
        profiles={
            int(fold): Profile.from_table(table.filter(pa.array(folds == fold)), schema)
            for fold in np.unique(folds)
        },
        schema=schema,
        question=question,
        making=making,
        threads=threads,
    )
    on_cpu = replace(placement, gpus=0.0)
    stage = call_placed(fit, rows, placement=on_cpu, what="the choice of columns")
    recipe = Recipe(**FAMILIES[family].recipe(params))
    fitted = stage.crossfit(recipe, ordered=question.ordered)
    return Plan(family, params, fitted, question, threads)


def _folds(question: Question, schema: Schema, table: pa.Table) -> NDArray[np.int8]:
    """Folds of a window's rows, so that nothing that is fitted on the target sees its own row:
    slices of ordered rows, else by a hash of the features."""
    n_rows, n_folds = table.num_rows, question.n_folds
    if question.ordered:
        places = np.arange(n_rows) * n_folds // max(n_rows, 1)
    else:
        features = Schema(schema.features)
        lanes = row_hashes(table.select(list(features.names)), features)
        places = mix(lanes[:, 0] ^ _FOLD_SALT) % np.uint64(n_folds)
    return np.asarray(places, dtype=np.int8)


def _score(
    plan: Plan, table: pa.Table, choosers: pa.Table, schema: Schema, *, placement: Placement
) -> float:
    question, prepared = plan.question, plan.prepared.served
    rows, judges = (_rows(question, schema, one) for one in (table, choosers))
    try:
        model = fit_placed(plan, rows, placement)
    except (ValueError, ArithmeticError):  # a window with one class cannot be learned from
        return float("nan")
    own = model.predict(plan.prepared.transform_training(rows.codes, rows.fold))
    threshold = question.threshold(own, rows.truth)
    scores = model.predict(prepared.transform_codes(judges.codes))
    return measure(question.metric, question.judge(judges.truth, scores, threshold))


def _rows(question: Question, schema: Schema, table: pa.Table) -> TrainingRows:
    truth: NDArray[Any] = truth_of(question, schema, table)
    known = ~np.isnan(truth) if truth.dtype.kind == "f" else truth >= 0
    case = Schema(tuple(column for column in schema.columns if column.name in table.column_names))
    lanes = row_hashes(table.select(list(case.names)), case)
    rows = TrainingRows(
        codes=encode_table(schema, table),
        truth=truth,
        fold=_folds(question, schema, table),
        position=np.arange(table.num_rows, dtype=np.int64),
        hashes=np.frombuffer(lanes.astype(">u8").tobytes(), dtype="S16"),
    )
    return rows.take(known).in_hash_order()
