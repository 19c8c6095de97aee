from __future__ import annotations

from datetime import date, datetime
from functools import reduce
from itertools import permutations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.align import AlignedShard, Alignment, align, common_type
from tenfold.data.source import TableShard
from tenfold.errors import DataError

TYPES = [
    pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(9, 2),
    pa.bool_(), pa.string(), pa.large_string(), pa.date32(), pa.timestamp("ns"),
    pa.timestamp("us", tz="UTC"), pa.null(),
]  # fmt: skip


@given(st.lists(st.sampled_from(TYPES), min_size=3, max_size=3))
def test_a_common_type_does_not_depend_on_the_order(kinds: list[pa.DataType]) -> None:
    assert len({str(reduce(common_type, order)) for order in permutations(kinds)}) == 1


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        (pa.int32(), pa.int64(), "int64"),
        (pa.uint64(), pa.int8(), "double"),
        (pa.int64(), pa.float32(), "double"),
        (pa.date32(), pa.timestamp("s"), "timestamp[us]"),
        (pa.date32(), pa.timestamp("s", tz="UTC"), "timestamp[us, tz=UTC]"),
        (pa.int64(), pa.string(), "string"),
        (pa.null(), pa.int8(), "int8"),
    ],
)
def test_the_smallest_type_that_holds_both(
    first: pa.DataType, second: pa.DataType, common: str
) -> None:
    assert str(common_type(first, second)) == common


def test_tables_that_drifted_become_one() -> None:
    tables = {
        "a": pa.table({"id": pa.array([1, 2], pa.int32()), "when": [date(2031, 1, 2)] * 2}),
        "b": pa.table({"extra": ["x"], "id": [2.5], "when": [datetime(2031, 1, 2, 3)]}),
        "c": pa.table({"id": ["7"]}),
    }
    made = Alignment.of({name: table.schema for name, table in tables.items()})
    whole = pa.concat_tables([align(table, made) for table in tables.values()])
    assert whole.column_names == ["id", "when", "extra"]
    assert whole["id"].to_pylist() == ["1", "2", "2.5", "7"]
    assert whole["when"].to_pylist() == [
        *[datetime(2031, 1, 2)] * 2, datetime(2031, 1, 2, 3), None,
    ]  # fmt: skip
    assert [f"{c['part']}: {c['column']} {c['change']}" for c in made.changes] == [
        "a: id from int32 to string",
        "a: when from date32[day] to timestamp[us]",
        "a: extra is not there",
        "b: id from double to string",
        "c: when is not there",
        "c: extra is not there",
    ]


def test_what_did_not_drift_is_left_alone() -> None:
    table = pa.table({"a": [1], "b": ["x"]})
    made = Alignment.of({"one": table.schema, "two": table.schema})
    assert made.changes == ()
    assert align(table, made) is table
    block = AlignedShard(TableShard(table), made, "one").read()
    assert (block.table, block.source) == (table, "one")


def test_nested_columns_are_refused() -> None:
    with pytest.raises(DataError, match="flat columns"):
        Alignment.of({"a": pa.schema([("x", pa.list_(pa.int8()))])})
