"""No fitted number changes when rows that are not fitted on change, however they change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.features import Recipe
from tenfold.profile import Profile
from tenfold.project.measures import Task
from tenfold.schema import Schema
from tenfold.testing.recipes import recipes
from tenfold.training.evaluate import Workspace
from tenfold.training.folds import FoldUse
from tenfold.training.rows import encode_rows
from tests.tenfold.training.conftest import question_of, table_of

N_ROWS = 240
TASKS = (Task.BINARY, Task.MULTICLASS, Task.REGRESSION, Task.CLUSTERING)
NUMBERS = ("same", "missing", "zero", "huge", "turned", "constant")
TEXTS = ("same", "missing", "one", "strange")
TRUTHS = ("same", "one", "turned")
Garbling = dict[str, str]

garblings: st.SearchStrategy[Garbling] = st.fixed_dictionaries(
    {
        "x": st.sampled_from(NUMBERS),
        "z": st.sampled_from(NUMBERS),
        "city": st.sampled_from(TEXTS),
        "y": st.sampled_from(TRUTHS),
        "rows": st.sampled_from(("all", "few", "many")),
    }
)


def garbled(table: pa.Table, hidden: np.ndarray, how: Garbling) -> pa.Table:
    """Another table: the hidden rows hold other values, and may be fewer or there twice."""
    for name in ("x", "z", "city", "y"):
        if name in table.column_names and how[name] != "same":
            values = np.array(table[name].to_pylist(), dtype=object)
            values[hidden] = _other(values[hidden], how[name])
            place = table.column_names.index(name)
            table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    at = np.flatnonzero(hidden)
    match how["rows"]:
        case "few":
            return table.take(np.setdiff1d(np.arange(table.num_rows), at[len(at) // 3 :]))
        case "many":
            return table.take(np.concatenate([np.arange(table.num_rows), at]))
        case _:
            return table


def _other(values: np.ndarray, how: str) -> Any:
    match how:
        case "missing":
            return None
        case "zero":
            return 0.0
        case "huge":
            return [(-1.0) ** k * 1e300 for k in range(len(values))]
        case "constant":
            return 7.0
        case "strange":
            return "from another world"
        case "turned":
            return values[::-1]
        case _:
            return values[0]


def workspace(task: Task, schema: Schema, table: pa.Table, *, ordered: bool) -> Workspace:
    question = question_of(task, ordered=ordered)
    folds = table["__fold"].to_numpy()
    profiles = {
        int(fold): Profile.from_table(table.filter(pa.array(folds == fold)), schema)
        for fold in np.unique(folds)
    }
    rows = encode_rows(question, schema, table).in_hash_order().training
    return Workspace(rows, profiles=profiles, schema=schema, question=question, threads=1)


def fitted(work: Workspace, use: FoldUse, recipe: Recipe, *, stops_early: bool) -> list[Any]:
    """Every number that a model of a fold would meet: the operations', its rows, its truth."""
    prepared = work.crossfit(use.train, recipe)
    data = work.fold(use, recipe, stops_early=stops_early)
    stop = data.stop or (np.zeros(0), np.zeros(0))
    arrays = [data.fit, data.fit_truth, *stop]
    digests = [prepared.served.digest(), *(p.digest() for p in prepared.by_fold.values())]
    return [*digests, data.names, data.slots, *(_bits(array) for array in arrays)]


def _bits(array: Any) -> Any:
    return (array.shape, array.dtype.str, array.tobytes())


def without_target(recipe: Recipe) -> Recipe:
    """A recipe that a schema without a target takes."""
    plain = {k: v for k, v in recipe.to_dict().items() if v != "target"}
    return Recipe.from_dict(Recipe().to_dict() | plain)


@settings(max_examples=50)
@given(
    task=st.sampled_from(TASKS),
    seed=st.integers(0, 10**6),
    ordered=st.booleans(),
    stops_early=st.booleans(),
    recipe=recipes,
    how=garblings,
)
def test_no_fitted_number_changes_when_judged_and_later_rows_change(
    task: Task, seed: int, ordered: bool, stops_early: bool, recipe: Recipe, how: Garbling
) -> None:
    """The judged fold, the sealed rows and, where rows have an order, all later slices change."""
    if task is Task.CLUSTERING:
        recipe = without_target(recipe)
    schema, table = table_of(task, n_rows=N_ROWS, ordered=ordered, seed=seed)
    honest = workspace(task, schema, table, ordered=ordered)
    folds = table["__fold"].to_numpy()
    for use in honest.question.folds:
        hidden = ~np.isin(folds, use.train)
        other = workspace(task, schema, garbled(table, hidden, how), ordered=ordered)
        assert fitted(other, use, recipe, stops_early=stops_early) == fitted(
            honest, use, recipe, stops_early=stops_early
        )


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), how=garblings.filter(lambda how: how["z"] == "turned"))
def test_garbled_training_rows_do_change_it(seed: int, how: Garbling) -> None:
    """The counterpart: the law above could not hold by looking at nothing."""
    schema, table = table_of(Task.BINARY, n_rows=N_ROWS, ordered=False, seed=seed)
    honest = workspace(Task.BINARY, schema, table, ordered=False)
    use = honest.question.folds[0]
    hidden = table["__fold"].to_numpy() == use.train[0]
    other = workspace(Task.BINARY, schema, garbled(table, hidden, how), ordered=False)
    recipe = Recipe(numbers="standard", categories="target")
    before, after = (fitted(work, use, recipe, stops_early=False) for work in (honest, other))
    assert before != after
