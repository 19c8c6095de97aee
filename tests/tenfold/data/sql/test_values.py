"""Types of databases as flat Arrow columns."""

# ruff: noqa: S608  (tests write their own statements)

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tenfold.data.sql.values import to_table
from tenfold.errors import DataError
from tests.tenfold.data.sql.conftest import Database


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, None], pa.null()),
        ([1, None, -(2**63)], pa.int64()),
        ([True, None], pa.bool_()),
        ([1, 2.5], pa.float64()),
        ([Decimal("1.5"), 2], pa.float64()),
        (["a", None], pa.string()),
        ([dt.date(2031, 1, 2)], pa.date32()),
        ([dt.datetime(2031, 1, 2, 3)], pa.timestamp("us")),
        ([dt.datetime(2031, 1, 2, 3, tzinfo=dt.UTC)], pa.timestamp("us", tz="UTC")),
        ([uuid.UUID(int=1)], pa.string()),
        ([dt.time(1, 2)], pa.string()),
    ],
)
def test_values_tell_their_type_where_nothing_else_does(
    values: list[Any], kind: pa.DataType
) -> None:
    table = to_table([(value,) for value in values], {"x": "any"})
    assert table.schema.field("x").type == kind
    assert table.num_rows == len(values)


def test_values_of_several_types_are_texts() -> None:
    rows = [(1, 2**70), ("a", 1), (None, None)]
    assert to_table(rows, {"x": "any", "y": "any"}).to_pydict() == {
        "x": ["1", "a", None],
        "y": [str(2**70), "1", None],
    }
    aware = dt.datetime(2031, 1, 2, tzinfo=dt.UTC)
    mixed = to_table([(aware,), (dt.datetime(2031, 1, 2),)], {"x": "any"})
    assert mixed["x"].to_pylist() == ["2031-01-02 00:00:00+00:00", "2031-01-02 00:00:00"]


@pytest.mark.parametrize("value", [b"x", [1], {"a": 1}, object()])
def test_values_that_are_not_flat_are_refused(value: Any) -> None:
    with pytest.raises(DataError, match="source 't': column 'x' must hold numbers, texts"):
        to_table([(None,), (value,)], {"x": "any"}, name="t")


def test_a_date_out_of_reach_leaves_its_column_as_text() -> None:
    rows = [("2031-01-02", "1.5"), ("infinity", "Infinity")]
    table = to_table(rows, {"x": "date", "y": "decimal"})
    assert table["x"].to_pylist() == ["2031-01-02", "infinity"]
    assert table["y"].to_pylist() == [1.5, float("inf")]


POSTGRES = {
    "i2": ("SMALLINT", "7", pa.int64(), 7),
    "i8": ("BIGINT", "9223372036854775807", pa.int64(), 2**63 - 1),
    "f4": ("REAL", "0.1", pa.float64(), 0.10000000149011612),
    "f8": ("DOUBLE PRECISION", "0.1", pa.float64(), 0.1),
    "num": ("NUMERIC(30, 10)", "12345678901234567890.5", pa.float64(), 12345678901234567890.5),
    "yes": ("BOOLEAN", "true", pa.bool_(), True),
    "txt": ("TEXT", "'Köln %s :x'", pa.string(), "Köln %s :x"),
    "vc": ("VARCHAR(9)", "'a'", pa.string(), "a"),
    "ch": ("CHAR(4)", "'a'", pa.string(), "a"),
    "day": ("DATE", "'2031-01-02'", pa.date32(), dt.date(2031, 1, 2)),
    "ts": (
        "TIMESTAMP",
        "'2031-01-02 03:04:05.000006'",
        pa.timestamp("us"),
        dt.datetime(2031, 1, 2, 3, 4, 5, 6),
    ),
    "tz": (
        "TIMESTAMPTZ",
        "'2031-01-02 03:04:05+05:30'",
        pa.timestamp("us", tz="UTC"),
        dt.datetime(2031, 1, 1, 21, 34, 5, tzinfo=dt.UTC),
    ),
    "tod": ("TIME", "'01:02:03'", pa.string(), "01:02:03"),
    "span": ("INTERVAL", "'1 day'", pa.string(), "1 day"),
    "uid": (
        "UUID",
        "'00000000-0000-0000-0000-0000000000AB'",
        pa.string(),
        "00000000-0000-0000-0000-0000000000ab",
    ),
    "mood": ("mood", "'glad'", pa.string(), "glad"),
    "whole": ("whole", "5", pa.int64(), 5),
    "ip": ("INET", "'10.0.0.1'", pa.string(), "10.0.0.1/32"),
    "cash": ("MONEY", "'1234.5'", pa.string(), "$1,234.50"),
}


