"""Iceberg tables in a SQLite catalog, that the library itself wrote, pulled at one snapshot."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType

from tenfold.canonical import canonical_json
from tenfold.data.drivers import InProcess
from tenfold.data.lake.iceberg import IcebergPlace
from tenfold.data.places import place_of
from tenfold.data.pull import PullPlan, pull
from tenfold.data.source import Source
from tenfold.errors import DataError
from tenfold.progress import SILENT
from tenfold.project.sources import IcebergSource
from tenfold.testing.sources import SourceConformance
from tests.tenfold.data.lake.pulls import pulled, rows

SCHEMA = pa.schema([("id", pa.int64()), ("x", pa.string())])


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with closing(make_catalog(tmp_path)) as made:
        yield made


def make_catalog(folder: Path) -> Catalog:
    made = load_catalog(
        "default", type="sql", uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}/wh"
    )
    made.create_namespace_if_not_exists("shop")
    return made


def place(folder: Path, table: str = "shop.items", **fields: Any) -> IcebergPlace:
    catalog = {"type": "sql", "uri": "sqlite:///c.db", **fields.pop("catalog", {})}
    fields = {"type": "iceberg", "table": table, "catalog": catalog, **fields}
    return IcebergPlace.of(IcebergSource.model_validate(fields), folder=folder)


def append(table: Table, ids: list[int], **columns: list[Any]) -> None:
    given = pa.table({"id": ids, **columns})
    kinds = [field for field in table.schema().as_arrow() if field.name in given.column_names]
    table.append(given.cast(pa.schema([(field.name, field.type) for field in kinds])))


def items(catalog: Catalog, n_files: int = 3) -> Table:
    table = catalog.create_table("shop.items", SCHEMA)
    for number in range(n_files):
        append(table, list(range(10 * number, 10 * number + 10)), x=["a", None] * 5)
    return table


class TestIceberg(SourceConformance):
    """A pulled table."""

    def source(self, folder: Path) -> Source:
        """Three files."""
        if not (folder / "c.db").exists():
            with closing(make_catalog(folder)) as catalog:
                items(catalog)
        return pulled(place(folder), folder / "pulled")

    def n_rows(self) -> int:
        """All."""
        return 30


def test_rows_come_with_their_types_and_the_snapshot_in_the_lineage(
    tmp_path: Path, catalog: Catalog
) -> None:
    table = items(catalog)
    stored = pulled(place(tmp_path), tmp_path / "p")
    assert rows(stored) == [{"id": n, "x": None if n % 2 else "a"} for n in range(30)]
    (lineage,) = stored.lineage
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert lineage["version"] == snapshot.snapshot_id
    assert lineage["n_files"] == 3
    assert lineage["table_id"] == str(table.metadata.table_uuid)


def test_deleted_rows_partitions_and_columns_that_changed_are_right(
    tmp_path: Path, catalog: Catalog
) -> None:
    schema = pa.schema([("id", pa.int32()), ("day", pa.date32()), ("old", pa.string())])
    table = catalog.create_table("shop.items", schema)
    with table.update_spec() as spec:
        spec.add_identity("day")
    first = pa.table({"id": [1, 2], "day": [date(2031, 1, 1), None], "old": ["x", "y"]})
    table.append(first.cast(schema))
    with table.update_schema() as change:
        change.rename_column("old", "new").add_column("price", DoubleType())
        change.update_column("id", LongType())
    second = {"id": [3, 4], "day": [date(2031, 1, 2)] * 2, "new": ["z", "w"], "price": [0.5, 1]}
    table.append(pa.table(second).cast(table.schema().as_arrow()))
    table.delete("id = 4")
    found = rows(pulled(place(tmp_path), tmp_path / "p"))
    assert found == [
        {"id": 1, "day": date(2031, 1, 1), "new": "x", "price": None},
        {"id": 2, "day": None, "new": "y", "price": None},
        {"id": 3, "day": date(2031, 1, 2), "new": "z", "price": 0.5},
    ]


def test_the_newest_snapshot_has_the_names_of_now_and_an_old_one_its_own(
    tmp_path: Path, catalog: Catalog
) -> None:
    table = items(catalog, 1)
    old = table.current_snapshot()
    assert old is not None
    with table.update_schema() as change:
        change.rename_column("x", "y")
    assert place(tmp_path).sample().column_names == ["id", "y"]
    append(table, [99], y=["new"])
    now, then = place(tmp_path), place(tmp_path, version=old.snapshot_id)
    assert (now.sample().num_rows, now.sample().column_names) == (11, ["id", "y"])
    stored = pulled(then, tmp_path / "p")
    assert (len(rows(stored)), stored.columns()) == (10, ("id", "x"))
    assert stored.lineage[0]["version"] == old.snapshot_id


def test_files_are_shared_between_workers_and_a_plan_is_json(
    tmp_path: Path, catalog: Catalog
) -> None:
    items(catalog)
    made = place(tmp_path, columns=["id"])
    plan = made.plan(None)
    (part,) = json.loads(canonical_json(list(plan.streams)))
    parts = tuple({**part, "files": [file]} for file in part["files"])
    streams = made.streams(PullPlan(parts))
    tables = [table for stream in streams for table in stream.batches()]
    assert [table.num_rows for table in tables] == [10, 10, 10]
    assert {tuple(table.column_names) for table in tables} == {("id",)}
    assert made.size_hint() == plan.lineage["size_bytes"] > 0


def test_a_table_that_others_append_to_meanwhile_is_read_at_the_pinned_snapshot(
    tmp_path: Path, catalog: Catalog
) -> None:
    items(catalog, 4)
    wrote, stop = threading.Event(), threading.Event()

    def work() -> None:
        with closing(make_catalog(tmp_path)) as own:
            while not stop.is_set():
                append(own.load_table("shop.items"), [1_000_000], x=["late"])
                wrote.set()

    class Meanwhile(InProcess):
        def run(self, job: Any, pieces: Any) -> Iterator[int]:
            wrote.clear()
            assert wrote.wait(60)
            return super().run(job, pieces)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        stored = pull(place(tmp_path), tmp_path / "p", driver=Meanwhile(), progress=SILENT)
    finally:
        stop.set()
        writer.join()
    version = stored.lineage[0]["version"]
    table = catalog.load_table("shop.items")
    newest = table.current_snapshot()
    assert newest is not None
    assert newest.snapshot_id != version
    wanted = table.scan(snapshot_id=version).to_arrow().sort_by("id").to_pylist()
    assert rows(stored) == wanted
    assert {row["id"] for row in wanted} >= set(range(40))


def test_an_expired_snapshot_an_unknown_one_and_lost_files_are_told(
    tmp_path: Path, catalog: Catalog
) -> None:
    table = items(catalog, 2)
    first, last = (snapshot.snapshot_id for snapshot in table.snapshots())
    table.maintenance.expire_snapshots().by_id(first).commit()
    with pytest.raises(DataError) as caught:
        place(tmp_path, version=first).plan(None)
    assert str(caught.value) == (
        "source 'items': 'version' must be a snapshot of the Iceberg table shop.items, and "
        f"{first} is none, or has expired; the last ones are {last}"
    )
    for file in (tmp_path / "wh").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(DataError, match=f"snapshot {last} of the Iceberg table shop.items has lo"):
        pulled(place(tmp_path, version=last), tmp_path / "p")


def test_a_table_that_is_not_there_or_empty_is_told(tmp_path: Path, catalog: Catalog) -> None:
    for name in ("shop.none", "none.items"):
        with pytest.raises(DataError, match=f"must hold the Iceberg table {name}, and does not"):
            place(tmp_path, name).plan(None)
    with pytest.raises(DataError, match="the Iceberg catalog cannot be read"):
        place(tmp_path, "items").plan(None)
    table = catalog.create_table("shop.items", SCHEMA)
    with pytest.raises(DataError, match="nothing was written to it yet"):
        place(tmp_path).sample()
    append(table, [1], x=["a"])
    table.delete("id = 1")
    with pytest.raises(DataError, match=r"snapshot \d+ of the Iceberg table .* has no rows"):
        place(tmp_path).sample()


def test_a_catalog_that_is_not_there_is_told_and_never_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must lead to a SQLite file, and there is no .*c\.db"):
        place(tmp_path).plan(None)
    assert not (tmp_path / "c.db").exists()
    (tmp_path / "c.db").touch()
    with pytest.raises(DataError, match="the Iceberg catalog cannot be read"):
        place(tmp_path).plan(None)
    assert (tmp_path / "c.db").stat().st_size == 0
    with pytest.raises(DataError, match="'what' is not a valid CatalogType"):
        place(tmp_path, catalog={"type": "what"}).plan(None)


def test_nested_columns_and_names_that_are_not_there_are_told(
    tmp_path: Path, catalog: Catalog
) -> None:
    nested = pa.schema([("id", pa.int64()), ("tags", pa.list_(pa.string()))])
    table = catalog.create_table("shop.items", nested)
    table.append(pa.table({"id": [1], "tags": [["a"]]}, schema=nested))
    with pytest.raises(DataError, match=r"column 'tags' has type .*; name the columns to read in"):
        place(tmp_path).plan(None)
    assert place(tmp_path, columns=["id"]).sample().to_pylist() == [{"id": 1}]
    with pytest.raises(DataError, match="'ids' is none; did you mean 'id'"):
        place(tmp_path, columns=["ids"]).plan(None)


def test_a_project_file_cannot_name_code_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must not name code to run, as 'py-catalog-impl' does"):
        place(tmp_path, catalog={"py-catalog-impl": "os.system"})


def test_secrets_of_the_catalog_reach_neither_plans_nor_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATALOG_PASSWORD", "hunter2hunter2")
    uri = "postgresql+psycopg://me:${env:CATALOG_PASSWORD}@127.0.0.1:1/c"
    made = place(tmp_path, catalog={"uri": uri}, allow_private=True)
    with pytest.raises(DataError, match="the Iceberg catalog cannot be read") as caught:
        made.plan(None)
    assert "hunter2" not in str(caught.value) + str(made.identity()) + repr(made)


def test_the_message_of_a_missing_extra_names_it(tmp_path: Path, catalog: Catalog) -> None:
    items(catalog, 1)
    assert isinstance(place_of(place(tmp_path).spec, folder=tmp_path), IcebergPlace)
    program = """
