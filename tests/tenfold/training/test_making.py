"""Columns made and kept: what helps stays, what does not goes, and no judged row has a say."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.canonical import canonical_json
from tenfold.data import Hints, Snapshot, clean_table, infer_schema, prepare, read_batches
from tenfold.features import Preprocessor, Recipe
from tenfold.features.construct import MAX_CONSTRUCTED
from tenfold.features.second import Stage
from tenfold.monitor import Reference
from tenfold.profile import Profile, merge_profiles
from tenfold.project import Project
from tenfold.project.measures import Task, default_metric
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.settings import Settings
from tenfold.testing.preprocessing import same_bits
from tenfold.testing.recipes import recipes
from tenfold.training.answer import Answer
from tenfold.training.evaluate import Config, evaluate
from tenfold.training.finish import Finished, finish
from tenfold.training.making import MIN_ROWS, SELECT_FROM, Making, fit_stage, fit_stages
from tenfold.training.question import Question, question_of
from tenfold.training.rows import TrainingRows, encode_rows, load_rows
from tenfold.training.search import Limits, Material, search_inline

MakeMaterial = Callable[..., Material]
BOOSTING = Config(1, "boosting", {"eta": 0.2, "max_depth": 4, "rounds": 40})
BOTH = Making("auto", "auto")
N_SIGNAL, N_NOISE = 20, 200


def material_of(
    data: dict[str, object],
    truth: np.ndarray,
    *,
    n_folds: int = 2,
    ordered: bool = False,
    order: np.ndarray | None = None,
    block_rows: int = 100,
) -> Material:
    """A material with the profile of each fold merged from blocks.

    ``order`` is the order in which the blocks come.
    """
    n_rows = len(truth)
    task = Task.BINARY if truth.dtype.kind == "U" else Task.REGRESSION
    columns = [
        Column(name, Kind.CATEGORY, domain=tuple(sorted(set(values))))
        if isinstance(values, list)
        else Column(name, Kind.NUMBER)
        for name, values in data.items()
    ]
    classes = ("yes", "no") if task is Task.BINARY else ()  # not in the order of the domain
    target = Column("y", Kind.NUMBER, Role.TARGET)
    if classes:
        target = Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))
    schema = Schema((*columns, target))
    rng = np.random.default_rng(5)
    fold = rng.integers(-1, n_folds, n_rows).astype(np.int8)
    if ordered:
        fold = (np.arange(n_rows) * (n_folds + 1) // n_rows).astype(np.int8)
    hashes = pa.array([rng.bytes(16) for _ in range(n_rows)], pa.binary(16))
    table = pa.table(
        data | {"y": truth, "__row": np.arange(n_rows), "__fold": fold, "__hash": hashes}
    )
    blocks = [table.slice(k, block_rows) for k in range(0, n_rows, block_rows)]
    blocks = blocks if order is None else [blocks[k] for k in order]
    profiles = {}
    for label in np.unique(fold):
        parts = [block.filter(pa.array(block["__fold"].to_numpy() == label)) for block in blocks]
        profiles[int(label)] = merge_profiles([Profile.from_table(p, schema) for p in parts])
    question = Question(
        task, classes, default_metric(task), ordered, n_folds, 0, ("linear", "boosting")
    )
    rows = encode_rows(question, schema, pa.concat_tables(blocks)).in_hash_order()
    return Material(rows.training, profiles, schema, question, 1)


def planted(task: Task = Task.BINARY, *, seed: int = 2, **more: object) -> Material:
    """The truth is a ratio, and a distance to the mean of one's shop."""
    rng = np.random.default_rng(seed)
    n_rows = 3600
    size = np.exp(0.4 * rng.normal(size=n_rows))
    price = 7 * size * np.exp(0.3 * rng.normal(size=n_rows))
    shop = rng.integers(0, 12, n_rows)
    level = 40 * rng.normal(size=12)
    pay = level[shop] + rng.normal(size=n_rows)
    signal = 3 * np.log(price / size / 7) + (pay - level[shop]) + 0.3 * rng.normal(size=n_rows)
    truth = signal if task is Task.REGRESSION else np.where(signal > 0, "yes", "no")
    data: dict[str, object] = {"size": size, "price": price, "pay": pay,
                               "shop": [f"s{k:02d}" for k in shop]}  # fmt: skip
    return material_of(data, truth, **more)  # type: ignore[arg-type]


