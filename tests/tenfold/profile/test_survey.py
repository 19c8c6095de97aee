"""Surveys merge like profiles: counts and the sample exactly, in any order and any cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.errors import ArtifactError, DataError
from tenfold.profile.codec import decode, encode
from tenfold.profile.course import Axis
from tenfold.profile.distinct import hash_numbers
from tenfold.profile.runs import RUN_ROWS, Runs, Windows
from tenfold.profile.sample import SAMPLE_ROWS, Sample, hash_limit
from tenfold.profile.survey import MAX_CHARACTERS, MAX_SURVEYED, Survey, surveyed_columns
from tenfold.schema import Column, Kind, Role, Schema

MakeTable = Callable[..., pa.Table]


def survey(table: pa.Table, schema: Schema, *, start: int = 0, axis: Axis | None = None) -> Survey:
    positions = np.arange(start, start + table.num_rows)
    return Survey.from_table(
        table,
        schema,
        axis=axis or Axis.of_rows(100, n_slices=7),
        hashes=hash_numbers(positions.astype(np.float64)),
        positions=positions,
        windows=Windows((0, 90)),
    )


def exact_parts(found: Survey) -> list[Any]:
    course = found.course
    return [
        found.n_rows,
        found.absent.tolist(),
        dict(found.later),
        course.rows.tolist(),
        course.low.tolist(),
        course.high.tolist(),
        [stats.n.tolist() for stats in course.numbers.values()],
        [stats.counts.tolist() for stats in course.categories.values()],
        found.sample.hashes.tolist(),
        found.sample.positions.tolist(),
        found.sample.table.to_pylist(),
        found.runs.positions.tolist(),
        found.runs.table.to_pylist(),
    ]


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    seed=st.integers(0, 999),
    shuffle=st.randoms(),
)
def test_any_order_and_any_tree_gives_the_survey_of_the_whole(
    class_schema: Schema, make_table: MakeTable, sizes: list[int], seed: int, shuffle: Any
) -> None:
    table = make_table(class_schema, sum(sizes), seed=seed)
    starts = np.cumsum([0, *sizes])
    parts = [
        survey(table.slice(int(at), size), class_schema, start=int(at))
        for at, size in zip(starts, sizes, strict=False)
    ]
    whole = survey(table, class_schema)
    assert Survey.merge_all(parts).to_bytes() == Survey.merge_all(list(parts)).to_bytes()
    shuffle.shuffle(parts)
    stepwise = parts[0]
    for part in parts[1:]:
        stepwise = part.merge(stepwise)
    for merged in (Survey.merge_all(parts), stepwise):
        assert exact_parts(merged) == exact_parts(whole)
        for name, stats in whole.course.numbers.items():
            found = merged.course.numbers[name]
            assert found.mean == pytest.approx(stats.mean, rel=1e-9, abs=1e-9)
            assert found.m2 == pytest.approx(stats.m2, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("n_rows", [0, 1, 300])
@pytest.mark.parametrize("which", ["class_schema", "number_schema", "bare_schema"])
def test_it_survives_its_bytes(
    request: pytest.FixtureRequest, make_table: MakeTable, which: str, n_rows: int
) -> None:
    schema: Schema = request.getfixturevalue(which)
    before = survey(make_table(schema, n_rows), schema)
    after = Survey.from_bytes(before.to_bytes())
    assert exact_parts(after) == exact_parts(before)
    assert after.to_bytes() == before.to_bytes()
    assert (after.axis, after.schema) == (before.axis, schema)


def test_bytes_that_are_no_survey_are_refused(class_schema: Schema, make_table: MakeTable) -> None:
    data = survey(make_table(class_schema, 20), class_schema).to_bytes()
    with pytest.raises(ArtifactError, match="must be whole"):
        Survey.from_bytes(data[:-3])
    head, arrays = decode(data)
    with pytest.raises(ArtifactError, match="must have format 'survey 1', this one has 'survey 9'"):
        Survey.from_bytes(encode(head | {"format": "survey 9"}, arrays))
    with pytest.raises(ArtifactError, match="must hold all its parts"):
        Survey.from_bytes(encode(head, {k: v for k, v in arrays.items() if k != "absent"}))


def test_a_survey_of_before_the_runs_is_read(class_schema: Schema, make_table: MakeTable) -> None:
    before = survey(make_table(class_schema, 20), class_schema)
    head, arrays = decode(before.to_bytes())
    old = {name: array for name, array in arrays.items() if "run" not in name}
    after = Survey.from_bytes(encode(head, old))
    assert after.runs.n_rows == 0
    assert after.sample.table.equals(before.sample.table)
    assert Survey.merge_all([after, before]).runs.n_rows == 20


@pytest.mark.parametrize("n_records", [SAMPLE_ROWS + 1, 50_003, 10**7])
def test_windows_lie_apart_from_the_first_record_to_the_last(n_records: int) -> None:
    windows = Windows.of(n_records)
    ends = [start + RUN_ROWS - 1 for start in windows.starts]
    assert (windows.starts[0], ends[-1]) == (0, n_records - 1)
    assert np.diff(windows.starts).min() > 2 * RUN_ROWS
    at = np.array([ends[3], ends[3] + 1, windows.starts[4] - 1, windows.starts[4]])
    assert windows.holds(at).tolist() == [True, False, False, True]
    rows = Runs.from_table(pa.table({"p": at}), positions=at, windows=windows)
    assert rows.same_run(np.array([0, 1])).tolist() == [False]


def test_missing_together_is_what_pandas_counts(
    number_schema: Schema, make_table: MakeTable
) -> None:
    table = make_table(number_schema, 400)
    gone = table.to_pandas()[[c.name for c in surveyed_columns(number_schema)]].isna().astype(int)
    assert survey(table, number_schema).absent.tolist() == (gone.T @ gone).to_numpy().tolist()


def test_the_course_is_what_pandas_groups(number_schema: Schema, make_table: MakeTable) -> None:
    table = make_table(number_schema, 90)
    frame = table.to_pandas()
    course = survey(table, number_schema, axis=Axis.of_rows(90, n_slices=9)).course
    for name in ("age", "pay", "cost"):
        groups = frame[name].astype("float64").groupby(np.arange(90) // 10)
        assert course.numbers[name].n.tolist() == groups.count().tolist()
        assert course.numbers[name].mean == pytest.approx(groups.mean().to_numpy())
        spread = groups.var(ddof=0).to_numpy() * groups.count().to_numpy()
        assert course.numbers[name].m2 == pytest.approx(spread)
    counts = frame.groupby(np.arange(90) // 10)["city"].value_counts().unstack(fill_value=0)
    assert course.categories["city"].counts[:, :4].tolist() == counts.to_numpy().tolist()


def _dated(n_rows: int) -> tuple[Schema, pa.Table]:
    schema = Schema((
        Column("at", Kind.DATETIME, Role.TIME),
        Column("closed", Kind.DATETIME),
        Column("opened", Kind.DATETIME),
        Column("x", Kind.NUMBER),
    ))  # fmt: skip
    at = np.random.default_rng(0).permutation(n_rows) * 86_400_000_000
    closed = pa.array(at + 1, mask=np.arange(n_rows) % 4 == 0)
    columns = {"at": at, "closed": closed, "opened": at - 1, "x": np.arange(float(n_rows))}
    arrays = [pa.array(columns[f.name]).cast(f.type) for f in schema.arrow_schema()]
    return schema, pa.table(arrays, schema=schema.arrow_schema())


def test_dates_later_than_the_time_of_the_row_are_counted() -> None:
    schema, table = _dated(100)
    axis = Axis.of_times("at", np.arange(100) * 86_400.0)
    assert survey(table, schema, axis=axis).later == {"closed": (75, 75), "opened": (100, 0)}


def test_the_course_goes_along_the_time_whatever_the_order_of_rows() -> None:
    schema, table = _dated(240)
    course = survey(
        table, schema, axis=Axis.of_times("at", np.arange(240) * 86_400.0, n_slices=24)
    ).course
    assert course.rows.tolist() == [10] * 24
    assert course.low.tolist() == [86_400.0 * 10 * i for i in range(24)]
    assert course.high.tolist() == [86_400.0 * (10 * i + 9) for i in range(24)]


def test_equal_times_share_a_slice() -> None:
    axis = Axis.of_times("at", np.array([1.0] * 50 + [2.0] * 50), n_slices=10)
    assert axis.edges == (2.0,)
    assert Axis.of_times("at", np.ones(5)).edges == ()
    assert Axis.of_times("at", np.zeros(0)).n_slices == 1


def test_other_axes_are_refused(class_schema: Schema, make_table: MakeTable) -> None:
    table = make_table(class_schema, 5)
    one, two = (survey(table, class_schema, axis=Axis.of_rows(n)) for n in (5, 6))
    with pytest.raises(DataError, match="must have one schema and one axis"):
        one.merge(two)


def test_the_sample_is_bounded_and_of_the_smallest_hashes() -> None:
    n_rows = SAMPLE_ROWS * 20
    hashes = hash_numbers(np.arange(n_rows, dtype=np.float64))
    positions = np.arange(n_rows)
    table = pa.table({"x": positions})
    whole = Sample.from_table(table, hashes=hashes, positions=positions)
    limited = Sample.from_table(table, hashes=hashes, positions=positions, limit=hash_limit(n_rows))
    expected = np.sort(np.argsort(hashes)[:SAMPLE_ROWS])
    for found in (whole, limited):
        assert found.positions.tolist() == found.table["x"].to_pylist() == expected.tolist()
    assert abs(float(np.mean(expected)) / n_rows - 0.5) < 0.02


def test_a_wide_table_is_surveyed_in_part() -> None:
    schema = Schema(tuple(Column(f"x{i}", Kind.NUMBER) for i in range(MAX_SURVEYED + 50)))
    assert len(surveyed_columns(schema)) == MAX_SURVEYED


def test_pages_of_prose_are_not_sampled() -> None:
    schema = Schema((Column("words", Kind.TEXT), Column("c", Kind.CATEGORY)))
    long = "ä" * 5_000
    table = pa.table({"words": [long + str(i) for i in range(50)] + [None], "c": [long] * 51})
    found = survey(table, schema)
    assert found.sample.table["words"].to_pylist() == [""] * 50 + [None]
    assert {len(text) for text in found.sample.table["c"].to_pylist()} == {MAX_CHARACTERS}
    assert found.absent.tolist() == [[1, 0], [0, 0]]
    assert len(found.to_bytes()) < 40_000