import sys
sys.modules["pyiceberg"] = None
from pathlib import Path
from tenfold.data.places import place_of
from tenfold.errors import DataError
from tenfold.project.sources import IcebergSource
try:
    spec = IcebergSource(type="iceberg", table="a.b", catalog={})
    place_of(spec, folder=Path("."))
except DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == (
        "source 'b': Iceberg tables need PyIceberg; install it: pip install 'tenfold[iceberg]'"
    ), done.stderr


def test_rows_of_a_position_delete_file_are_not_read(tmp_path: Path, catalog: Catalog) -> None:
    """As engines that merge on read leave a table after a DELETE."""
    table = catalog.create_table("shop.items", SCHEMA, properties={"format-version": "2"})
    append(table, list(range(10)), x=["a"] * 10)
    (task,) = table.scan().plan_files()
    deletes = pa.table({"file_path": [task.file.file_path] * 2, "pos": [3, 7]})
    path = tmp_path / "wh" / "deletes.parquet"
    pq.write_table(deletes, path)
    file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=f"file://{path}",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=2,
        file_size_in_bytes=path.stat().st_size,
    )
    with table.transaction() as change, change.update_snapshot().fast_append() as snapshot:
        snapshot.append_data_file(file)
    found = rows(pulled(place(tmp_path), tmp_path / "p"))
    assert [row["id"] for row in found] == [0, 1, 2, 4, 5, 6, 8, 9]