def wide(n_rows: int = 3900, *, n_folds: int = 2) -> Material:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, N_SIGNAL + N_NOISE))
    weights = np.where(np.arange(N_SIGNAL) % 2, 1.0, -1.0) * np.linspace(0.6, 1.2, N_SIGNAL)
    signal = x[:, :N_SIGNAL] @ weights + rng.normal(size=n_rows)
    names = rng.permutation([f"signal-{k}" for k in range(N_SIGNAL)]
                            + [f"noise-{k}" for k in range(N_NOISE)])  # fmt: skip
    place = np.argsort([not name.startswith("signal") for name in names], kind="stable")
    data: dict[str, object] = {}
    columns = dict(zip(place.tolist(), x.T, strict=True))
    for k, name in enumerate(names):
        data[str(name)] = columns[k]
    truth = np.where(signal > 0, "yes", "no")
    return material_of(data, truth, n_folds=n_folds, block_rows=n_rows)


def stages_of(material: Material, making: Making = BOTH) -> dict[tuple[int, ...], Stage]:
    return fit_stages(
        material.rows,
        profiles=material.profiles,
        schema=material.schema,
        question=material.question,
        making=making,
        threads=2,
    )


@cache
def staged(name: str) -> tuple[Material, Material]:
    """A material without and with its stages, fitted once for all tests."""
    made = {"wide": wide, "planted": planted}[name]()
    return made, replace(made, stages=stages_of(made))


def test_of_20_signals_and_200_noise_columns_the_signals_stay_and_the_score_is_no_worse() -> None:
    plain, selected = staged("wide")
    assert set(selected.stages) == {(1,), (0,), (0, 1)}
    for stage in selected.stages.values():
        kept = [column.name for column in stage.schema.features]
        assert sum(name.startswith("signal") for name in kept) >= 18
        assert sum(name.startswith("noise") for name in stage.dropped) >= 180
        assert len(kept) + len(stage.dropped) == N_SIGNAL + N_NOISE
        assert stage.places == tuple(
            k for k, c in enumerate(plain.schema.features) if c.name in set(kept)
        )
    before, after = (evaluate(m.workspace(), BOOSTING).score for m in (plain, selected))
    assert after >= before


def test_a_text_stays_for_any_of_its_words() -> None:
    rng = np.random.default_rng(7)
    n_rows = 1500
    words = np.array(["late", "good", "broken", "cheap", "new", "old"])
    texts = [rng.choice(words, 3) for _ in range(n_rows)]
    broken = np.array(["broken" in text for text in texts])
    data = {f"x{k}": rng.normal(size=n_rows) for k in range(SELECT_FROM)}
    y = np.where(broken ^ (rng.random(n_rows) < 0.1), "yes", "no")
    columns = [Column(name, Kind.NUMBER) for name in data]
    target = Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes"))
    schema = Schema((*columns, Column("note", Kind.TEXT), target))
    hashes = pa.array([rng.bytes(16) for _ in range(n_rows)], pa.binary(16))
    places = {"__row": np.arange(n_rows), "__fold": np.zeros(n_rows, np.int8), "__hash": hashes}
    table = pa.table({**data, "note": [" ".join(text) for text in texts], "y": y, **places})
    question = Question(Task.BINARY, ("no", "yes"), "roc_auc", False, 2, 0, ("boosting",))
    stage = fit_stage(
        encode_rows(question, schema, table).in_hash_order(),
        profiles={0: Profile.from_table(table, schema)},
        schema=schema,
        question=question,
        making=Making(select="auto"),
    )
    assert "note" in stage.schema.names
    assert "note" not in stage.dropped
    assert len(stage.dropped) >= 0.9 * SELECT_FROM


