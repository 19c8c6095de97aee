"""An Arrow stream is looked at before it is decoded, and validated before it is used."""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tenfold.errors import RequestError
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tenfold_serve.doors.arrow_door import read_stream
from tenfold_serve.doors.flat import Broken, read_header
from tests.tenfold_serve.doors.through import ARROW, ARROW_TYPE, arrow_table, stream
from tests.tenfold_serve.support import Rig

SCHEMA = mixed_schema()
LIMITS = {"max_rows": 50, "max_columns": 60, "max_bytes": 1_000_000}


def body(n_rows: int = 3, **options: Any) -> bytes:
    return stream(arrow_table(SCHEMA, json_rows(SCHEMA, mixed_table(n_rows))), **options)


def ask(rig: Rig, data: bytes, path: str = "/predict") -> Any:
    return rig.ask("POST", path, data, headers=[ARROW_TYPE])


def test_the_answer_is_a_stream_that_says_who_answered(door_rig: Rig) -> None:
    reply = ask(door_rig, body())
    assert (reply.status, reply.headers[b"content-type"]) == (200, ARROW)
    table = pa.ipc.open_stream(reply.body).read_all()
    assert table.column_names == ["id", "value", "probability_no", "probability_yes"]
    arm = door_rig.board.lineup.arms[0]
    metadata = table.schema.metadata
    assert metadata[b"digest"].decode() == arm.digest
    assert (metadata[b"model"], metadata[b"version"]) == (b"mixed", b"1")
    assert metadata[b"arm"] == b"champion"


def test_warnings_are_a_column_of_lists(door_rig: Rig) -> None:
    table = arrow_table(SCHEMA, json_rows(SCHEMA, mixed_table(1)))
    table = table.set_column(table.column_names.index("age"), "age", pa.array([200]))
    answer = pa.ipc.open_stream(ask(door_rig, stream(table), "/predict?with=warnings").body)
    (told,) = answer.read_all()["warnings"].to_pylist()
    assert {"column": "age", "reason": "above the training range"} in told


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_bomb_is_refused_before_it_is_decoded(door_rig: Rig, codec: str) -> None:
    """Four kilobytes that hold 128 MB."""
    options = {"options": pa.ipc.IpcWriteOptions(compression=codec)}
    bomb = stream(pa.table({"age": pa.array(np.zeros(16_000_000))}), **options)
    assert len(bomb) < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RequestError, match="a stream is sent uncompressed"):
        read_stream(bomb, **LIMITS)
    small = stream(pa.table({"age": pa.array(np.zeros(40))}), **options)
    assert ask(door_rig, small).status == 400
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


def test_rows_are_counted_before_they_are_read(door_rig: Rig) -> None:
    reply = ask(door_rig, body(51))
    assert reply.status == 400
    assert "at most 50 rows" in reply.json()["error"]["message"]
    many = stream(*[pa.table({"age": pa.array([1] * 30)})] * 2)
    with pytest.raises(RequestError, match="at most 50 rows"):
        read_stream(many, **LIMITS)
    nothing = stream(pa.table({"age": pa.nulls(1000)}))
    with pytest.raises(RequestError, match="at most 50 rows"):
        read_stream(nothing, **LIMITS)


def test_a_dictionary_is_refused_where_its_texts_unfold_to_more_than_a_body(door_rig: Rig) -> None:
    """Two kilobytes that fifty rows share."""
    rows = json_rows(SCHEMA, mixed_table(50))
    table = arrow_table(SCHEMA, rows)
    for size, status in ((10, 200), (2000, 400)):
        shared = pa.DictionaryArray.from_arrays(np.zeros(50, np.int8), ["x" * size])
        sent = stream(table.set_column(table.column_names.index("color"), "color", shared))
        reply = ask(door_rig, sent)
        assert reply.status == status
    assert "at most 65536 bytes" in reply.json()["error"]["message"]


def as_color(table: pa.Table, color: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index("color"), "color", color)


