"""Native categories from the search to the served artifact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xgboost

from tenfold.errors import DataError
from tenfold.features import Recipe
from tenfold.features.native import MAX_SLOTS
from tenfold.models import FAMILIES, Traits, fitting
from tenfold.models.boosting import booster_params
from tenfold.profile import Profile
from tenfold.project.measures import Task
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.testing.mixed import json_rows
from tenfold.training.answer import Answer
from tenfold.training.evaluate import Config, Fate, evaluate
from tenfold.training.finish import finish
from tenfold.training.fitter import Fitter
from tenfold.training.group import quantized
from tenfold.training.portfolio import portfolio
from tenfold.training.proposals import Proposals
from tenfold.training.rows import TrainingRows, encode_rows
from tenfold.training.search import Material
from tests.tenfold.training.conftest import N_FOLDS, MakeCase, question_of

NATIVE = {"categories": "native", "many": "native", "eta": 0.2, "max_depth": 4}


def shops(n_shops: int, n_rows: int, *, hidden: int = -1) -> tuple[Material, TrainingRows, Schema]:
    """Rows of many shops, each with an effect of its own; one is in the fold ``hidden`` alone."""
    rng = np.random.default_rng(2)
    names = tuple(f"shop {k:05d}" for k in range(n_shops))
    shop, x = rng.integers(0, n_shops, n_rows), rng.normal(size=n_rows)
    folds = rng.integers(-1, N_FOLDS, n_rows).astype(np.int8)
    if hidden >= 0:
        shop = np.where(folds == hidden, np.where(rng.random(n_rows) < 0.5, 0, shop), shop)
        shop = np.where((folds != hidden) & (shop == 0), 1, shop)
    signal = x + 2.0 * rng.normal(size=n_shops)[shop] + 0.3 * rng.normal(size=n_rows)
    schema = Schema(
        (
            Column("x", Kind.NUMBER),
            Column("shop", Kind.CATEGORY, domain=names),
            Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")),
        )
    )
    table = pa.table(
        {
            "x": x,
            "shop": np.array(names)[shop],
            "y": np.where(signal > 0, "yes", "no"),
            "__row": np.arange(n_rows),
            "__fold": folds,
            "__hash": pa.array([rng.bytes(16) for _ in range(n_rows)], pa.binary(16)),
        }
    )
    profiles = {
        int(fold): Profile.from_table(table.filter(pa.array(folds == fold)), schema)
        for fold in np.unique(folds)
    }
    question = question_of(Task.BINARY, families=("boosting",))
    rows = encode_rows(question, schema, table).in_hash_order()
    return Material(rows.training, profiles, schema, question, 1), rows.test, schema


def test_ten_thousand_categories_most_of_them_seen_once() -> None:
    material, test, _ = shops(10_000, 9_000)
    outcome = evaluate(material.workspace(), Config(1, "boosting", NATIVE))
    assert outcome.fate is Fate.SCORED, outcome.error
    made = Fitter(material).build(Answer.single("boosting", {**NATIVE, "rounds": 20}))
    slots = made.model.forest.slots  # type: ignore[attr-defined]
    assert max(slots) <= MAX_SLOTS
    assert np.isfinite(made.model.predict(made.preprocessor.transform_codes(test.codes))).all()
    assert sum(map(len, made.model.files().values())) < 4_000_000


def test_a_fold_that_lacks_a_category_is_judged_on_it() -> None:
    material, _, _ = shops(12, 900, hidden=1)
    outcome = evaluate(material.workspace(), Config(1, "boosting", NATIVE))
    assert outcome.fate is Fate.SCORED, outcome.error
    assert outcome.oof is not None
    assert np.isfinite(outcome.oof[material.rows.fold >= 0]).all()
    use = material.question.folds[1]
    data = material.workspace().fold(
        use, Recipe(**FAMILIES["boosting"].recipe(NATIVE)), stops_early=True
    )
    place = data.slots.index(max(data.slots))
    assert data.slots[place] == 12, "eleven shops of the others, and the slot of strangers"
    assert data.judged[:, place].max() < 12.0


def test_sets_pay_where_names_have_no_order() -> None:
    material, _, _ = shops(300, 4_000)
    scores = {
        coding: evaluate(
            material.workspace(),
            Config(1, "boosting", {**NATIVE, "categories": coding, "many": coding}),
        ).score
        for coding in ("ordinal", "native")
    }
    assert scores["native"] > scores["ordinal"] + 0.005, scores


def test_what_is_served_and_refitted_keeps_its_sets(make_case: MakeCase) -> None:
    material, test = make_case(families=("boosting",))
    answer = Answer.single("boosting", {**NATIVE, "rounds": 30})
    fitter = Fitter(material)
    made = finish(material, test, answer, oof=None, fitter=fitter)
    assert made.engine.name == "onnx", made.engine.reason
    assert json.loads(made.engine.files["arch.json"])["slots"] == [0, 0, 4]
    rows = json_rows(
        made.preprocessor.schema,
        pa.table({"x": [0.1, None, 2.0], "z": [1.0, 0.0, -1.0], "city": ["oslo", None, "paris"]}),
    )
    together = made.preprocessor.transform_codes(made.preprocessor.encoder.encode_rows(rows))
    scores = made.engine.score(together)
    for row, score in zip(rows, scores, strict=True):
        assert np.array_equal(
            made.engine.score(made.preprocessor.transform_row(row)[None])[0], score
        )
    again = Answer.from_lineage(answer.family, json.loads(json.dumps(answer.params)))
    refit = Fitter(material).build(again)
    assert refit.model.files() == fitter.build(answer).model.files()


def test_a_family_that_reads_numbers_says_so(make_case: MakeCase) -> None:
    material, _ = make_case(families=("boosting",))
    prepared = material.workspace().crossfit((0, 1), Recipe(categories="native"))
    assert prepared.served.slots == (0, 0, 4)
    from tenfold.training.native import checked_slots

    with pytest.raises(DataError, match="splits them by sets, linear does not; give its recipe"):
        checked_slots("linear", prepared.served.slots)


@pytest.mark.parametrize(
    ("traits", "tried"),
    [
        (Traits(3, category_share=0.5), True),
        (Traits(2, category_share=1.0), False),
        (Traits(40, category_share=0.1), False),
        (Traits(), False),
    ],
)
def test_the_search_tries_sets_on_tables_of_categories(traits: Traits, tried: bool) -> None:
    question = replace(question_of(Task.BINARY, families=("boosting",)), traits=traits)
    entries = [e.params for e in portfolio(question) if e.family == "boosting"]
    found = [params.get("categories") for params in entries]
    assert found.count("native") == int(tried)
    assert found[0] == ("ordinal" if tried else None)
    proposals = Proposals(question)
    drawn = [
        proposals.draw(n, among=("boosting",), seconds=lambda _: 1.0)[1].get("categories")
        for n in range(8)
    ]
    assert set(drawn) == ({"ordinal", "native"} if tried else {None})


@pytest.mark.parametrize("external", [False, True])
def test_streamed_bins_give_the_trees_of_one_matrix(tmp_path: Path, external: bool) -> None:
    """Also where the first batches lack the categories of the last."""
    rng = np.random.default_rng(1)
    town = np.sort(rng.integers(0, 30, 3_000))
    x = np.column_stack([rng.normal(size=3_000), town]).astype(np.float32)
    x[::9, 1] = np.nan
    y = (x[:, 0] + rng.normal(size=30)[town] > 0).astype(np.float32)

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(x), 700):
            part = slice(start, start + 700)
            yield {"x": x[part], "y": y[part], "w": np.ones(len(x[part]), np.float32)}

    folder = tmp_path if external else None
    rows = quantized(batches, threads=1, folder=folder, slots=(0, 30))
    params = booster_params("binary", 2, fitting({"max_depth": 4}), seed=0, threads=1)
    streamed = xgboost.train(params, rows, num_boost_round=5)
    whole = xgboost.QuantileDMatrix(x, y, feature_types=["q", "c"], nthread=1)
    once = xgboost.train(params, whole, num_boost_round=5)
    assert any(
        any(tree["split_type"])
        for tree in json.loads(streamed.save_raw("json"))["learner"]["gradient_booster"]["model"][
            "trees"
        ]
    )
    gap = np.abs(streamed.inplace_predict(x) - once.inplace_predict(x))
    assert gap.max() < 0.02, "cut points of the number may differ, sets may not"
