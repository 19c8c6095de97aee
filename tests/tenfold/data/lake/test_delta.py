"""Delta tables that the library itself wrote, pulled at one version."""

from __future__ import annotations

import base64
import json
import pickle
import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from tenfold.canonical import canonical_json
from tenfold.data.drivers import InProcess
from tenfold.data.lake.delta import DeltaPlace
from tenfold.data.places import place_of
from tenfold.data.pull import PullPlan, pull
from tenfold.data.source import Source
from tenfold.errors import DataError, ProjectError
from tenfold.progress import SILENT
from tenfold.project.sources import DeltaSource
from tenfold.testing.sources import SourceConformance
from tests.s3 import ACCESS_KEY, SECRET_KEY, running_s3
from tests.tenfold.data.lake.pulls import pulled, rows


def place(path: Path | str, **fields: Any) -> DeltaPlace:
    spec = DeltaSource.model_validate({"type": "delta", "path": str(path), **fields})
    return DeltaPlace.of(spec, folder=Path("/nowhere"))


def write(path: Path, ids: list[int], *, mode: str = "append", **columns: list[Any]) -> None:
    write_deltalake(path, pa.table({"id": ids, **columns}), mode=mode, schema_mode="merge")


class TestDelta(SourceConformance):
    """A pulled table."""

    def source(self, folder: Path) -> Source:
        """Three files."""
        if not (folder / "t").exists():
            for start in (0, 100, 200):
                write(folder / "t", list(range(start, start + 100)))
        return pulled(place(folder / "t"), folder / "pulled")

    def n_rows(self) -> int:
        """All."""
        return 300


def test_types_partitions_and_columns_that_came_later_are_kept(tmp_path: Path) -> None:
    first = pa.table({"id": [1, 2], "day": [date(2031, 1, 1), None], "x": [0.5, None]})
    write_deltalake(tmp_path / "t", first, partition_by=["day"])
    later = pa.table({"id": [3], "day": [date(2031, 1, 2)], "city": ["Köln/ä b"]})
    write_deltalake(tmp_path / "t", later, mode="append", schema_mode="merge")
    stored = pulled(place(tmp_path / "t"), tmp_path / "pulled")
    assert rows(stored) == [
        {"id": 1, "day": date(2031, 1, 1), "x": 0.5, "city": None},
        {"id": 2, "day": None, "x": None, "city": None},
        {"id": 3, "day": date(2031, 1, 2), "x": None, "city": "Köln/ä b"},
    ]
    assert stored.alignment().changes == ()
    (lineage,) = stored.lineage
    assert lineage["version"] == 1
    assert lineage["n_files"] == 3
    assert lineage["table_id"] == str(DeltaTable(tmp_path / "t").metadata().id)


def test_deleted_updated_and_overwritten_rows_are_not_read(tmp_path: Path) -> None:
    write(tmp_path / "t", list(range(10)), x=["a"] * 10)
    table = DeltaTable(tmp_path / "t")
    table.delete("id < 3")
    table.update(predicate="id = 5", updates={"x": "'b'"})
    found = rows(pulled(place(tmp_path / "t"), tmp_path / "pulled"))
    assert [row["id"] for row in found] == list(range(3, 10))
    assert found[2]["x"] == "b"
    write(tmp_path / "t", [77], mode="overwrite", x=["c"])
    assert len(rows(pulled(place(tmp_path / "t"), tmp_path / "again"))) == 1


def test_an_old_version_is_read_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "t", [1])
    write(tmp_path / "t", [2], x=[1.0])
    write(tmp_path / "t", [3], mode="overwrite")
    stored = pulled(place(tmp_path / "t", version=0), tmp_path / "pulled")
    assert rows(stored) == [{"id": 1}]
    assert stored.lineage[0]["version"] == 0