def test_dictionaries_that_their_indices_do_not_reach_are_read(door_rig: Rig) -> None:
    """Larger than their indices can say, with a null, and other ones in each batch."""
    table = arrow_table(SCHEMA, json_rows(SCHEMA, mixed_table(2)))
    plain = as_color(table, pa.array(["blue", None]))
    expected = pa.ipc.open_stream(ask(door_rig, stream(plain)).body).read_all()
    texts = [f"other {k}" for k in range(126)]
    wide = pa.DictionaryArray.from_arrays(
        pa.array([0, None], pa.int8()), ["blue", *texts, "a", "b"]
    )
    nulls = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int8()), [None, "blue"])
    halves = [
        pa.DictionaryArray.from_arrays(pa.array([place], pa.int8()), [first, *texts])
        for place, first in ((0, "blue"), (0, None))
    ]
    single = [as_color(table.slice(k, 1), half) for k, half in enumerate(halves)]
    for sent in (stream(as_color(table, wide)), stream(as_color(table, nulls)), stream(*single)):
        reply = ask(door_rig, sent)
        assert reply.status == 200, reply.body
        answer = pa.ipc.open_stream(reply.body).read_all()
        assert answer["probability_yes"] == expected["probability_yes"]
    door_rig.recorder.flush()


def test_many_batches_with_a_large_dictionary_are_refused_before_they_are_validated() -> None:
    shared = pa.array([f"text {k}" for k in range(300_000)])
    batches = [
        pa.table({"x": pa.DictionaryArray.from_arrays(pa.array([k], pa.int32()), shared)})
        for k in range(40)
    ]
    with pytest.raises(RequestError, match="batches with 300000 texts in dictionaries are"):
        read_stream(stream(*batches), **LIMITS)
    assert read_stream(stream(*batches[:30]), **LIMITS).n_rows == 30


def test_empty_batches_count_as_rows() -> None:
    empty = pa.table({"x": pa.array([], pa.int64())}).to_batches(max_chunksize=1) or [
        pa.record_batch({"x": pa.array([], pa.int64())})
    ]
    with pytest.raises(RequestError, match="at most 50 rows"):
        read_stream(stream(*empty * 60), **LIMITS)


def test_a_time_zone_that_is_none_is_refused(door_rig: Rig) -> None:
    table = arrow_table(SCHEMA, json_rows(SCHEMA, mixed_table(1)))
    for name in ("since", "color"):
        place = table.column_names.index(name)
        wrong = pa.array([1], pa.timestamp("us", tz="Mars/Olympus"))
        reply = ask(door_rig, stream(table.set_column(place, name, wrong)))
        assert reply.status == 400
        assert "the time zone 'Mars/Olympus', which is none" in reply.json()["error"]["message"]


@pytest.mark.parametrize("name", ["color", "age", "member"])
@pytest.mark.parametrize(
    "cell",
    [
        pa.array([2**62], pa.timestamp("s")),
        pa.array([2**31 - 1], pa.int32()).cast(pa.date32()),
        pa.array([1], pa.timestamp("us", tz="UTC")),
    ],
    ids=str,
)
def test_times_in_a_column_of_another_kind_are_refused(
    door_rig: Rig, name: str, cell: pa.Array
) -> None:
    table = arrow_table(SCHEMA, json_rows(SCHEMA, mixed_table(1)))
    place = table.column_names.index(name)
    reply = ask(door_rig, stream(table.set_column(place, name, cell)))
    (item,) = reply.json()["error"]["items"]
    assert (reply.status, item["row"], item["column"]) == (400, 0, name)


