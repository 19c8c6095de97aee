"""Columns as the Arrow type of their kind."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from tenfold.data.convert import convert
from tenfold.schema import Kind

MIDNIGHT = dt.datetime(2014, 9, 16, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("column", "kind", "values", "bad"),
    [
        (["1.5", "?", "x"], Kind.NUMBER, [1.5, None, None], [2]),
        (["1", "2.0", "2.5"], Kind.INTEGER, [1, 2, None], [2]),
        (["yes", "FALSE", "dunno"], Kind.BOOLEAN, [True, False, None], [2]),
        (["20140916T000000", "-", "soon"], Kind.DATETIME, [MIDNIGHT, None, None], [2]),
        ([" a", "NA", "b"], Kind.CATEGORY, ["a", None, "b"], []),
        ([1, None, 3], Kind.NUMBER, [1.0, None, 3.0], []),
        ([1.0, 2.5, float("nan")], Kind.INTEGER, [1, None, None], [1]),
        ([float("inf"), 1.0], Kind.NUMBER, [None, 1.0], [0]),
        ([Decimal("1.25")], Kind.NUMBER, [1.25], []),
        ([0, 1, 2], Kind.BOOLEAN, [False, True, None], [2]),
        ([True, None], Kind.INTEGER, [1, None], []),
        ([True, None], Kind.BOOLEAN, [True, None], []),
        ([True, False], Kind.CATEGORY, ["true", "false"], []),
        ([1.0, 2.5, float("nan")], Kind.CATEGORY, ["1", "2.5", None], []),
        ([dt.datetime(2014, 9, 16)], Kind.DATETIME, [MIDNIGHT], []),
        ([dt.date(2014, 9, 16)], Kind.DATETIME, [MIDNIGHT], []),
        ([dt.date(2014, 9, 16), None], Kind.NUMBER, [None, None], [0]),
        ([20140916, None], Kind.DATETIME, [None, None], [0]),
        ([None, None], Kind.NUMBER, [None, None], []),
    ],
)
def test_values_and_bad_cells(
    column: list[object], kind: Kind, values: list[object], bad: list[int]
) -> None:
    done = convert(pa.array(column), kind)
    assert done.array.to_pylist() == values
    assert done.bad.nonzero()[0].tolist() == bad


def test_unsigned_beyond_the_exact_range_is_bad() -> None:
    done = convert(pa.array([2**64 - 1, 3], pa.uint64()), Kind.INTEGER)
    assert done.array.to_pylist() == [None, 3]


def test_the_input_is_not_changed_and_no_rows_are_fine() -> None:
    column = pa.array([" 1", "x"])
    before = column.to_pylist()
    convert(column, Kind.NUMBER)
    assert column.to_pylist() == before
    for kind in Kind:
        assert len(convert(pa.array([], pa.string()), kind).array) == 0