def test_files_are_shared_between_workers_and_chosen_columns_alone_are_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "t").mkdir()
    for number in range(3):
        write(tmp_path / "t", [number], a=["x"], deep=[[1, 2]])
    with pytest.raises(DataError, match=r"column 'deep' has type list<.*; name the columns to re"):
        place(tmp_path / "t").plan(None)
    chosen = place(tmp_path / "t", columns=["a", "id"])
    assert chosen.sample().column_names == ["a", "id"]
    assert rows(pulled(chosen, tmp_path / "pulled"))[2] == {"a": "x", "id": 2}
    with pytest.raises(DataError, match="'b' is none; correct 'columns'"):
        place(tmp_path / "t", columns=["b"]).plan(None)
    size = sum(file.stat().st_size for file in (tmp_path / "t").glob("*.parquet"))
    assert chosen.size_hint() == size
    plan = chosen.plan(None)
    parts = [{"version": 2, "files": [file]} for file in plan.streams[0]["files"]]
    streams = chosen.streams(PullPlan(tuple(parts)))
    assert sorted(t["id"][0].as_py() for s in streams for t in s.batches()) == [0, 1, 2]


def test_a_plan_is_json_and_batches_are_bounded(tmp_path: Path) -> None:
    write(tmp_path / "t", list(range(200_000)))
    made = place(tmp_path / "t")
    plan = made.plan(None)
    again = PullPlan(tuple(json.loads(canonical_json(list(plan.streams)))), plan.lineage)
    tables = [table for stream in made.streams(again) for table in stream.batches()]
    assert max(table.num_rows for table in tables) <= 65_536
    assert pa.concat_tables(tables)["id"].to_pylist() == list(range(200_000))


@contextmanager
def appending(path: Path) -> Iterator[threading.Event]:
    """Another writer, busy until the context ends; the event is set when it wrote at least once."""
    wrote, stop = threading.Event(), threading.Event()

    def work() -> None:
        number = 1_000_000
        while not stop.is_set():
            write(path, [number])
            if number % 5 == 0:
                DeltaTable(path).delete(f"id = {number - 1}")
            wrote.set()
            number += 1

    writer = threading.Thread(target=work)
    writer.start()
    try:
        yield wrote
    finally:
        stop.set()
        writer.join()


