"""Watermarks of every kind: typed bounds, nothing lost at their edges, unfit ones refused."""

# ruff: noqa: S608  (tests write their own statements)

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tenfold.data.drivers import InProcess
from tenfold.data.pull import pull
from tenfold.data.sql.bound import Bound
from tenfold.errors import DataError
from tenfold.progress import SILENT
from tests.tenfold.data.sql.conftest import Database


def marks(database: Database, folder: Path) -> list[int]:
    """The numbers of all rows that are stored after a pull."""
    place = database.place(table="t", incremental={"column": "w"})
    stored = pull(place, folder, driver=InProcess(n_threads=1), progress=SILENT)
    tables = [shard.read().table for shard in stored.shards()]
    return sorted(pa.concat_tables(tables)["n"].to_pylist())


def grow(database: Database, tmp_path: Path, kind: str, values: list[str]) -> None:
    """Rows with these watermarks, in growing order, come one by one, each twice; all are pulled."""
    database.run(f"CREATE TABLE t (w {kind}, n INTEGER)", "INSERT INTO t VALUES (NULL, 0)")
    for number, value in enumerate(values):
        database.run(f"INSERT INTO t VALUES ({value}, {2 * number + 1})")
        assert marks(database, tmp_path / "pull") == list(range(2 * number + 2))
        database.run(f"INSERT INTO t VALUES ({value}, {2 * number + 2})")
        assert marks(database, tmp_path / "pull") == list(range(2 * number + 3))
    assert marks(database, tmp_path / "pull") == list(range(2 * len(values) + 1))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("BIGINT", ["-5", "0", "9007199254740993", "9223372036854775807"]),
        ("REAL", ["-0.1", "0.1", "0.7", "16777216.5", "1e30"]),
        ("DOUBLE PRECISION", ["-0.1", "0.1", "0.30000000000000004", "1e300"]),
        ("NUMERIC", ["-7.00000000000000000001", "0.1", "12345678901234567.8901234567890"]),
        ("DATE", ["'1969-12-31'", "'2031-01-02'"]),
        ("TIMESTAMP", ["'1969-12-31 23:59:59.999999'", "'2031-01-02 03:04:05.000001'"]),
        ("TIMESTAMPTZ", ["'2031-01-02 03:04:05+05:30'", "'2031-01-02 03:04:05.1-08'"]),
        ("TEXT", ["'B'", "'a'", "'ä'", "'été'"]),  # by code points, whatever the collation
        ("TEXT", ["'2031-01-02T03:04:05Z'", "'2031-01-02T13:04:05Z'"]),
        ("CHAR(8)", ["'20310102'", "'20310103'"]),
    ],
)
def test_kinds_of_postgresql(
    postgres: Database, tmp_path: Path, kind: str, values: list[str]
) -> None:
    grow(postgres, tmp_path, kind, values)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("INTEGER", ["-5", "0", "9007199254740993", "9223372036854775807"]),
        ("REAL", ["-0.1", "0.1", "2", "1e300"]),
        ("NUMERIC", ["1", "1.5", "2"]),
        ("DATETIME", ["'2031-01-02 03:04:05'", "'2031-01-02 03:04:05.5'", "'2031-02-01 00:00:00'"]),
        ("DATE", ["'2031-01-02'", "'2031-01-03'"]),
        ("TEXT COLLATE NOCASE", ["'B'", "'a'", "'ä'"]),
    ],
)
def test_kinds_of_sqlite(sqlite: Database, tmp_path: Path, kind: str, values: list[str]) -> None:
    grow(sqlite, tmp_path, kind, values)


def test_numerics_that_a_float_cannot_tell_apart_are_all_pulled(
    postgres: Database, tmp_path: Path
) -> None:
    head = "12345678901234567.890123456789"
    postgres.run("CREATE TABLE t (w NUMERIC, n INTEGER)", f"INSERT INTO t VALUES ({head}1, 0)")
    assert marks(postgres, tmp_path / "pull") == [0]
    postgres.run(f"INSERT INTO t VALUES ({head}2, 1)", f"INSERT INTO t VALUES ({head}0, 2)")
    assert marks(postgres, tmp_path / "pull") == [0, 1, 2]


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        ("INTEGER", ["NULL"], "has no value in any row"),
        ("BOOLEAN", ["TRUE"], "is of type boolean"),
        ("BYTEA", ["'x'"], "is of type bytea"),
        ("DOUBLE PRECISION", ["1", "'NaN'"], "has the value 'nan'"),
        ("TIMESTAMP", ["'2031-01-02'", "'infinity'"], "has the value 'infinity'"),
        ("DATE", ["'2031-01-02'", "'0044-03-15 BC'"], "has the value '0044-03-15 BC'"),
        ("TEXT", ["'9'", "'10'"], "holds numbers as texts of several forms, such as '9'"),
        ("TEXT", ["'2031-01-02'", "'2031-01-02T03:04:05'"], "holds times as texts of several"),
        ("TEXT", ["'2031-01-02T03:00:00+01'", "'2031-01-02T03:00:00Z'"], "holds times as texts"),
    ],
)
def test_what_cannot_be_a_watermark(
    postgres: Database, kind: str, values: list[str], why: str
) -> None:
    postgres.run(f"CREATE TABLE t (w {kind}, n INTEGER)")
    postgres.run(*(f"INSERT INTO t VALUES ({value}, 1)" for value in values))
    columns = ["w", "n"] if kind != "BYTEA" else []
    place = postgres.place(table="t", incremental={"column": "w"}, columns=columns)
    with pytest.raises(DataError) as caught:
        place.plan(None)
    if kind != "BYTEA":
        assert str(caught.value).startswith(
            "source 't': a watermark must be a number, a time or a text that sorts as it grows, "
            f"and 'w' {why}"
        )
        assert str(caught.value).endswith(
            "; choose another incremental.column, or make one in a query"
        )


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["1", "'2'"], "holds integer and text"),
        (["x'AB'"], "holds bytes"),
        (["'10'", "'9'"], "holds numbers as texts"),
        (["'2031-01-02T00:00:00'", "'2031-01-02 05:00:00'"], "holds times as texts"),
    ],
)
def test_sqlite_must_keep_one_kind(sqlite: Database, values: list[str], why: str) -> None:
    sqlite.run("CREATE TABLE t (w)", *(f"INSERT INTO t VALUES ({value})" for value in values))
    with pytest.raises(DataError, match=why):
        sqlite.place(table="t", incremental={"column": "w"}).plan(None)


def test_a_watermark_that_changes_its_kind_is_refused(sqlite: Database, tmp_path: Path) -> None:
    sqlite.run("CREATE TABLE t (w, n INTEGER)", "INSERT INTO t VALUES (5, 0)")
    assert marks(sqlite, tmp_path / "pull") == [0]
    sqlite.run("UPDATE t SET w = 'late'")
    with pytest.raises(DataError, match="'w' was a number before and is a text now"):
        marks(sqlite, tmp_path / "pull")


def test_a_watermark_must_be_read(database: Database) -> None:
    with pytest.raises(DataError) as caught:
        database.place(table="t", columns=["n"], incremental={"column": "w"})
    assert str(caught.value) == (
        "source 't': an incremental pull must read its watermark, and 'w' is not among 'columns'; "
        "add it there"
    )


@pytest.mark.parametrize("text", ["nan", "inf"])
def test_a_bound_is_finite(text: str) -> None:
    kinds: list[Any] = ["float", "decimal"]
    for kind in kinds:
        with pytest.raises(ValueError, match=text):
            Bound(kind, text).value()
