"""What is pulled: every row, once, whatever the cuts, the drivers and the deaths."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tenfold.data.drivers import Driver, InProcess, RayData
from tenfold.data.places import place_of
from tenfold.data.pull import pull
from tenfold.data.source import Source
from tenfold.data.sql import SqlPlace
from tenfold.errors import DataError
from tenfold.progress import SILENT
from tenfold.project.sources import SqlSource
from tenfold.testing.sources import SourceConformance
from tests.tenfold.data.sql.conftest import Database

HERE = Path(__file__).parent


def pulled(place: SqlPlace, folder: Path, driver: Driver | None = None) -> pa.Table:
    """All rows that are stored after a pull."""
    stored = pull(place, folder, driver=driver or InProcess(n_threads=2), progress=SILENT)
    return pa.concat_tables([shard.read().table for shard in stored.shards()])


def orders(n_rows: int, *, start: int = 0, at: int | None = None) -> list[dict[str, Any]]:
    return [
        {"id": n, "at": (n // 3 if at is None else at), "word": f"w{n}"}
        for n in range(start, start + n_rows)
    ]


@pytest.fixture
def shop(database: Database) -> Database:
    """A table of orders, three at a time."""
    database.run("CREATE TABLE orders (id BIGINT, at INTEGER, word VARCHAR(20))")
    database.insert("orders", orders(100))
    return database


def ids(table: pa.Table) -> list[int]:
    return sorted(table["id"].to_pylist())


@pytest.mark.parametrize("rows_per_stream", [1, 7, 50, 99, 100, 1000])
def test_every_row_comes_once_for_any_number_of_shards(
    shop: Database, tmp_path: Path, rows_per_stream: int
) -> None:
    place = shop.place(table="orders", shard_by="id", rows_per_stream=rows_per_stream)
    assert len(place.plan(None).streams) == -(-100 // rows_per_stream)
    assert ids(pulled(place, tmp_path / "pull")) == list(range(100))


def test_keys_may_be_missing_repeated_negative_and_far_apart(
    database: Database, tmp_path: Path
) -> None:
    keys = [None, None, -(2**63), -5, *[7] * 30, 8, 9, 10**12, 2**63 - 1, None]
    database.run("CREATE TABLE odd (k BIGINT, n INTEGER)")
    database.insert("odd", [{"k": key, "n": n} for n, key in enumerate(keys)])
    place = database.place(table="odd", shard_by="k", rows_per_stream=2)
    sizes = [
        sum(table.num_rows for table in stream.batches())
        for stream in place.streams(place.plan(None))
    ]
    assert sorted(sizes) == [2, 2, 2, 3, 30]  # the rows of one key cannot be cut
    got = pulled(place, tmp_path / "pull")
    assert sorted(got["n"].to_pylist()) == list(range(len(keys)))
    assert Counter(got["k"].to_pylist()) == Counter(keys)


def test_a_key_without_values_is_one_stream(database: Database, tmp_path: Path) -> None:
    database.run("CREATE TABLE odd (k BIGINT, id INTEGER)", "INSERT INTO odd VALUES (NULL, 1)")
    place = database.place(table="odd", shard_by="k")
    assert len(place.plan(None).streams) == 1
    assert ids(pulled(place, tmp_path / "pull")) == [1]


def test_a_query_is_read_as_it_stands(shop: Database, tmp_path: Path) -> None:
    query = (
        "WITH late AS (SELECT id, word FROM orders WHERE at > 20) -- not the early ones\n"
        "SELECT id, word, 'a:bc' AS \"odd %name\", id % 2 AS odd FROM late "
        "WHERE word LIKE 'w%' -- all of them"
    )
    place = shop.place(query=query, shard_by="id", rows_per_stream=10)
    got = pulled(place, tmp_path / "pull")
    assert got.column_names == ["id", "word", "odd %name", "odd"]
    assert got["odd %name"][0].as_py() == "a:bc"
    assert ids(got) == list(range(63, 100))
    one = shop.place(query="SELECT id, 'a;b' AS x FROM orders")
    assert one.sample()["x"][0].as_py() == "a;b"


def test_views_schemas_and_odd_names_are_tables_too(postgres: Database) -> None:
    postgres.run(
        'CREATE SCHEMA "My Shop"',
        'CREATE TABLE "My Shop"."o""rders" ("a ""b""" INT, "select" INT)',
        'INSERT INTO "My Shop"."o""rders" VALUES (1, 2)',
        'CREATE VIEW seen AS SELECT * FROM "My Shop"."o""rders"',
        'CREATE TABLE "dotted.name" (x INT)',
        'INSERT INTO "dotted.name" VALUES (3)',
    )
    table = postgres.place(table='My Shop.o"rders', shard_by='a "b"')
    (stream,) = table.streams(table.plan(None))
    assert next(stream.batches()).to_pylist() == [{'a "b"': 1, "select": 2}]
    assert postgres.place(table="seen", columns=["select"]).sample().to_pylist() == [{"select": 2}]
    assert postgres.place(table="dotted.name").sample().to_pylist() == [{"x": 3}]


