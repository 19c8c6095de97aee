from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.features.codes import encode_table
from tenfold.monitor import FeatureBins, FrozenBins, score_codes
from tenfold.profile import Profile
from tenfold.schema import Column, Kind, Schema

AGE = FeatureBins.of_numbers("age", [30.0, 50.0], 20.0, 80.0)
COLOR = FeatureBins.of_categories("color", ("blue", "green", "red"), {"red": 5, "blue": 3})
BINS = FrozenBins((AGE, COLOR))

codes = st.lists(
    st.tuples(
        st.one_of(st.just(math.nan), st.floats(allow_nan=False)),
        st.sampled_from([math.nan, -1.0, 0.0, 1.0, 2.0, 3.0]),
    ),
    max_size=40,
).map(lambda rows: np.array(rows, dtype=np.float64).reshape(-1, 2))


def plain_cell(column: FeatureBins, value: float) -> int:
    """The cell of one value, said plainly."""
    if math.isnan(value):
        return column.n_cells - 1
    if column.ordered:
        return sum(value > threshold for threshold in column.thresholds)
    known = 0 <= value < len(column.lookup)
    return column.lookup[int(value)] if known else column.n_cells - 2


@given(codes)
def test_counting_is_what_the_plain_rule_says(rows: np.ndarray) -> None:
    expected = np.zeros(BINS.n_cells, dtype=np.int64)
    for row in rows:
        for column, first, value in zip(BINS.columns, BINS.offsets, row, strict=True):
            expected[first + plain_cell(column, value)] += 1
    assert BINS.count(rows).tolist() == expected.tolist()


@given(codes, codes)
def test_counts_add_up(first: np.ndarray, second: np.ndarray) -> None:
    together = BINS.count(np.vstack([first, second]))
    assert (together == BINS.count(first) + BINS.count(second)).all()


@given(codes)
def test_every_column_counts_every_row(rows: np.ndarray) -> None:
    assert [part.sum() for part in BINS.split(BINS.count(rows))] == [len(rows)] * 2


def test_edges_are_closed_on_the_right_and_the_range_is_inside() -> None:
    counts = BINS.split(BINS.count(np.array([[v, 0.0] for v in (14.0, 30.0, 50.0, 86.0)])))[0]
    assert counts.tolist() == [0, 2, 1, 1, 0, 0]


def test_large_batches_are_counted_in_chunks() -> None:
    rows = np.column_stack([np.linspace(0, 100, 5000), np.zeros(5000)])
    halves = BINS.count(rows[:2500]) + BINS.count(rows[2500:])
    assert (BINS.count(rows) == halves).all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"codes must be \(n_rows, 2\)"):
        BINS.count(np.zeros((3, 5)))
    with pytest.raises(ValueError, match="exactly when the bins hold a score"):
        BINS.count(np.zeros((3, 2)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="exactly when the bins hold a score"):
        BINS.with_scores([[0.5], [0.7]]).count(np.zeros((3, 2)))


def test_freezing_follows_the_schema_and_the_codes_entrance() -> None:
    schema = Schema(
        (
            Column("x", Kind.NUMBER),
            Column("c", Kind.CATEGORY, domain=("a", "b")),
            Column("flag", Kind.BOOLEAN),
            Column("day", Kind.DATETIME),
        )
    )
    table = pa.table(
        {
            "x": pa.array([1.0, 2.0, None, 4.0]),
            "c": ["a", "b", "b", None],
            "flag": [True, True, False, None],
            "day": pa.array([0, 1, 2, 3], pa.timestamp("us", tz="UTC")),
        }
    )
    bins = FrozenBins.freeze(schema, Profile.from_table(table, schema))
    counts = bins.split(bins.count(encode_table(schema, table)))
    assert [column.name for column in bins.columns] == ["x", "c", "flag", "day"]
    assert counts[0][-1] == 1 and counts[0].sum() == 4
    assert counts[1].tolist() == [2, 1, 0, 0, 1]  # b, a, other, unseen, missing
    assert counts[2].tolist() == [2, 1, 0, 0, 1]  # true, false, other, unseen, missing
    assert counts[3][0] == counts[3][-2] == 0  # the reference is inside its own range


def test_scores_of_each_task_get_cells() -> None:
    value = BINS.with_scores(np.arange(100.0)[:, None])
    pair = BINS.with_scores(np.column_stack([1 - np.linspace(0, 1, 50), np.linspace(0, 1, 50)]))
    many = BINS.with_scores(np.eye(3)[[0, 1, 1, 2]])
    assert value.score is not None and value.score.ordered and value.n_cells == BINS.n_cells + 23
    assert pair.score is not None and pair.score.thresholds[-1] == pytest.approx(1.1)
    assert many.score is not None and many.score.labels[0] == "class 1"
    counted = many.split(many.count(np.zeros((2, 2)), np.eye(3)[[1, 0]]))[-1]
    assert counted.tolist() == [1, 1, 0, 0, 0, 0]


def test_scores_that_are_missing_are_counted_as_missing() -> None:
    assert np.isnan(score_codes([[math.nan, 0.1, 0.2]])).all()
    bins = BINS.with_scores([[math.nan], [math.nan]])
    assert bins.split(bins.count(np.zeros((1, 2)), [[math.nan]]))[-1].tolist() == [0, 1]


def test_json_gives_the_same_bins_back() -> None:
    for bins in (BINS, BINS.with_scores([[0.1], [0.9]]), FrozenBins(())):
        assert FrozenBins.from_dict(json.loads(json.dumps(bins.to_dict()))) == bins


def test_a_hashed_column_is_watched_for_missing_values_alone() -> None:
    """Its codes are hashes: no order, no list of known ones, so nothing else can move."""
    schema = Schema((Column("ticket", Kind.IDENTIFIER), Column("age", Kind.NUMBER)))
    table = pa.table({"ticket": ["a", "b", None], "age": [1.0, 2.0, 3.0]})
    bins = FrozenBins.freeze(schema, Profile.from_table(table, schema))
    assert bins.features[0].labels == ("value", "missing")
    live = pa.table({"ticket": ["z", None, "never seen"], "age": [1.0, 2.0, 3.0]})
    assert bins.split(bins.count(encode_table(schema, live)))[0].tolist() == [2, 1]


def test_a_text_is_binned_by_its_number_of_words() -> None:
    """Its counts stand behind the features in the codes and have no cells."""
    schema = Schema((Column("note", Kind.TEXT), Column("age", Kind.NUMBER)))
    notes = [" ".join(["word"] * k) for k in range(1, 41)]
    table = pa.table({"note": [*notes, None], "age": [30.0] * 41})
    bins = FrozenBins.freeze(schema, Profile.from_table(table, schema))
    assert bins.features[0].labels[-1] == "missing"
    assert bins.features[0].n_cells > 15
    live = pa.table({"note": ["word " * 500, "word", None], "age": [30.0] * 3})
    cells = bins.split(bins.count(encode_table(schema, live)))[0]
    assert cells.sum() == 3
    assert cells[-1] == 1
    assert cells[bins.features[0].outside[1]] == 1
