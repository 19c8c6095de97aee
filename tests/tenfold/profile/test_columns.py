from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from tenfold.errors import DataError
from tenfold.profile.columns import class_codes, column_values, one_array, target_classes
from tenfold.profile.target import MAX_CLASSES, OTHER_CLASS
from tenfold.schema import Column, Kind


def test_values_of_each_number_kind() -> None:
    moment = dt.datetime(1970, 1, 2, 0, 0, 0, 500_000, tzinfo=dt.UTC)
    cases = [
        (pa.array([1.5, None]), [1.5, np.nan]),
        (pa.array([2**60, None]), [2.0**60, np.nan]),
        (pa.array([True, False, None]), [1.0, 0.0, np.nan]),
        (pa.array([moment, None], pa.timestamp("us", tz="UTC")), [86_400.5, np.nan]),
        (pa.array([], pa.float64()), []),
    ]
    for array, expected in cases:
        values = column_values(array)
        assert values.dtype == np.float64
        assert np.array_equal(values, expected, equal_nan=True)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="column 'b' must be in the table"):
        one_array(pa.table({"a": [1]}), "b")


def test_chunks_become_one_array() -> None:
    table = pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2]})])
    assert one_array(table, "a").to_pylist() == [1, 2]


def test_more_classes_than_are_told_apart_share_the_last() -> None:
    domain = tuple(f"k{i:04d}" for i in range(MAX_CLASSES + 5))
    classes = target_classes(Column("y", Kind.CATEGORY, domain=domain))
    assert len(classes) == MAX_CLASSES and classes[-1] == OTHER_CLASS
    codes = class_codes(pa.array([domain[0], domain[-1], None]), classes)
    assert codes.tolist() == [0, MAX_CLASSES - 1, -1]


def test_a_class_target_needs_its_classes() -> None:
    with pytest.raises(DataError, match="target 'y' is a category: its column must carry"):
        target_classes(Column("y", Kind.CATEGORY))