def test_streams_travel_to_other_processes(tmp_path: Path, catalog: Catalog) -> None:
    items(catalog, 1)
    made = place(tmp_path)
    (stream,) = made.streams(made.plan(None))
    travelled = pickle.loads(pickle.dumps(stream))  # noqa: S301  (in flight, as Ray does)
    (table,) = travelled.batches()
    assert table.num_rows == 10


class RestCatalog(BaseHTTPRequestHandler):
    """Iceberg's REST protocol as far as a reader needs it, over the tables of another catalog."""

    server: RestServer

    def do_GET(self) -> None:
        """The configuration, or a table with its metadata."""
        self.server.asked.append(self.path)
        if self.path.startswith("/v1/config"):
            answer: dict[str, Any] = {"defaults": {}, "overrides": {}}
        else:
            table = self.server.table
            metadata = json.loads(table.metadata.model_dump_json(by_alias=True))
            answer = {"metadata-location": table.metadata_location, "metadata": metadata}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class RestServer(ThreadingHTTPServer):
    """On a free port of loopback."""

    def __init__(self, table: Table) -> None:
        super().__init__(("127.0.0.1", 0), RestCatalog)
        self.table = table
        self.asked: list[str] = []


def test_a_catalog_server_at_a_private_address_is_called_only_where_that_is_allowed(
    tmp_path: Path, catalog: Catalog
) -> None:
    server = RestServer(items(catalog))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        at = {"type": "rest", "uri": f"http://127.0.0.1:{server.server_port}"}
        with pytest.raises(DataError, match=r"endpoint '127\.0\.0\.1' of 'uri' leads to 127\.0"):
            place(tmp_path, catalog=at).plan(None)
        assert server.asked == []
        found = rows(pulled(place(tmp_path, catalog=at, allow_private=True), tmp_path / "p"))
        assert [row["id"] for row in found] == list(range(30))
        assert server.asked[1].endswith("/namespaces/shop/tables/items")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_table_cannot_send_its_readers_to_a_private_store(
    tmp_path: Path, catalog: Catalog
) -> None:
    table = items(catalog, 1)
    with table.transaction() as change:
        change.set_properties({"s3.endpoint": "http://169.254.169.254", "note": "http://wiki/x"})
    with pytest.raises(DataError, match=r"'169\.254\.169\.254' of 's3\.endpoint' leads to 169\."):
        place(tmp_path).plan(None)
    allowed = place(tmp_path, allow_private=True)
    assert allowed.sample().num_rows == 10
