from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tenfold.project import Project
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.training.question import make_question
from tenfold_jobs.windows import MIN_WINDOW_ROWS, Window, candidate_windows, choose_window

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


def choose(base: pa.Table, live: pa.Table, change: int | None) -> tuple[str, dict[str, float]]:
    windows = candidate_windows(base, live, change=change)
    chosen = choose_window(
        windows, question=QUESTION, schema=SCHEMA, family="linear", params={"c": 1.0}, threads=1
    )
    return chosen.window.name, chosen.scores


def test_after_a_change_of_the_world_only_the_rows_since_then_are_kept() -> None:
    live = pa.concat_tables([rows(600, flipped=False), rows(300, flipped=True, seed=1)])
    name, scores = choose(rows(2000, flipped=False, seed=2), live, 600)
    assert name == "since-change"
    assert scores["since-change"] < scores["live"] < scores["everything"]


def test_without_a_change_every_window_is_as_good_and_more_rows_win_ties() -> None:
    live = rows(400, flipped=False, seed=1)
    _, scores = choose(rows(4000, flipped=False, seed=2), live, 200)
    assert max(scores.values()) - min(scores.values()) < 0.1


def test_windows_that_are_too_small_are_no_candidates() -> None:
    base, live = rows(500, flipped=False), rows(MIN_WINDOW_ROWS + 20, flipped=False)
    assert [w.name for w in candidate_windows(base, live, change=50)] == ["everything", "live"]
    few = live.slice(0, MIN_WINDOW_ROWS - 1)
    assert [w.name for w in candidate_windows(base, few, change=None)] == ["everything"]
    assert choose(base, few, None) == ("everything", {})


def test_a_window_with_one_class_loses_and_breaks_nothing() -> None:
    base = rows(500, flipped=False)
    one = pa.table({"x": np.linspace(0, 1, 150), "y": ["yes"] * 150})
    name, scores = choose(base, one, None)
    assert name in scores
    assert not np.isnan(scores[name])


@pytest.mark.parametrize("n_live", [100, 333])
def test_live_rows_are_at_the_end_of_every_window(n_live: int) -> None:
    base, live = rows(200, flipped=False), rows(n_live, flipped=True)
    for window in candidate_windows(base, live, change=None):
        assert isinstance(window, Window)
        tail = window.table.slice(window.table.num_rows - window.n_live)
        assert tail.equals(live.slice(live.num_rows - window.n_live))