def finished(material: Material) -> Finished:
    outcome = evaluate(material.workspace(), BOOSTING)
    test = material.rows.take(np.arange(0, material.rows.n_rows, 5))
    return finish(material, test, Answer.single("boosting", BOOSTING.params), oof=outcome.oof)


def test_the_model_and_its_monitor_know_only_the_kept_columns() -> None:
    plain, selected = staged("wide")
    made = finished(selected)
    kept = [column.name for column in made.preprocessor.schema.features]
    assert kept == [c.name for c in made.stage.schema.features]
    assert len(kept) < 45
    assert made.preprocessor.schema.names == plain.schema.names
    reference = Reference.from_bytes(made.reference)
    assert [column.name for column in reference.bins.features] == kept
    assert made.metrics["roc_auc"].value > 0.85
    assert ("selected columns" in dict(made.stage.facts)) and made.stage.dropped


def test_constructed_columns_that_help_are_kept_and_the_score_rises() -> None:
    plain, constructed = staged("planted")
    for stage in constructed.stages.values():
        assert "price / size" in stage.made
        assert "pay - mean by shop" in stage.made
        assert len(stage.made) <= MAX_CONSTRUCTED
        assert stage.dropped == ()
        assert "held-out loss" in dict(stage.facts)["constructed columns"]
    before, after = (evaluate(m.workspace(), BOOSTING).score for m in (plain, constructed))
    assert after > before + 0.03
    linear = Config(2, "linear", {"c": 1.0})
    before, after = (evaluate(m.workspace(), linear).score for m in (plain, constructed))
    assert after > before + 0.03


def test_a_number_is_a_target_too() -> None:
    material = planted(Task.REGRESSION)
    stages = stages_of(material)
    assert all("price / size" in stage.made for stage in stages.values())
    before, after = (
        evaluate(replace(material, stages=s).workspace(), BOOSTING).score for s in ({}, stages)
    )
    assert after < 0.9 * before


def test_a_model_of_constructed_columns_survives_its_artifact() -> None:
    made = finished(staged("planted")[1])
    prep = made.preprocessor
    text = canonical_json(prep.to_dict())
    again = Preprocessor.from_dict(json.loads(text))
    assert canonical_json(again.to_dict()) == text
    codes = made.stage.narrow(staged("planted")[0].rows.codes)
    assert same_bits(again.transform_codes(codes), prep.transform_codes(codes))
    one = np.concatenate([prep.transform_codes(codes[k : k + 1]) for k in range(100)])
    assert same_bits(one, prep.transform_codes(codes)[:100])


def test_where_nothing_helps_nothing_is_made() -> None:
    rng = np.random.default_rng(4)
    x, z = rng.normal(size=(2, 4000))
    city = rng.choice(["bern", "oslo", "rome"], 4000)
    truth = np.where(x + 0.5 * rng.normal(size=4000) > 0, "yes", "no")
    stages = stages_of(material_of({"x": x, "z": z, "city": city.tolist()}, truth))
    for stage in stages.values():
        assert (stage.made, stage.dropped, stage.construction) == ((), (), None)
        assert "none" in dict(stage.facts)["constructed columns"]


@pytest.mark.parametrize(
    ("name", "target", "helps"), [("diamonds", "price", True), ("bike", "cnt", False)]
)
def test_real_tables_get_columns_only_where_these_pay(
    name: str, target: str, helps: bool, data_folder: Path
) -> None:
    batches = list(read_batches(data_folder / f"{name}.csv"))
    schema = infer_schema(batches, Hints(target=target))
    table = pa.concat_tables([clean_table(batch, schema)[0] for batch in batches])
    n_rows, rng = table.num_rows, np.random.default_rng(0)
    hashes = pa.array([rng.bytes(16) for _ in range(n_rows)], pa.binary(16))
    places = {"__row": np.arange(n_rows), "__fold": np.zeros(n_rows, np.int8), "__hash": hashes}
    for column, values in places.items():
        table = table.append_column(column, pa.array(values))
    question = Question(Task.REGRESSION, (), "rmse", False, 2, 0, ("boosting",))
    stage = fit_stage(
        encode_rows(question, schema, table).in_hash_order(),
        profiles={0: Profile.from_table(table, schema)},
        schema=schema,
        question=question,
        making=BOTH,
        threads=2,
    )
    assert bool(stage.made) == helps


