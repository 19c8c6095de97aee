from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import DataError
from tenfold.schema import Column, Kind, Role, Schema
from tenfold_jobs.scenarios import CONCEPT_SHARE, make_stream, rows_of

CLASSES = Schema(
    (
        Column("age", Kind.INTEGER),
        Column("pay", Kind.NUMBER),
        Column("job", Kind.CATEGORY, domain=("a", "b")),
        Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")),
    )
)
NUMBERS = Schema((*CLASSES.columns[:3], Column("y", Kind.NUMBER, Role.TARGET)))


def table(n_rows: int = 200, *, numbers: bool = False) -> pa.Table:
    random = np.random.default_rng(0)
    return pa.table(
        {
            "age": random.integers(18, 90, n_rows),
            "pay": random.normal(size=n_rows),
            "job": random.choice(["a", "b"], n_rows),
            "y": random.normal(size=n_rows) if numbers else random.choice(["no", "yes"], n_rows),
        }
    )


@given(n_rows=st.integers(1, 500), seed=st.integers(0, 5))
def test_rows_are_used_evenly_and_labels_stay_true(n_rows: int, seed: int) -> None:
    source = table(50)
    truth = {(r["age"], r["pay"]): r["y"] for r in source.to_pylist()}
    stream = make_stream(source, CLASSES, scenario="none", n_rows=n_rows, seed=seed)
    rows = stream.rows.to_pylist()
    assert len(rows) == len(stream.labels) == n_rows
    assert [truth[r["age"], r["pay"]] for r in rows] == stream.labels
    uses = np.unique([r["pay"] for r in rows], return_counts=True)[1]
    assert uses.max() - (uses.min() if n_rows >= 50 else 0) <= 1


def test_the_same_seed_gives_the_same_stream() -> None:
    one, two, other = (
        make_stream(table(), CLASSES, scenario="covariate", n_rows=90, seed=seed)
        for seed in (1, 1, 2)
    )
    assert one.rows.equals(two.rows)
    assert not one.rows.equals(other.rows)


def test_covariate_moves_rows_and_no_label() -> None:
    source = table(2000)
    truth = {(r["age"], r["pay"]): r["y"] for r in source.to_pylist()}
    stream = make_stream(source, CLASSES, scenario="covariate", n_rows=2000, seed=0)
    moved = np.mean(stream.rows["pay"].to_numpy()) - np.mean(source["pay"].to_numpy())
    assert 0.5 < moved / np.std(source["pay"].to_numpy()) < 1.5
    assert [truth[r["age"], r["pay"]] for r in stream.rows.to_pylist()] == stream.labels


def test_concept_moves_labels_and_no_row() -> None:
    plain = make_stream(table(1000), CLASSES, scenario="none", n_rows=1000, seed=3)
    changed = make_stream(table(1000), CLASSES, scenario="concept", n_rows=1000, seed=3)
    assert plain.rows.equals(changed.rows)
    differs = np.array(plain.labels) != np.array(changed.labels)
    assert differs.mean() == pytest.approx(CONCEPT_SHARE, abs=0.01)
    high = changed.rows["pay"].to_numpy()
    assert high[differs].min() > high[~differs].max()
    assert changed.text.startswith("no and yes trade names where pay is at least")


def test_several_classes_trade_names_and_equal_rows_stay_equal() -> None:
    names = ("a", "b", "c", "d", "e")
    schema = Schema((*CLASSES.columns[:3], Column("y", Kind.CATEGORY, Role.TARGET, domain=names)))
    source = table(100).set_column(3, "y", pa.array([names[n % 5] for n in range(100)]))
    stream = make_stream(source, schema, scenario="concept", n_rows=500, seed=0)
    truth = {r["pay"]: r["y"] for r in source.to_pylist()}
    pairs = {
        (truth[p], y) for p, y in zip(stream.rows["pay"].to_pylist(), stream.labels, strict=True)
    }
    assert pairs == {("a", "b"), ("b", "c"), ("c", "a"), ("d", "d"), ("e", "e")}
    assert stream.text == "a, b, c trade names"


def test_concept_for_numbers_shifts_by_a_standard_deviation() -> None:
    source = table(500, numbers=True)
    plain = make_stream(source, NUMBERS, scenario="none", n_rows=500, seed=3)
    changed = make_stream(source, NUMBERS, scenario="concept", n_rows=500, seed=3)
    shift = np.array(changed.labels) - np.array(plain.labels)
    assert set(np.round(shift[shift > 0] / np.std(source["y"].to_numpy()), 6)) == {1.0}
    assert np.mean(shift > 0) == pytest.approx(CONCEPT_SHARE, abs=0.01)


def test_broken_breaks_columns_as_it_says() -> None:
    stream = make_stream(table(), CLASSES, scenario="broken", n_rows=100, seed=0)
    assert stream.text == "pay empty; job an unknown word"
    assert stream.rows["pay"].null_count == 100
    assert set(stream.rows["job"].to_pylist()) == {"?unknown?"}


def test_what_cannot_be_replayed_is_refused() -> None:
    bare = Schema(CLASSES.columns[:3])
    with pytest.raises(DataError, match="clustering projects have none"):
        make_stream(table(), bare, scenario="concept", n_rows=1, seed=0)
    assert make_stream(table(), bare, scenario="broken", n_rows=2, seed=0).labels == [None, None]
    with pytest.raises(DataError, match="no rows to replay"):
        make_stream(table(0), CLASSES, scenario="none", n_rows=1, seed=0)
    words = Schema(CLASSES.columns[2:])
    with pytest.raises(DataError, match="the table has none"):
        make_stream(table(), words, scenario="concept", n_rows=1, seed=0)


def test_moments_become_text_and_nothing_else_changes() -> None:
    moment = datetime.datetime(2014, 9, 16, tzinfo=datetime.UTC)
    rows = list(rows_of(pa.table({"at": [moment, None], "n": [1, 2]})))
    assert rows == [{"at": "2014-09-16T00:00:00+00:00", "n": 1}, {"at": None, "n": 2}]
