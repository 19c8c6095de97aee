from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.project import Project
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.training.making import Making
from tenfold.training.question import make_question
from tenfold_jobs.windows import (
    CHOOSE,
    JUDGE,
    LEARN,
    LiveRows,
    Window,
    choose_window,
    deal,
    windows_of,
)

SCHEMA = Schema(
    (
        Column("x", Kind.NUMBER),
        Column("y", Kind.CATEGORY, Role.TARGET, nullable=False, domain=("no", "yes")),
    )
)
QUESTION = make_question(
    Project.from_dict(
        {
            "problem": {"task": "binary", "target": "y", "metric": "log_loss"},
            "data": {"sources": [{"path": "t.csv"}]},
        }
    ),
    SCHEMA,
    ordered=False,
)


def rows(n_rows: int, *, flipped: bool, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    x = random.normal(size=n_rows)
    yes = (x + 0.3 * random.normal(size=n_rows) > 0) != flipped
    return pa.table({"x": x, "y": np.where(yes, "yes", "no")})


def live_of(table: pa.Table, change: int = 0) -> LiveRows:
    return LiveRows(table, deal(table, SCHEMA), change)


def choose(base: pa.Table | None, live: LiveRows) -> tuple[str, dict[str, float]]:
    window, scores = choose_window(
        windows_of(base, live),
        live,
        question=QUESTION,
        schema=SCHEMA,
        family="linear",
        params={"c": 1.0},
        threads=1,
    )
    return window.name, scores


def with_shop(table: pa.Table, n_shops: int) -> tuple[Schema, pa.Table]:
    """A column of as many shops that have nothing to do with the answer."""
    names = tuple(f"shop {k:03d}" for k in range(n_shops))
    shops = np.random.default_rng(5).choice(names, table.num_rows)
    shop = Column("shop", Kind.CATEGORY, domain=names)
    return Schema((*SCHEMA.columns, shop)), table.append_column("shop", pa.array(shops))


@pytest.mark.parametrize("ordered", [False, True])
def test_what_is_fitted_on_the_target_sees_no_row_of_its_own_in_a_window_either(
    ordered: bool,
) -> None:
    """Else noise looks like gold to the fit, and the choosing rows pay for it."""
    schema, table = with_shop(rows(2000, flipped=False), 600)
    live = LiveRows(table, deal(table, schema), 0)
    windows = [Window("live", None, 0), Window("since-change", None, 100)]
    scores = {}
    for many in ("onehot", "target"):
        _window, found = choose_window(
            windows,
            live,
            question=replace(QUESTION, ordered=ordered),
            schema=schema,
            family="linear",
            params={"c": 1.0, "many": many},
            threads=1,
        )
        scores[many] = found["live"]
    assert scores["target"] < scores["onehot"] + 0.02


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.integers(1, 3))
def test_a_row_is_dealt_by_its_features_alone(values: list[float], copies: int) -> None:
    """Whoever else is there, in whatever order, with whatever label: the same part."""
    one = pa.table({"x": values, "y": ["no"] * len(values)})
    many = pa.concat_tables([one.slice(len(values) // 2), *[one] * copies])
    many = many.set_column(1, "y", pa.array(["yes"] * many.num_rows))
    parts = dict(zip(one["x"].to_pylist(), deal(one, SCHEMA).tolist(), strict=True))
    again = zip(many["x"].to_pylist(), deal(many, SCHEMA).tolist(), strict=True)
    assert all(parts[x] == part for x, part in again)


def test_the_shares_are_those_that_are_said() -> None:
    parts = deal(rows(8000, flipped=False), SCHEMA)
    shares = [float(np.mean(parts == part)) for part in (LEARN, CHOOSE, JUDGE)]
    assert np.allclose(shares, [0.55, 0.20, 0.25], atol=0.02)


def test_after_a_change_of_the_world_only_the_rows_since_then_are_kept() -> None:
    live = pa.concat_tables([rows(600, flipped=False), rows(400, flipped=True, seed=1)])
    name, scores = choose(rows(2000, flipped=False, seed=2), live_of(live, 600))
    assert name == "since-change"
    assert scores["since-change"] < scores["live"] < scores["everything"]


def test_the_widest_window_wins_a_tie() -> None:
    live = live_of(rows(400, flipped=False, seed=1))
    empty_base = rows(0, flipped=False)
    name, scores = choose(empty_base, live)  # the same rows under two names
    assert scores["everything"] == scores["live"]
    assert name == "everything"


def test_windows_with_too_few_rows_to_learn_from_are_no_candidates() -> None:
    base = rows(500, flipped=False)
    names = [w.name for w in windows_of(base, live_of(rows(400, flipped=False), 380))]
    assert names == ["everything", "live"]
    few = live_of(rows(40, flipped=False))
    assert [w.name for w in windows_of(base, few)] == ["everything"]
    assert choose(base, few) == ("everything", {})


def test_a_window_with_one_class_loses_and_breaks_nothing() -> None:
    one = pa.table({"x": np.linspace(-1, 1, 400), "y": ["yes"] * 400})
    name, scores = choose(rows(500, flipped=False), live_of(one))
    assert name == "everything"
    assert np.isfinite(scores["everything"])


def test_no_judge_is_ever_learned_from() -> None:
    live = live_of(rows(1000, flipped=False), 300)
    judges = set(live.part(JUDGE)["x"].to_pylist())
    for window in windows_of(rows(10, flipped=True, seed=9), live):
        assert isinstance(window, Window)
        assert not judges & set(window.rows(live, LEARN, CHOOSE)["x"].to_pylist())
    assert set(live.judges["x"].to_pylist()) < judges
    assert live.judges.num_rows == live.part(JUDGE, since=300).num_rows


def test_windows_are_compared_with_the_columns_that_the_recipe_makes() -> None:
    """The truth is a ratio: a linear model sees it once the ratio is a column."""

    def table(n_rows: int, seed: int) -> pa.Table:
        random = np.random.default_rng(seed)
        size = np.exp(0.5 * random.normal(size=n_rows))
        x = size * np.exp(0.3 * random.normal(size=n_rows))
        return pa.table({"x": x, "size": size, "y": np.where(x > size, "yes", "no")})

    schema = Schema((SCHEMA.column("x"), Column("size", Kind.NUMBER), SCHEMA.column("y")))
    live = table(3000, 1)
    both = []
    for making in (Making(), Making(construct="auto")):
        _, scores = choose_window(
            windows_of(table(2000, 0), LiveRows(live, deal(live, schema))),
            LiveRows(live, deal(live, schema)),
            question=QUESTION,
            schema=schema,
            family="boosting",
            params={"eta": 0.2, "max_depth": 2, "rounds": 20},
            threads=1,
            making=making,
        )
        both.append(scores["everything"])
    assert both[1] < 0.8 * both[0]
