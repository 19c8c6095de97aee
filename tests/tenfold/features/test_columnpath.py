"""Columns give the codes that rows give, whatever they come as, and refuse in the same words."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import RequestError
from tenfold.features import RowEncoder
from tenfold.features.columnpath import ColumnEncoder, Columns
from tenfold.features.readers import MAX_FAULTS
from tenfold.schema import Column, Kind, Role, Schema
from tenfold.testing.mixed import json_rows, wide_schema, wide_table


def codes_of(kind: Kind, cells: Any) -> list[float]:
    encoder = ColumnEncoder(Schema((Column("x", kind),)))
    codes: list[float] = encoder.encode(Columns.of({"x": cells}))[:, 0].tolist()
    return codes


def row_codes(kind: Kind, values: list[Any]) -> list[float]:
    encoder = RowEncoder(Schema((Column("x", kind),)))
    codes: list[float] = encoder.encode_rows([{"x": value} for value in values])[:, 0].tolist()
    return codes


def test_a_table_gives_the_codes_that_its_rows_give() -> None:
    schema, table = wide_schema(), wide_table(50)
    rows = json_rows(schema, table)
    expected = RowEncoder(schema).encode_rows(rows).tobytes()
    encoder = ColumnEncoder(schema)
    lists = {column.name: [row[column.name] for row in rows] for column in schema.features}
    arrow = {column.name: table[column.name] for column in schema.features}
    assert encoder.encode(Columns.of(lists)).tobytes() == expected
    assert encoder.encode(Columns.of(arrow)).tobytes() == expected


@given(st.lists(st.floats(width=32, allow_infinity=False), min_size=1))
def test_arrays_of_any_width_are_the_numbers_they_hold(values: list[float]) -> None:
    wide = np.array(values)
    plain = [None if value != value else value for value in values]
    expected = row_codes(Kind.NUMBER, plain)
    for cells in (wide, wide.astype("<f4"), pa.chunked_array([wide]), pa.chunked_array(
        [pa.array(wide, from_pandas=True).cast(pa.float32())]
    )):  # fmt: skip
        np.testing.assert_array_equal(codes_of(Kind.NUMBER, cells), expected)


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1))
def test_whole_numbers_are_rounded_as_rows_round_them(values: list[int | None]) -> None:
    expected = row_codes(Kind.INTEGER, values)
    arrow = pa.chunked_array([pa.array(values, pa.int64())])
    np.testing.assert_array_equal(codes_of(Kind.INTEGER, arrow), expected)
    if None not in values:
        cells = np.array(values, np.int64)
        np.testing.assert_array_equal(codes_of(Kind.INTEGER, cells), expected)


MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))


@given(st.lists(MOMENTS | st.none(), min_size=1))
def test_times_are_the_same_in_every_unit(values: list[datetime | None]) -> None:
    aware = [None if v is None else v.replace(tzinfo=UTC) for v in values]
    expected = row_codes(Kind.DATETIME, [None if v is None else v.isoformat() for v in aware])
    for zone in (None, "UTC", "Asia/Tokyo"):
        kind = pa.timestamp("us", zone)
        source = aware if kind.tz else values
        cells = pa.chunked_array([pa.array(source, kind)])
        np.testing.assert_array_equal(codes_of(Kind.DATETIME, cells), expected)
    for unit, step in (("s", timedelta(seconds=1)), ("ms", timedelta(milliseconds=1))):
        cut = [None if v is None else v - (v - datetime.min) % step for v in values]
        cells = pa.chunked_array([pa.array(cut, pa.timestamp(unit))])
        texts = [None if v is None else v.isoformat() for v in cut]
        np.testing.assert_array_equal(
            codes_of(Kind.DATETIME, cells), row_codes(Kind.DATETIME, texts)
        )


def test_nanoseconds_are_cut_down_to_microseconds_on_both_sides_of_1970() -> None:
    cells = pa.chunked_array([pa.array([1_999, -1, None], pa.timestamp("ns"))])
    assert codes_of(Kind.DATETIME, cells)[:2] == [1e-6, -1e-6]


def test_dates_are_their_midnight() -> None:
    days = [date(2031, 5, 4), None]
    for kind in (pa.date32(), pa.date64()):
        codes = codes_of(Kind.DATETIME, pa.chunked_array([pa.array(days, kind)]))
        assert codes[0] == datetime(2031, 5, 4, tzinfo=UTC).timestamp()
        assert np.isnan(codes[1])


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([2**62], pa.timestamp("s")),
        pa.array([-(2**62)], pa.timestamp("ms")),
        pa.array([2**31 - 1], pa.int32()).cast(pa.date32()),
        pa.array([2**62], pa.int64()).cast(pa.timestamp("us")),
    ],
    ids=str,
)
def test_times_outside_the_calendar_are_refused(cells: pa.Array) -> None:
    with pytest.raises(RequestError, match="years 1 to 9999"):
        codes_of(Kind.DATETIME, pa.chunked_array([cells]))


def test_dictionaries_that_differ_between_batches_are_one_column() -> None:
    schema = Schema((Column("x", Kind.CATEGORY, domain=("a", "b", "c")),))
    batches = [pa.array(["b", "a"]), pa.array(["c", None]), pa.array([], pa.string())]
    cells = pa.chunked_array([one.dictionary_encode() for one in batches])
    codes = ColumnEncoder(schema).encode(Columns.of({"x": cells}))[:, 0]
    np.testing.assert_array_equal(codes, [1.0, 0.0, 2.0, np.nan])


def test_faults_come_by_row_and_are_bounded() -> None:
    schema = Schema((Column("a", Kind.NUMBER), Column("b", Kind.NUMBER)))
    cells = {"a": ["x"] * 30, "b": [*[1.0] * 29, "y"]}
    with pytest.raises(RequestError, match=r"row 0, column 'a'.*and 19 or more") as caught:
        ColumnEncoder(schema).encode(Columns.of(cells))
    assert len(caught.value.items) == MAX_FAULTS
    with pytest.raises(RequestError, match="row 29, column 'b'"):
        ColumnEncoder(schema).encode(Columns.of(cells | {"a": [1.0] * 30}))


@pytest.mark.parametrize(
    ("kind", "cells", "words"),
    [
        (Kind.NUMBER, np.array([np.inf]), "inf is not finite"),
        (Kind.NUMBER, pa.array([-np.inf]), "-inf is not finite"),
        (Kind.INTEGER, np.array([1.5]), "1.5 is not whole"),
        (Kind.NUMBER, np.array([True]), "true is a boolean"),
        (Kind.BOOLEAN, np.array([1.0]), "1.0 is not a boolean"),
        (Kind.BOOLEAN, np.array([1], "u1"), "1 is not a boolean"),
        (Kind.CATEGORY, np.array([1.0]), "1.0 is not text"),
        (Kind.DATETIME, np.array([1.0]), "1.0 is not a time"),
        (Kind.NUMBER, pa.array(["l"]), "'l' is not a number; send a number"),
        (Kind.NUMBER, pa.array(["l"]).dictionary_encode(), "'l' is not a number; send a number"),
        (Kind.NUMBER, pa.array([date(2031, 1, 1)]), "a date32[day] is no number"),
        (Kind.INTEGER, np.array([1e17]), "is too large for a whole number"),
        (Kind.INTEGER, np.array([2**64 - 1], np.uint64), "is too large for a whole number"),
        (Kind.INTEGER, pa.array([2**63], pa.uint64()), "is too large for a whole number"),
    ],
)
def test_wrong_arrays_are_refused_in_the_readers_words(kind: Kind, cells: Any, words: str) -> None:
    arrow = pa.chunked_array([cells]) if isinstance(cells, pa.Array) else cells
    with pytest.raises(RequestError, match="row 0, column 'x'") as caught:
        codes_of(kind, arrow)
    assert words in str(caught.value)


def test_names_are_those_of_the_model() -> None:
    schema = Schema(
        (
            Column("a", Kind.NUMBER),
            Column("key", Kind.TEXT, Role.KEY),
            Column("y", Kind.NUMBER, Role.TARGET),
        )
    )
    encoder = ColumnEncoder(schema)
    assert encoder.encode(Columns.of({"a": [1], "key": [object()]})).tolist() == [[1.0]]
    one = {"a": [1]}
    for cells, name in (({"key": [1]}, "a"), (one | {"y": [1]}, "y"), (one | {"b": [1]}, "b")):
        with pytest.raises(RequestError) as caught:
            encoder.encode(Columns.of(cells))
        assert [item["column"] for item in caught.value.items] == [name]


def test_nothing_is_changed_and_firsts_are_plain_values() -> None:
    values = np.array([1.0, np.nan])
    arrow = pa.chunked_array([pa.array(["u", "v"])])
    columns = Columns.of({"a": values, "b": arrow, "c": [7, 8]})
    schema = Schema((Column("a", Kind.NUMBER), Column("b", Kind.TEXT), Column("c", Kind.INTEGER)))
    ColumnEncoder(schema).encode(columns)
    assert columns.first(["a", "b", "c", "d"]) == {"a": 1.0, "b": "u", "c": 7}
    assert columns.texts("b") == ["u", "v"]
    assert columns.texts("d") == [None, None]
    np.testing.assert_array_equal(values, [1.0, np.nan])