def test_every_flat_type_of_postgresql(postgres: Database) -> None:
    columns = ", ".join(f"{name} {words[0]}" for name, words in POSTGRES.items())
    values = ", ".join(words[1].replace("%", "%%") for words in POSTGRES.values())
    postgres.run(
        "CREATE TYPE mood AS ENUM ('sad', 'glad')",
        "CREATE DOMAIN whole AS INTEGER CHECK (VALUE > 0)",
        f"CREATE TABLE kinds ({columns})",
        f"INSERT INTO kinds VALUES ({values})",
        "INSERT INTO kinds DEFAULT VALUES",
    )
    for fields in ({"table": "kinds"}, {"query": "SELECT * FROM kinds"}):
        table = postgres.place(**fields).sample()
        assert {field.name: field.type for field in table.schema} == {
            name: words[2] for name, words in POSTGRES.items()
        }
        first, second = table.to_pylist()
        assert first == {name: words[3] for name, words in POSTGRES.items()}
        assert set(second.values()) == {None}


def test_types_that_are_not_flat_are_refused_with_the_remedy(postgres: Database) -> None:
    postgres.run(
        "CREATE TABLE odd (id INT, raw BYTEA, doc JSONB, tags TEXT[], span INT4RANGE, p POINT)",
        """INSERT INTO odd VALUES (1, '\\xAB', '{"a": 5}', '{x,y}', '[1,2)', '(1,2)')""",
    )
    with pytest.raises(DataError) as caught:
        postgres.place(table="odd").plan(None)
    assert str(caught.value) == (
        "source 'odd': columns must hold numbers, texts, booleans or times, and 'raw' (bytea), "
        "'doc' (jsonb), 'tags' (text[]), 'span' (int4range), 'p' (point) does not; name the others "
        "in 'columns', or cast it in a query: encode(bytes, 'hex'), json ->> 'key', list[1]"
    )
    assert postgres.place(table="odd", columns=["id"]).sample().to_pylist() == [{"id": 1}]
    query = "SELECT encode(raw, 'hex') AS raw, doc ->> 'a' AS a, tags[1] AS tag FROM odd"
    assert postgres.place(query=query).sample().to_pylist() == [{"raw": "ab", "a": "5", "tag": "x"}]


def test_a_time_without_end_is_a_bad_cell_and_not_the_end(postgres: Database) -> None:
    postgres.run(
        "CREATE TABLE ends (d DATE, t TIMESTAMP, z TIMESTAMPTZ)",
        "INSERT INTO ends VALUES ('infinity', '-infinity', '0044-03-15 BC'), "
        "('2031-01-02', '2031-01-02', '2031-01-02')",
    )
    assert postgres.place(table="ends").sample().to_pydict() == {
        "d": ["infinity", "2031-01-02"],
        "t": ["-infinity", "2031-01-02 00:00:00"],
        "z": ["0044-03-15 00:00:00+00 BC", "2031-01-02 00:00:00+00"],
    }


def test_sqlite_keeps_what_it_was_given(sqlite: Database) -> None:
    sqlite.run(
        "CREATE TABLE kinds (i INTEGER, r REAL, b BOOLEAN, d DATE, t DATETIME, n NUMERIC, m)",
        "INSERT INTO kinds VALUES (1, 1.5, TRUE, '2031-01-02', '2031-01-02 03:04:05', 2.5, 1)",
        "INSERT INTO kinds VALUES ('x', 2, FALSE, 'soon', NULL, 3, 'y')",
    )
    assert sqlite.place(table="kinds").sample().to_pydict() == {
        "i": ["1", "x"],
        "r": [1.5, 2.0],
        "b": [1, 0],
        "d": ["2031-01-02", "soon"],
        "t": ["2031-01-02 03:04:05", None],
        "n": [2.5, 3.0],
        "m": ["1", "y"],
    }
    sqlite.run("CREATE TABLE raw (x BLOB)", "INSERT INTO raw VALUES (x'AB')")
    with pytest.raises(DataError, match=r"column 'x' must hold numbers.*holds bytes; cast it"):
        sqlite.place(table="raw").sample()
    assert sqlite.place(query="SELECT hex(x) AS x FROM raw").sample()["x"].to_pylist() == ["AB"]