def test_columns_of_noise_alone_all_stay() -> None:
    rng = np.random.default_rng(6)
    data: dict[str, object] = {f"x{k}": rng.normal(size=1800) for k in range(SELECT_FROM)}
    material = material_of(data, rng.choice(["no", "yes"], 1800))
    stage = fit_stage(
        material.rows,
        profiles={k: material.profiles[k] for k in (0, 1)},
        schema=material.schema,
        question=material.question,
        making=Making(select="auto"),
    )
    assert "kept" in dict(stage.facts)["selected columns"]
    assert len(stage.schema.features) >= 1


FREQUENCY = Recipe(numbers="standard", categories="frequency")


def digests(
    stages: dict[tuple[int, ...], Stage], recipe: Recipe = FREQUENCY
) -> dict[tuple[int, ...], str]:
    return {folds: stage.crossfit(recipe).served.digest() for folds, stage in stages.items()}


@pytest.mark.parametrize("ordered", [False, True])
def test_no_judged_or_later_row_changes_a_bit_of_a_stage(ordered: bool) -> None:
    material = planted(ordered=ordered, n_folds=2)
    honest = digests(stages_of(material))
    for use in material.question.folds:
        out = [f for f in material.profiles if f not in use.train]
        here = np.isin(material.rows.fold, out)
        rows = material.rows.take(np.arange(material.rows.n_rows))
        rows.codes[here] = rows.codes[here] * [-1e3, np.nan, 7.0, 0.0]
        rows.truth[here] = 1 - rows.truth[here]
        inside = material.profiles[use.train[0]]
        profiles = {f: inside if f in out else p for f, p in material.profiles.items()}
        garbled = digests(stages_of(replace(material, rows=rows, profiles=profiles)))
        assert garbled[use.train] == honest[use.train]
        # The counterpart: it could not pass by looking at nothing.
        every = max(honest, key=len)
        assert garbled[every] != honest[every]


@pytest.mark.slow
@settings(max_examples=5)
@given(
    seed=st.integers(0, 10**6),
    ordered=st.booleans(),
    recipe=recipes,
    factors=st.tuples(*[st.sampled_from([-1e3, 0.0, 1.0, 1e150, math.nan])] * 3),
    town=st.sampled_from([0.0, 1.0, math.nan]),
    turned=st.booleans(),
)
def test_no_stage_changes_however_judged_and_later_rows_are_garbled(
    seed: int,
    ordered: bool,
    recipe: Recipe,
    factors: tuple[float, float, float],
    town: float,
    turned: bool,
) -> None:
    material = planted(seed=seed, ordered=ordered)
    honest = digests(stages_of(material), recipe)
    for use in material.question.folds:
        out = [f for f in material.profiles if f not in use.train]
        here = np.isin(material.rows.fold, out)
        rows = material.rows.take(np.arange(material.rows.n_rows))
        rows.codes[here] = rows.codes[here] * [*factors, town]
        rows.truth[here] = 1 - rows.truth[here] if turned else 1
        inside = material.profiles[use.train[0]]
        profiles = {f: inside if f in out else p for f, p in material.profiles.items()}
        garbled = digests(stages_of(replace(material, rows=rows, profiles=profiles)), recipe)
        assert garbled[use.train] == honest[use.train]


def test_the_same_rows_in_any_order_of_blocks_give_the_same_file() -> None:
    expected = digests(staged("planted")[1].stages)  # type: ignore[arg-type]
    order = np.random.default_rng(0).permutation(36)
    assert digests(stages_of(planted(order=order))) == expected


def test_the_threads_of_the_judges_change_no_bit() -> None:
    material = staged("planted")[0]
    stages = fit_stages(
        material.rows,
        profiles=material.profiles,
        schema=material.schema,
        question=material.question,
        making=BOTH,
        threads=1,
    )
    assert digests(stages) == digests(staged("planted")[1].stages)  # type: ignore[arg-type]


