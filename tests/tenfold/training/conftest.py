"""A small table with known truth, cut into folds, as sessions get it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tenfold.profile import Profile
from tenfold.project.measures import Task, default_metric
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows, encode_rows
from tenfold.training.search import Material

N_FOLDS = 3

MakeMaterial = Callable[..., Material]
MakeCase = Callable[..., tuple[Material, TrainingRows]]


def question_of(task: Task, *, ordered: bool = False, families: tuple[str, ...] = ()) -> Question:
    names = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c")}
    return Question(
        task=task,
        classes=names.get(task, ()),
        metric=default_metric(task),
        ordered=ordered,
        n_folds=N_FOLDS,
        seed=0,
        families=families or (("kmeans",) if task is Task.CLUSTERING else ("linear", "boosting")),
    )


def table_of(task: Task, *, n_rows: int, ordered: bool, seed: int = 1) -> tuple[Schema, pa.Table]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, 2))
    city = rng.choice(["bern", "oslo", "rome"], n_rows)
    signal = x[:, 0] + (city == "oslo") + 0.5 * rng.normal(size=n_rows)
    columns = [
        Column("x", Kind.NUMBER),
        Column("z", Kind.NUMBER),
        Column("city", Kind.CATEGORY, domain=("bern", "oslo", "rome")),
    ]
    data: dict[str, object] = {
        "x": np.where(rng.random(n_rows) < 0.05, np.nan, x[:, 0]),
        "z": x[:, 1],
        "city": city,
    }
    if task is Task.REGRESSION:
        columns.append(Column("y", Kind.NUMBER, Role.TARGET))
        data["y"] = np.exp(signal)
    elif task is not Task.CLUSTERING:
        names = question_of(task).classes
        edges = np.quantile(signal, np.linspace(0, 1, len(names) + 1)[1:-1])
        columns.append(Column("y", Kind.CATEGORY, Role.TARGET, domain=names))
        data["y"] = np.array(names)[np.searchsorted(edges, signal)]
    labels = rng.integers(-1, N_FOLDS, n_rows)
    if ordered:
        labels = np.minimum(np.arange(n_rows) * (N_FOLDS + 2) // n_rows, N_FOLDS + 1)
        labels = np.where(labels > N_FOLDS, -1, labels)
    data["__row"] = np.arange(n_rows)
    data["__fold"] = labels.astype(np.int8)
    hashes = [rng.bytes(16) for _ in range(n_rows)]
    table = pa.table(data).append_column("__hash", pa.array(hashes, pa.binary(16)))
    return Schema(tuple(columns)), table


def case_of(
    task: Task = Task.BINARY,
    *,
    n_rows: int = 600,
    ordered: bool = False,
    families: tuple[str, ...] = (),
) -> tuple[Material, TrainingRows]:
    """What a search works on, and the sealed rows beside it."""
    schema, table = table_of(task, n_rows=n_rows, ordered=ordered)
    question = question_of(task, ordered=ordered, families=families)
    folds = table["__fold"].to_numpy()
    profiles = {
        int(fold): Profile.from_table(table.filter(pa.array(folds == fold)), schema)
        for fold in np.unique(folds)
    }
    rows = encode_rows(question, schema, table).in_hash_order()
    return Material(rows.training, profiles, schema, question, 1), rows.test


@pytest.fixture
def make_table() -> Callable[..., tuple[Schema, pa.Table]]:
    return table_of


@pytest.fixture
def make_case() -> MakeCase:
    return case_of


@pytest.fixture
def make_material() -> MakeMaterial:
    def make(task: Task = Task.BINARY, **more: Any) -> Material:
        return case_of(task, **more)[0]

    return make
