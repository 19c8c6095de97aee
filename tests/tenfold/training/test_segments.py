"""How many segments, whether there are any: tables with known truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tenfold.errors import DataError
from tenfold.profile import Profile
from tenfold.project.measures import Task
from tenfold.schema import Column, Kind, Schema
from tenfold.training.answer import Answer
from tenfold.training.board import Tried
from tenfold.training.choosing import Choice, choose_segments
from tenfold.training.finish import Finished, finish
from tenfold.training.question import Question
from tenfold.training.rows import TrainingRows, encode_rows
from tenfold.training.search import Material
from tenfold.training.segments import Cut, Structure, best_cut, discrete_columns, figures_of

N_FOLDS = 3
Columns = dict[str, np.ndarray]


def material_of(data: Columns) -> tuple[Material, TrainingRows]:
    n, rng = len(next(iter(data.values()))), np.random.default_rng(0)
    schema = Schema(
        tuple(
            Column(name, Kind.CATEGORY, domain=tuple(np.unique(v).tolist()))
            if v.dtype.kind == "U"
            else Column(name, Kind.NUMBER)
            for name, v in data.items()
        )
    )
    fold = rng.integers(-1, N_FOLDS, n)
    table = pa.table({**data, "__row": np.arange(n), "__fold": fold.astype(np.int8)})
    hashes = pa.array([rng.bytes(16) for _ in range(n)], pa.binary(16))
    table = table.append_column("__hash", hashes)
    profiles = {
        int(k): Profile.from_table(table.filter(pa.array(fold == k)), schema)
        for k in np.unique(fold)
    }
    question = Question(Task.CLUSTERING, (), "silhouette", False, N_FOLDS, 0, ("kmeans",))
    rows = encode_rows(question, schema, table).in_hash_order()
    return Material(rows.training, profiles, schema, question, 1), rows.test


def made_of(data: Columns, **limits: Any) -> tuple[Choice, Finished]:
    material, test = material_of(data)
    choice = choose_segments(material, **{"trials": None, "seconds": None, **limits})
    best = choice.best
    return choice, finish(
        material,
        test,
        Answer.single(best.config.family, best.config.params),
        oof=choice.oof_of(best.config.number),
    )


def blobs(n_rows: int = 300) -> Columns:
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 3, n_rows)
    centers = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])[kind]
    x = centers + rng.normal(size=(n_rows, 2))
    return {"age": 30 + x[:, 0], "pay": 1000 * np.exp(x[:, 1] / 8)}


def test_three_blobs_are_three_segments_with_portraits() -> None:
    choice, made = made_of(blobs())
    assert made.classes == ("segment-1", "segment-2", "segment-3")
    assert made.segments is not None
    structure = made.segments.structure
    assert structure.found
    assert structure.stability > 0.95
    assert structure.told().startswith("3 segments stand out from chance")
    assert made.metrics["stability"].value == structure.stability
    assert made.metrics["davies_bouldin"].value < 0.6
    assert sum(portrait.n_rows for portrait in made.segments.portraits) == made.n_training
    assert all(portrait.marks for portrait in made.segments.portraits)
    assert [row["k"] for row in figures_of(choice.cuts)] == list(range(2, 13))
    assert made.segments.to_dict()["structure"] is True


def cloud(name: str, n_rows: int) -> Columns:
    rng = np.random.default_rng(5)
    flat = {"a": rng.random(n_rows), "b": rng.random(n_rows), "c": rng.random(n_rows)}
    turned = rng.normal(size=(n_rows, 3)) @ rng.normal(size=(3, 3))
    skewed = {"a": np.exp(rng.normal(size=n_rows)), "b": np.exp(rng.normal(size=n_rows))}
    normal = {"a": rng.normal(size=n_rows), "b": rng.normal(size=n_rows)}
    return {
        "uniform": flat,
        "normal": dict(zip("abc", turned.T, strict=True)),
        "one column": {"a": rng.normal(size=n_rows)},
        "skewed": skewed,
        "with categories": normal | {"s": rng.choice(["f", "m"], n_rows)},
        "categories alone": {c: rng.choice(["f", "m", "x"], n_rows) for c in "st"},
    }[name]


@pytest.mark.parametrize("n_rows", [300, pytest.param(700, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name",
    ["uniform", "normal", "one column", "skewed", "with categories", "categories alone"],
)
def test_one_cloud_has_no_structure(name: str, n_rows: int) -> None:
    _, made = made_of(cloud(name, n_rows), trials=None if n_rows > 300 else 2)
    assert made.segments is not None
    assert not made.segments.structure.stands_out
    assert made.segments.structure.told().startswith("no cluster structure")
    assert made.segments.to_dict()["structure"] is False


def test_the_best_cut_is_stable_and_of_equals_the_one_with_fewer_segments() -> None:
    shaky = Cut(0, 2, 0.9, 0.1, 0.7)
    three, four = Cut(1, 3, 0.5, 0.5, 0.9), Cut(2, 4, 0.5, 0.5, 0.9)
    assert best_cut([shaky, four, three]) is three
    assert best_cut([shaky]) is shaky
    unknown = Cut(3, 5, math.nan, math.nan, 0.9)
    assert best_cut([unknown, three]) is three
    assert figures_of([unknown])[0]["silhouette"] is None


def test_verdicts_state_law_and_values() -> None:
    rough = Structure(4, 0.5, 0.3, 0.02, 0.6)
    assert rough.stands_out
    assert not rough.found
    assert rough.told() == (
        "the rows are not one cloud, but these 4 segments are not the same on other samples "
        "(silhouette 0.50 against 0.30 for rows without structure, stability 0.60; 0.8 is "
        "needed): read them as a rough cut"
    )
    assert not Structure(2, 0.35, 0.3, 0.02, 1.0).stands_out


def test_time_ends_the_choice_after_the_first() -> None:
    material, _ = material_of(blobs(120))
    told: list[Tried] = []
    choice = choose_segments(material, trials=None, seconds=0.0, on_tried=told.append)
    assert [one.config.params["k"] for one in choice.tried] == [5] == [c.k for c in choice.cuts]
    assert [one.config.family for one in told] == ["kmeans"]
    assert told[0].outcome.score == choice.cuts[0].silhouette


def test_the_same_rows_give_the_same_choice() -> None:
    one, two = (choose_segments(material_of(blobs(150))[0], trials=3, seconds=None) for _ in "ab")
    assert one.cuts == two.cuts
    assert np.array_equal(one.oof_of(2), two.oof_of(2))


def test_numbers_of_segments_that_do_not_fit_are_told_and_the_others_tried() -> None:
    data = {"a": np.array([0.0, 1.0, 5.0] * 20), "b": np.array([0.0, 0.0, 5.0] * 20)}
    choice, made = made_of(data)
    assert {one.config.params["k"]: one.outcome.error is None for one in choice.tried}[3]
    assert "5 segments need as many different rows" in str(choice.tried[0].outcome.error)
    assert len(made.classes) in (2, 3)


def test_equal_rows_have_no_segments_and_say_so() -> None:
    with pytest.raises(DataError, match="at least two different rows in each fold"):
        choose_segments(material_of({"a": np.zeros(40)})[0], trials=None, seconds=None)


def test_numbers_with_few_values_are_categories() -> None:
    schema = Schema((Column("a", Kind.NUMBER), Column("b", Kind.BOOLEAN), Column("c", Kind.NUMBER)))
    codes = np.c_[np.arange(40) % 5, np.arange(40) % 2, np.arange(40)].astype(float)
    assert discrete_columns(schema, codes) == [0, 1]