def test_only_the_columns_asked_for_are_read(shop: Database, tmp_path: Path) -> None:
    place = shop.place(table="orders", columns=["word", "at"], shard_by="id")
    assert pulled(place, tmp_path / "pull").column_names == ["word", "at"]


@pytest.mark.parametrize("shard_by", [None, "id"])
def test_an_incremental_pull_reads_what_is_new_and_nothing_twice(
    shop: Database, tmp_path: Path, shard_by: str | None
) -> None:
    place = shop.place(
        table="orders", incremental={"column": "at"}, shard_by=shard_by, rows_per_stream=13
    )
    assert ids(pulled(place, tmp_path / "pull")) == list(range(100))
    assert ids(pulled(place, tmp_path / "pull")) == list(range(100))  # nothing came
    shop.insert("orders", orders(5, start=100, at=33))  # the last watermark once more
    shop.insert("orders", orders(5, start=105, at=40))
    stored = pull(place, tmp_path / "pull", driver=InProcess(), progress=SILENT)
    assert ids(pulled(place, tmp_path / "pull")) == list(range(110))
    assert [entry["watermark"] for entry in stored.lineage] == [
        {"column": "at", "above": None, "up_to": "33"},
        {"column": "at", "above": "33", "up_to": "40"},
    ]
    assert [entry["n_rows"] for entry in stored.lineage] == [100, 11]
    shop.run("DELETE FROM orders")
    assert ids(pulled(place, tmp_path / "pull")) == list(range(110))


def test_rows_that_come_while_streams_are_read_are_left_to_the_next_pull(
    shop: Database, tmp_path: Path
) -> None:
    place = shop.place(
        table="orders", incremental={"column": "at"}, shard_by="id", rows_per_stream=50
    )
    plan = place.plan(None)
    first, second = place.streams(plan)
    got = list(first.batches())
    shop.insert("orders", [{"id": 3, "at": 50, "word": "late"}])  # in the range that was read
    shop.insert("orders", [{"id": 99, "at": 60, "word": "later"}])  # in the one that was not
    got += list(second.batches())
    assert ids(pa.concat_tables(got)) == list(range(100))
    assert ids(pulled(place, tmp_path / "pull")) == sorted([*range(100), 3, 99])


@pytest.mark.parametrize("incremental", [None, {"column": "at"}])
def test_a_pull_that_was_killed_goes_on(
    shop: Database, tmp_path: Path, incremental: dict[str, str] | None
) -> None:
    fields = {"table": "orders", "shard_by": "id", "incremental": incremental}
    place = shop.place(**fields, rows_per_stream=10)
    folder = tmp_path / "pull"
    spec = tmp_path / "spec.json"
    spec.write_text(place.spec.model_dump_json())
    command = [sys.executable, str(HERE / "killed_pull.py"), str(spec), str(folder), "10", "4"]
    assert subprocess.run(command).returncode == -9
    done = list(folder.glob("segment-*/stream-*.json"))
    assert len(done) == 4
    before = {path: path.stat().st_mtime_ns for path in folder.glob("segment-*/part-*")}
    shop.insert("orders", orders(20, start=100, at=33 if incremental else None))
    assert ids(pulled(place, folder)) == list(range(100))
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert ids(pulled(place, folder)) == list(range(120))


def test_both_drivers_pull_the_same(shop: Database, tmp_path: Path, ray_session: None) -> None:
    place = shop.place(table="orders", shard_by="id", rows_per_stream=30)
    one = pulled(place, tmp_path / "one", InProcess())
    other = pulled(place, tmp_path / "other", RayData(cpus_per_task=0.5))
    assert one.sort_by("id").equals(other.sort_by("id"))
    missing = shop.place(table="orders", shard_by="id")
    plan = missing.plan(None)
    shop.run("DROP TABLE orders")
    with pytest.raises(DataError, match="table must be one that the database has"):
        list(missing.streams(plan)[0].batches())


def test_streams_travel_and_places_are_found_by_type(shop: Database) -> None:
    spec = SqlSource.model_validate({"type": "sql", "url": shop.url, "table": "orders"})
    place = place_of(spec, folder=shop.folder)
    assert isinstance(place, SqlPlace)
    assert (place.name, place.watermark) == ("orders", None)
    (stream,) = place.streams(place.plan(None))
    travelled = pickle.loads(pickle.dumps(stream))  # noqa: S301  (in flight, as Ray does)
    assert sum(table.num_rows for table in travelled.batches()) == 100


