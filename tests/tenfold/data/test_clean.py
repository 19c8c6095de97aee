"""Cleaning by a schema."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tenfold.data.clean import PROBLEMS, Rules, clean_block, clean_table
from tenfold.data.source import RawBlock, Reject
from tenfold.errors import DataError
from tenfold.schema import Column, Kind, Role, Schema

SCHEMA = Schema(
    (
        Column("age", Kind.INTEGER),
        Column("city", Kind.CATEGORY, domain=("Bonn", "Ulm")),
        Column("note", Kind.NUMBER, Role.IGNORED),
        Column("y", Kind.CATEGORY, Role.TARGET, domain=("no", "yes")),
    )
)


def _block(columns: dict[str, list[str]], rejects: tuple[Reject, ...] = ()) -> RawBlock:
    table = pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})
    n_records = table.num_rows + len(rejects)
    positions = np.setdiff1d(np.arange(n_records), [reject.position for reject in rejects])
    return RawBlock(table, positions, n_records, rejects)


def test_every_row_stays_and_the_schema_gives_order_and_types() -> None:
    raw = pa.table({"y": ["yes", "?"], "extra": ["1", "2"], "city": ["Rom ", "Ulm"], "age": [4, 5]})
    before = raw.to_pylist()
    table, problems = clean_table(raw, SCHEMA)
    assert table.schema.equals(SCHEMA.arrow_schema())
    assert table.to_pylist() == [
        {"age": 4, "city": "Rom", "note": None, "y": "yes"},
        {"age": 5, "city": "Ulm", "note": None, "y": None},
    ]
    assert problems.schema.equals(PROBLEMS)
    assert problems.num_rows == 0
    assert raw.to_pylist() == before


def test_bad_cells_become_null_and_are_told() -> None:
    raw = pa.table({"age": ["x", "7"], "city": ["Ulm", "Ulm"], "y": ["maybe", "no"]})
    table, problems = clean_table(raw, SCHEMA)
    assert table["age"].to_pylist() == [None, 7]
    assert table["y"].to_pylist() == [None, "no"]
    assert problems.drop_columns(["source"]).to_pylist() == [
        {"position": 1, "column": "age", "value": "x", "reason": "is not a whole number"},
        {"position": 1, "column": "y", "value": "maybe", "reason": "is not one of the classes"},
    ]


def test_the_target_may_be_absent_and_a_feature_may_not() -> None:
    table, _ = clean_table(pa.table({"age": ["1"], "city": ["Ulm"]}), SCHEMA)
    assert table["y"].to_pylist() == [None]
    with pytest.raises(DataError) as caught:
        clean_table(pa.table({"age": ["1"], "town": ["Ulm"]}), SCHEMA)
    assert str(caught.value) == (
        "the table must have every feature of the schema, and lacks 'city'; it has 'age', 'town'"
    )


def test_nested_columns_are_refused() -> None:
    with pytest.raises(DataError, match="column 'age' has type list"):
        clean_table(pa.table({"age": [[1]], "city": ["Ulm"]}), SCHEMA)


def test_no_rows_are_fine() -> None:
    table, problems = clean_table(pa.table({"age": [], "city": []}), SCHEMA)
    assert (table.num_rows, problems.num_rows) == (0, 0)


def test_bad_rows_leave_the_block_with_their_place_and_reason() -> None:
    columns = {
        "age": ["1", "x", "200", "4", "5"],
        "city": ["Ulm"] * 5,
        "note": ["1", "2", "3", "bad but ignored", "5"],
        "y": ["no", "yes", "yes", "yes", " ?"],
    }
    reject = Reject(2, "a,b", "has 2 cells, the header names 4")
    rules = Rules(limits={"age": (0.0, 120.0)})
    clean = clean_block(_block(columns, (reject,)), SCHEMA, rules, source="s")
    assert clean.table["age"].to_pylist() == [1, 4]
    assert clean.positions.tolist() == [0, 4]
    assert (clean.n_records, clean.n_bad) == (6, 4)
    assert [tuple(row.values()) for row in clean.problems.to_pylist()] == [
        ("s", 2, "age", "x", "is not a whole number"),
        ("s", 3, None, "a,b", "has 2 cells, the header names 4"),
        ("s", 4, "age", "200", "is above the maximum 120"),
        ("s", 6, "y", " ?", "the target is missing"),
    ]


def test_a_row_without_its_time_goes_to_quarantine() -> None:
    schema = Schema((Column("x", Kind.NUMBER), Column("t", Kind.DATETIME, Role.TIME)))
    clean = clean_block(_block({"x": ["1", "2"], "t": ["2024-01-01", ""]}), schema, Rules())
    assert clean.positions.tolist() == [0]
    assert clean.problems["reason"].to_pylist() == ["the time is missing"]


def test_long_values_are_cut_for_people() -> None:
    clean = clean_block(_block({"age": ["x" * 999], "city": ["Ulm"], "y": ["no"]}), SCHEMA, Rules())
    assert len(clean.problems["value"][0].as_py()) == 200


def test_bad_texts_of_any_text_type_are_shown() -> None:
    for kind in (pa.string(), pa.large_string()):
        raw = pa.table({"x": pa.array(["1", "old", None]).cast(kind)})
        table, problems = clean_table(raw, Schema((Column("x", Kind.INTEGER),)))
        assert table["x"].to_pylist() == [1, None, None]
        assert problems["value"].to_pylist() == ["old"]