class Meanwhile(InProcess):
    """A driver that lets an event pass between the plan and the first stream."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self._event = event

    def run(self, job: Any, pieces: Any) -> Iterator[int]:
        self._event.clear()
        assert self._event.wait(60)
        return super().run(job, pieces)


def test_a_table_that_others_append_to_meanwhile_is_read_at_the_pinned_version(
    tmp_path: Path,
) -> None:
    for start in range(0, 50, 10):
        write(tmp_path / "t", list(range(start, start + 10)))
    with appending(tmp_path / "t") as wrote:
        stored = pull(
            place(tmp_path / "t"), tmp_path / "p", driver=Meanwhile(wrote), progress=SILENT
        )
    version = stored.lineage[0]["version"]
    assert DeltaTable(tmp_path / "t").version() > version
    wanted = DeltaTable(tmp_path / "t", version=version).to_pyarrow_table()
    assert rows(stored) == wanted.sort_by("id").to_pylist()
    assert set(range(50)) <= {row["id"] for row in rows(stored)}


def test_a_killed_pull_goes_on_with_the_version_it_began_with(tmp_path: Path) -> None:
    write(tmp_path / "t", [1])

    class Killed(InProcess):
        def run(self, job: Any, pieces: Any) -> Iterator[int]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(place(tmp_path / "t"), tmp_path / "p", driver=Killed(), progress=SILENT)
    write(tmp_path / "t", [2])
    stored = pulled(place(tmp_path / "t"), tmp_path / "p")
    assert (rows(stored), stored.lineage[0]["version"]) == ([{"id": 1}], 0)
    stored = pulled(place(tmp_path / "t"), tmp_path / "p")
    assert (len(rows(stored)), stored.lineage[0]["version"]) == (2, 1)


def test_a_version_that_was_vacuumed_is_told(tmp_path: Path) -> None:
    write(tmp_path / "t", [1])
    write(tmp_path / "t", [2], mode="overwrite")
    table = DeltaTable(tmp_path / "t")
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(DataError) as caught:
        pulled(place(tmp_path / "t", version=0), tmp_path / "p")
    message = str(caught.value)
    assert message.startswith(
        f"source 't': version 0 of the Delta table {tmp_path / 't'} has lost a file (Object at"
    )
    assert message.endswith("it was vacuumed, perhaps: name a 'version' that is still whole")
    assert "\n" not in message
    assert rows(pulled(place(tmp_path / "t"), tmp_path / "p")) == [{"id": 2}]


def test_a_version_that_the_log_does_not_hold_is_told(tmp_path: Path) -> None:
    write(tmp_path / "t", [1])
    with pytest.raises(
        DataError, match=r"version 9 of the Delta table .* cannot be opened .*name a"
    ):
        place(tmp_path / "t", version=9).plan(None)
    log = tmp_path / "t" / "_delta_log" / "00000000000000000000.json"
    log.write_text("garbage")
    with pytest.raises(DataError, match="cannot be opened") as caught:
        place(tmp_path / "t").plan(None)
    assert "unknown" not in str(caught.value)


def test_what_is_no_table_and_what_has_no_rows_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match=f"there is no Delta table at {folder} .*_delta_log"):
            place(folder).plan(None)
    assert not (tmp_path / "none").exists()
    write_deltalake(tmp_path / "empty", pa.table({"id": pa.array([], pa.int64())}))
    with pytest.raises(DataError, match=r"version 0 of the Delta table .* has no rows"):
        place(tmp_path / "empty").sample()
    with pytest.raises(DataError, match="has no rows"):
        pulled(place(tmp_path / "empty"), tmp_path / "p")


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    write(tmp_path / "t", [1])
    (file,) = (tmp_path / "t").glob("*.parquet")
    file.write_bytes(b"PAR1" + bytes(file.stat().st_size - 4))
    with pytest.raises(DataError, match=r"version 0 of the Delta table .* cannot be read"):
        pulled(place(tmp_path / "t"), tmp_path / "p")


def test_a_relative_path_starts_at_the_projects_folder(tmp_path: Path) -> None:
    write(tmp_path / "lake" / "t", [1])
    spec = DeltaSource.model_validate({"type": "delta", "path": "lake/t"})
    made = place_of(spec, folder=tmp_path)
    assert isinstance(made, DeltaPlace)
    assert (made.name, made.watermark) == ("t", None)
    assert made.sample().to_pylist() == [{"id": 1}]


def test_secrets_of_the_store_reach_neither_plans_nor_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_KEY", "hunter2hunter2")
    options = {
        "AWS_SECRET_ACCESS_KEY": "${env:STORE_KEY}",
        "AWS_ACCESS_KEY_ID": "me",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1/${env:STORE_KEY}",
        "AWS_ALLOW_HTTP": "true",
        "max_retries": "0",
    }
    made = place("s3://bucket/t", options=options, allow_private=True)
    with pytest.raises(DataError, match="the Delta table s3://bucket/t cannot be") as caught:
        made.plan(None)
    assert "hunter2" not in str(caught.value) + str(made.identity()) + repr(made)


Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def write_with_deletion_vector(path: Path, *, n_rows: int, deleted: list[int]) -> None:
    """A table as Spark leaves it after a DELETE: the file whole, the deleted rows in a bitmap."""
    (path / "_delta_log").mkdir(parents=True)
    pq.write_table(pa.table({"id": list(range(n_rows))}), path / "f.parquet")
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(deleted) - 1, 16)
    bitmap += b"".join(struct.pack("<H", row) for row in deleted)
    vector = struct.pack("<IQI", 1681511377, 1, 0) + bitmap
    blob = b"\x01" + struct.pack(">I", len(vector)) + vector + struct.pack(">I", zlib.crc32(vector))
    unique = bytes(range(16))
    name = f"{unique[:4].hex()}-{unique[4:6].hex()}-{unique[6:8].hex()}-{unique[8:10].hex()}"
    (path / f"deletion_vector_{name}-{unique[10:].hex()}.bin").write_bytes(blob)
    numbers = struct.unpack(">4I", unique)
    text = "".join(Z85[n // 85**power % 85] for n in numbers for power in (4, 3, 2, 1, 0))
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    field = {"name": "id", "type": "long", "nullable": True, "metadata": {}}
    schema = json.dumps({"type": "struct", "fields": [field]})
    add = {
        "path": "f.parquet",
        "partitionValues": {},
        "size": (path / "f.parquet").stat().st_size,
        "modificationTime": 0,
        "dataChange": True,
        "stats": json.dumps({"numRecords": n_rows, "tightBounds": False}),
        "deletionVector": {
            "storageType": "u",
            "pathOrInlineDv": text,
            "offset": 1,
            "sizeInBytes": len(vector),
            "cardinality": len(deleted),
        },
    }
    actions = [
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}},
        {
            "metaData": {
                "id": base64.b64encode(unique).decode(),
                "format": {"provider": "parquet", "options": {}},
                "schemaString": schema,
                "partitionColumns": [],
                "configuration": {"delta.enableDeletionVectors": "true"},
                "createdTime": 0,
            }
        },
        {"add": add},
    ]
    log = path / "_delta_log" / "00000000000000000000.json"
    log.write_text("\n".join(map(json.dumps, actions)))


def test_rows_of_a_deletion_vector_are_not_read(tmp_path: Path) -> None:
    write_with_deletion_vector(tmp_path / "t", n_rows=10, deleted=[2, 5, 9])
    made = place(tmp_path / "t")
    assert [part["files"] for part in made.plan(None).streams] == [None]
    found = rows(pulled(made, tmp_path / "p"))
    assert [row["id"] for row in found] == [0, 1, 3, 4, 6, 7, 8]
    assert made.sample().num_rows == 7


def test_columns_that_are_mapped_to_other_names_are_read_by_their_own(tmp_path: Path) -> None:
    write_deltalake(
        tmp_path / "t",
        pa.table({"id": [1], "a b": ["x"]}),
        configuration={"delta.columnMapping.mode": "name"},
    )
    made = place(tmp_path / "t", columns=["a b"])
    assert made.plan(None).streams == ({"version": 0, "files": None},)
    assert made.sample().to_pylist() == [{"a b": "x"}]


def test_a_table_on_an_object_store_is_read_with_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_KEY", SECRET_KEY)
    with running_s3() as s3:
        s3.put("lake")
        options = {
            "AWS_ENDPOINT_URL": f"http://{s3.endpoint}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        for number in range(2):
            write_deltalake(
                "s3://lake/t",
                pa.table({"id": [number], "day": [date(2031, 1, 1 + number)]}),
                mode="append",
                partition_by=["day"],
                storage_options=options,
            )
        given = {**options, "AWS_SECRET_ACCESS_KEY": "${env:STORE_KEY}"}
        with pytest.raises(
            DataError, match=r"'127\.0\.0\.1' of 'AWS_ENDPOINT_URL' leads to 127\.0"
        ):
            place("s3://lake/t", options=given).plan(None)
        allowed = place("s3://lake/t", options=given, allow_private=True)
        stored = pulled(allowed, tmp_path / "p")
        assert rows(stored)[1] == {"id": 1, "day": date(2031, 1, 2)}
        assert stored.lineage[0]["version"] == 1
        assert SECRET_KEY not in str(stored.lineage)
        monkeypatch.delenv("STORE_KEY")
        with pytest.raises(ProjectError, match="STORE_KEY is not set"):
            allowed.plan(None)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("s3://b/t", {"endpoint": "http://{at}"}),
        ("s3://b/t", {"aws_metadata_endpoint": "http://{at}"}),
        ("abfss://c@a.dfs.core.windows.net/t", {"azure_authority_host": "https://{at}"}),
        ("gs://b/t", {"proxy_url": "http://{at}"}),
        ("http://{at}/t", {}),
    ],
)
def test_a_store_at_a_private_address_is_refused_and_never_called(
    path: str, options: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = f"127.0.0.1:{server.getsockname()[1]}"
        given = {name: value.format(at=at) for name, value in options.items()}
        made = place(path.format(at=at), name="t", options=given)
        for ask in (lambda: made.plan(None), made.sample, made.size_hint):
            with pytest.raises(DataError, match=r"public addresses only, and the endpoint '127\."):
                ask()
        (stream,) = made.streams(PullPlan(({"version": 0, "files": None},)))
        with pytest.raises(DataError, match="set 'allow_private: true'"):
            list(stream.batches())
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_streams_travel_to_other_processes_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_KEY", "hunter2hunter2")
    write(tmp_path / "t", [1])
    made = place(tmp_path / "t", options={"token": "${env:STORE_KEY}"})
    (stream,) = made.streams(made.plan(None))
    data = pickle.dumps(stream)
    assert b"hunter2" not in data
    travelled = pickle.loads(data)  # noqa: S301  (in flight, as Ray does)
    assert [table.to_pylist() for table in travelled.batches()] == [[{"id": 1}]]