def test_made_columns_are_profiled_against_the_target_in_the_order_of_its_domain() -> None:
    """The question counts (yes, no), the profile (no, yes)."""
    material = staged("planted")[0]
    stage = staged("planted")[1].stages[(0, 1)]
    direct = stage.profile.associations["size"].stats
    made = stage.profile.associations["price / size"].stats
    assert material.question.classes == ("yes", "no")
    assert made.counts.sum(axis=0).tolist() == direct.counts.sum(axis=0).tolist()  # type: ignore[union-attr]
    assert len(set(made.counts.sum(axis=0).tolist())) == 2  # type: ignore[union-attr]


def test_off_means_nothing_is_read_or_fitted(make_material: MakeMaterial) -> None:
    material = staged("planted")[0]
    assert stages_of(material, Making()) == {}
    assert stages_of(material, Making(select="auto")) == {}  # four columns are no wide table
    assert stages_of(make_material(Task.CLUSTERING)) == {}


def test_the_last_fit_does_nothing_that_the_folds_did_not() -> None:
    """Each fold has too few rows to judge, all of them have enough: the score of a model without
    the ratio would stand for one with it."""
    whole = staged("planted")[0]
    few = whole.rows.take(np.arange(MIN_ROWS + 300))
    stages = stages_of(replace(whole, rows=few))
    assert [stage.made for stage in stages.values()] == [(), (), ()]
    alone = fit_stage(
        few,
        profiles={k: whole.profiles[k] for k in (0, 1)},
        schema=whole.schema,
        question=whole.question,
        making=BOTH,
    )
    assert "price / size" in alone.made


def test_few_rows_cannot_tell_a_gain_from_luck() -> None:
    material = staged("planted")[0]
    few = material.rows.take(np.arange(MIN_ROWS - 1))
    profiles = {k: material.profiles[k] for k in (0, 1)}
    stage = fit_stage(
        few, profiles=profiles, schema=material.schema, question=material.question, making=BOTH
    )
    assert (stage.construction, stage.places, stage.facts) == (None, None, ())


class Counted(Snapshot):
    """A snapshot that counts how often its rows are read."""

    def blocks(self) -> Iterator[pa.Table]:
        self.manifest["reads"] = self.manifest.get("reads", 0) + 1
        return super().blocks()


def test_a_whole_fit_reads_the_rows_at_most_twice(tmp_path: Path) -> None:
    """Once when the table is prepared, for the profile; once here, for everything else."""
    rng = np.random.default_rng(2)
    n_rows = 3000
    size = np.exp(0.4 * rng.normal(size=n_rows))
    price = 7 * size * np.exp(0.3 * rng.normal(size=n_rows))
    left = np.where(price / size > 7 * np.exp(0.05 * rng.normal(size=n_rows)), "yes", "no")
    lines = [f"{a:.9f},{b:.9f},{c}" for a, b, c in zip(size, price, left, strict=True)]
    (tmp_path / "t.csv").write_text("size,price,left\n" + "\n".join(lines) + "\n")
    body = {
        "problem": {"task": "binary", "target": "left"},
        "data": {"sources": [{"path": "t.csv"}]},
        "train": {"folds": 2, "construct_columns": "auto", "families": ["boosting"]},
    }
    project = Project.from_dict(body).at(tmp_path)
    made = prepare(project, settings=Settings.from_env({"TENFOLD_HOME": str(tmp_path / "h")}))
    snapshot = Counted(**{f.name: getattr(made, f.name) for f in fields(made)})
    question = question_of(project, snapshot)
    rows: TrainingRows = load_rows(snapshot, question)
    material = Material(rows.training, snapshot.profiles(), snapshot.schema, question, 1)
    material = replace(material, stages=stages_of(material, Making.of(project)))
    found = search_inline(material, Limits(trials=0, seconds=None))
    done = finish(
        material,
        rows.test,
        Answer.single(
            found.best.config.family, found.best.config.params, rounds=found.best.outcome.rounds
        ),
        oof=found.oof,
    )
    assert "price / size" in done.stage.made
    assert snapshot.manifest["reads"] == 1