@pytest.mark.parametrize("name", [b"ray.data.arrow_tensor", b"arrow.py_extension_type", b"x"])
def test_extension_types_are_refused_unread(door_rig: Rig, name: bytes) -> None:
    """Some run code when they are read."""
    field = pa.field(
        "age",
        pa.int64(),
        metadata={b"ARROW:extension:name": name, b"ARROW:extension:metadata": b"\x80\x04."},
    )
    reply = ask(door_rig, stream(pa.table([pa.array([1])], schema=pa.schema([field]))))
    assert reply.status == 400
    assert "no extension types" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([b"x"]),
        pa.array([1], pa.duration("s")),
        pa.array([1]).dictionary_encode(),
        pa.array([[1, 2]], pa.list_(pa.int64(), 2)),
        pa.array([1], pa.time64("us")),
        pa.array(["x"]).view(pa.string()).cast(pa.string_view()),
        pa.array([1], pa.decimal128(5)),
    ],
    ids=str,
)
def test_only_flat_columns_are_read(array: pa.Array) -> None:
    with pytest.raises(RequestError, match="column 'x' has the Arrow type"):
        read_stream(stream(pa.table({"x": array})), **LIMITS)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:-20],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"more",
        lambda data: data + data,
        lambda data: b"ARROW1\0\0" + data,
        lambda data: b"PAR1" + data,
        lambda data: data[8:],
        lambda data: b"\xff" * 64,
        lambda data: b"\0" * 64,
    ],
)
def test_what_is_no_whole_stream_is_refused(door_rig: Rig, change: Any) -> None:
    reply = ask(door_rig, change(body()))
    assert reply.status == 400
    assert "one valid Arrow IPC stream" in reply.json()["error"]["message"]


def test_offsets_and_indices_that_lead_outside_are_refused(door_rig: Rig) -> None:
    table = pa.table({"color": pa.array(["blue", "green"])})
    data = bytearray(stream(table))
    place = bytes(data).index((4).to_bytes(4, "little") + (9).to_bytes(4, "little"))
    data[place + 4 : place + 8] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(RequestError, match="one valid Arrow IPC stream"):
        read_stream(bytes(data), **LIMITS)
    wrong = pa.DictionaryArray.from_arrays(pa.array([0, 7]), pa.array(["a"]), safe=False)
    with pytest.raises(RequestError, match="one valid Arrow IPC stream"):
        read_stream(stream(pa.table({"color": wrong})), **LIMITS)


def test_columns_are_counted_before_they_are_looked_at(door_rig: Rig) -> None:
    """Of tens of thousands each look at all the others would take minutes."""
    many = pa.table([pa.array([1])] * 20_000, names=["age"] * 20_000)
    start = time.thread_time()
    with pytest.raises(RequestError, match="at most 60 columns, not 20000"):
        read_stream(stream(many), **LIMITS)
    assert time.thread_time() - start < 1
    reply = ask(door_rig, stream(many.select(range(100))))
    assert reply.status == 400 and "columns, not 100" in reply.json()["error"]["message"]
    more = pa.table({"label": ["yes"], "age": [3], "another": [1]})
    assert "column 'amount'" in ask(door_rig, stream(more)).json()["error"]["message"]


def test_many_small_batches_of_many_columns_are_refused() -> None:
    one = pa.array(["a"]).dictionary_encode()
    batches = [pa.table({str(k): one for k in range(40)})] * 300
    limits = {**LIMITS, "max_rows": 1000}
    with pytest.raises(RequestError, match="300 batches of 40 columns are too many"):
        read_stream(stream(*batches), **limits)
    assert read_stream(stream(*batches[:250]), **limits).n_rows == 250


def test_names_come_once() -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["age", "age"])
    with pytest.raises(RequestError, match="'age' comes twice"):
        read_stream(stream(table), **LIMITS)


def test_a_stream_without_rows_or_columns_is_refused(door_rig: Rig) -> None:
    assert ask(door_rig, stream(pa.table({"age": pa.array([], pa.int64())}))).status == 400
    empty = arrow_table(SCHEMA, json_rows(SCHEMA, mixed_table(1))).slice(0, 0)
    reply = ask(door_rig, stream(empty))
    assert (reply.status, reply.json()["error"]["law"]) == (400, "form")
    assert ask(door_rig, stream(pa.table({}))).status == 400


@pytest.mark.parametrize("metadata", [b"", b"\x04", b"\xff\xff\xff\xff", b"\x00" * 3, b"\x10" * 40])
def test_headers_that_are_none_are_told(metadata: bytes) -> None:
    with pytest.raises(Broken):
        read_header(metadata)


def test_headers_say_what_a_message_holds() -> None:
    from tenfold_serve.doors.arrow_door import _messages

    table = pa.table({"color": pa.array(["a", "b", "a"]).dictionary_encode()})
    kinds = [(header.kind, header.n_rows) for header, _ in _messages(stream(table))]
    assert kinds == [("schema", 0), ("dictionary", 2), ("batch", 3)]