def test_another_question_starts_afresh_and_another_way_to_ask_does_not(shop: Database) -> None:
    base = shop.place(table="orders").identity()
    assert shop.place(table="orders", shard_by="id", timeout=5).identity() == base
    assert shop.place(table="orders", columns=["id"]).identity() != base
    assert shop.place(table="orders", incremental={"column": "id"}).identity() != base


def test_a_sample_is_bounded_in_rows_and_bytes(database: Database) -> None:
    database.run("CREATE TABLE wide (id INTEGER, word TEXT)")
    database.insert("wide", [{"id": n, "word": "x"} for n in range(1500)])
    assert database.place(table="wide").sample().num_rows == 1000
    database.run("DELETE FROM wide")
    empty = database.place(table="wide").sample()
    assert (empty.column_names, empty.num_rows) == (["id", "word"], 0)
    database.insert("wide", [{"id": n, "word": "x" * 200_000} for n in range(300)])
    sample = database.place(table="wide").sample()
    assert 20 < sample.num_rows < 300
    assert sample.nbytes < 16 * 1024**2


def test_the_size_is_estimated(database: Database, tmp_path: Path) -> None:
    database.run("CREATE TABLE t (id INTEGER, word TEXT)")
    database.insert("t", [{"id": n, "word": "x" * 100} for n in range(5000)])
    if database.kind == "postgresql":
        database.run("ANALYZE t")
    for fields in ({"table": "t"}, {"query": "SELECT id, word FROM t WHERE id % 1 = 0 OR id >= 0"}):
        hint = database.place(**fields).size_hint()
        assert 5000 * 50 < hint < 5000 * 200
    assert database.place(table="absent").size_hint() == 0


def test_an_empty_table_is_told(database: Database, tmp_path: Path) -> None:
    database.run("CREATE TABLE void (id INTEGER, at INTEGER)")
    for incremental in (None, {"column": "at"}):
        for shard_by in (None, "id"):
            place = database.place(table="void", incremental=incremental, shard_by=shard_by)
            with pytest.raises(DataError, match="source 'void' has no rows"):
                pull(place, tmp_path / "pull", driver=InProcess(), progress=SILENT)
    database.run("INSERT INTO void VALUES (1, 1)")
    place = database.place(table="void", incremental={"column": "at"})
    assert ids(pulled(place, tmp_path / "pull")) == [1]


def test_columns_may_come_and_go_between_pulls(shop: Database, tmp_path: Path) -> None:
    place = shop.place(table="orders", incremental={"column": "at"})
    pulled(place, tmp_path / "pull")
    shop.run("ALTER TABLE orders ADD COLUMN price REAL")
    shop.insert("orders", [{"id": 100, "at": 90, "price": 2.5}])
    pulled(place, tmp_path / "pull")
    shop.run("ALTER TABLE orders DROP COLUMN word")
    shop.insert("orders", [{"id": 101, "at": 91, "price": 3.5}])
    got = pulled(place, tmp_path / "pull").sort_by("id")
    assert got.column_names == ["id", "at", "word", "price"]
    assert got.slice(99).to_pylist() == [
        {"id": 99, "at": 33, "word": "w99", "price": None},
        {"id": 100, "at": 90, "word": None, "price": 2.5},
        {"id": 101, "at": 91, "word": None, "price": 3.5},
    ]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_memory_stays_bounded_however_many_rows(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """300,000 rows of 300 bytes: 90 MB as Arrow, and more than 200 MB as Python values."""
    database: Database = request.getfixturevalue(kind)
    series = {
        "sqlite": "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {n}) "
        "SELECT n, printf('%%0300d', n) AS w FROM s",
        "postgres": "SELECT n, lpad(n::text, 300, '0') AS w FROM generate_series(1, {n}) AS s(n)",
    }[kind]
    database.run(*(f"CREATE TABLE t{n} AS {series.format(n=n)}" for n in (1000, 300_000)))
    peaks = []
    for n_rows in (1000, 300_000):
        spec = tmp_path / f"spec{n_rows}.json"
        spec.write_text(database.place(table=f"t{n_rows}").spec.model_dump_json())
        folder = str(tmp_path / f"pull{n_rows}")
        command = [sys.executable, str(HERE / "killed_pull.py"), str(spec), folder, "250000", "0"]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert int(told[0]) == n_rows
        peaks.append(int(told[1]) * 1024)
    assert peaks[1] - peaks[0] < 80 * 1024**2


class TestStored(SourceConformance):
    """What a pull leaves is a source like any other."""

    @pytest.fixture(autouse=True)
    def _shop(self, shop: Database) -> None:
        self.shop = shop

    def source(self, folder: Path) -> Source:
        """Four streams, thus four files."""
        place = self.shop.place(table="orders", shard_by="id", rows_per_stream=25)
        return pull(place, folder / "pull", driver=InProcess(), progress=SILENT)

    def n_rows(self) -> int:
        """All of them."""
        return 100
