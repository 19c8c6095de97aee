"""The same rows through any door: what went in, and the bits that came out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
import numpy as np
import orjson
import pyarrow as pa

from tenfold.schema import Column, Kind, Schema
from tenfold_serve.doors.grpc_messages import SERVICE, message
from tenfold_serve.grpc_server import GrpcPort
from tests.tenfold_serve.doors.grpc_live import found, infer_request
from tests.tenfold_serve.support import Reply, Rig

ARROW = b"application/vnd.apache.arrow.stream"
ARROW_TYPE = (b"content-type", ARROW)


@dataclass(frozen=True)
class Bits:
    """An answer, comparable bit for bit: values and float64 scores."""

    values: list[Any]
    scores: bytes


def stream(*batches: pa.Table | pa.RecordBatch, **options: Any) -> bytes:
    """An IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, **options) as writer:
        for batch in batches:
            writer.write(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def arrow_table(schema: Schema, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """JSON rows as an Arrow table of the schema's types."""
    types = schema.arrow_schema()
    arrays = []
    for column in schema.features:
        values = [row[column.name] for row in rows]
        if column.kind is Kind.DATETIME:
            values = [None if v is None else datetime.fromisoformat(v) for v in values]
        arrays.append(pa.array(values, types.field(column.name).type))
    return pa.table(arrays, names=[column.name for column in schema.features])


def _ok(reply: Reply) -> Reply:
    assert reply.status == 200, reply.body
    return reply


def _json_bits(values: list[Any], probabilities: list[list[float]]) -> Bits:
    scores = np.array(probabilities if probabilities else [[v] for v in values], np.float64)
    return Bits(values, scores.tobytes())


def rows_door(rig: Rig, _schema: Schema, rows: Sequence[dict[str, Any]]) -> Bits:
    items = _ok(rig.ask("POST", "/predict", {"rows": rows})).json()["predictions"]
    return _json_bits(
        [item["value"] for item in items],
        [list(item["probabilities"].values()) for item in items if "probabilities" in item],
    )


def columns_door(rig: Rig, schema: Schema, rows: Sequence[dict[str, Any]]) -> Bits:
    columns = {c.name: [row[c.name] for row in rows] for c in schema.features}
    answer = _ok(rig.ask("POST", "/predict", {"columns": columns})).json()["columns"]
    scores = zip(*answer.get("probabilities", {}).values(), strict=True)
    return _json_bits(answer["value"], [list(row) for row in scores])


def _arrow_bits(reply: Reply) -> Bits:
    table = pa.ipc.open_stream(_ok(reply).body).read_all()
    names = [name for name in table.column_names if name.startswith("probability_")]
    arrays = [table[name].to_numpy() for name in names or ["value"]]
    return Bits(table["value"].to_pylist(), np.column_stack(arrays).tobytes())


def arrow_door(rig: Rig, schema: Schema, rows: Sequence[dict[str, Any]]) -> Bits:
    body = stream(arrow_table(schema, rows))
    return _arrow_bits(rig.ask("POST", "/predict", body, headers=[ARROW_TYPE]))


def other_arrow_door(rig: Rig, schema: Schema, rows: Sequence[dict[str, Any]]) -> Bits:
    """The same values in other types, other order, two batches with dictionaries of their own."""
    table = arrow_table(schema, rows)
    arrays, names = [], list(reversed(table.column_names))
    for name in names:
        array, kind = table[name].combine_chunks(), schema.column(name).kind
        if pa.types.is_string(array.type):
            array = array.dictionary_encode()
        elif kind is Kind.DATETIME:
            array = array.cast(pa.timestamp("us", tz="Europe/Zurich"))
        elif kind is Kind.INTEGER:
            array = array.cast(pa.float64(), safe=False)
        arrays.append(array)
    whole = pa.table(arrays, names=names)
    cut = len(rows) // 2
    parts = [whole.slice(0, cut), whole.slice(cut)]
    parts = [pa.table([_again(c) for c in part.columns], names=names) for part in parts]
    return _arrow_bits(rig.ask("POST", "/predict", stream(*parts), headers=[ARROW_TYPE]))


def _again(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary of only what this part holds."""
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).dictionary_encode()
    return column


_V2_TYPES = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL"}
_NUMPY = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_}


def v2_json_door(rig: Rig, schema: Schema, rows: Sequence[dict[str, Any]]) -> Bits:
    inputs = [
        {
            "name": c.name,
            "shape": [len(rows), 1],
            "datatype": _V2_TYPES.get(c.kind, "BYTES"),
            "data": [row[c.name] for row in rows],
        }
        for c in schema.features
    ]
    answer = _ok(rig.ask("POST", "/v2/models/mixed/infer", {"inputs": inputs, "id": "q"})).json()
    assert answer["id"] == "q"
    outputs = {tensor["name"]: tensor for tensor in answer["outputs"]}
    value = outputs["value"]["data"]
    scores = np.array(outputs.get("probabilities", outputs["value"])["data"], np.float64)
    return Bits(value, scores.tobytes())


def v2_binary_door(rig: Rig, schema: Schema, rows: Sequence[dict[str, Any]]) -> Bits:
    """Every column with its mask; NaN stands for missing numbers."""
    inputs, tail = [], []
    for column in schema.features:
        values = [row[column.name] for row in rows]
        datatype = _V2_TYPES.get(column.kind, "BYTES")
        data = _pack(column, datatype, values)
        inputs.append(_tensor(column.name, datatype, len(rows), data))
        tail.append(data)
        if datatype != "FP64":
            mask = np.array([v is None for v in values]).tobytes()
            inputs.append(_tensor(f"{column.name}.missing", "BOOL", len(rows), mask))
            tail.append(mask)
    head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"inference-header-content-length", str(len(head)).encode()),
    ]
    body = head + b"".join(tail)
    reply = _ok(rig.ask("POST", "/v2/models/mixed/infer", body, headers=headers))
    return _v2_bits(reply)


def _tensor(name: str, datatype: str, n_rows: int, data: bytes) -> dict[str, Any]:
    parameters = {"binary_data_size": len(data)}
    return {"name": name, "shape": [n_rows], "datatype": datatype, "parameters": parameters}


def _pack(column: Column, datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        texts = [(v or "").encode() for v in values]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    empty = float("nan") if column.kind is Kind.NUMBER else 0
    filled = [empty if v is None else v for v in values]
    return np.array(filled, dtype=_NUMPY[datatype]).tobytes()


def _v2_bits(reply: Reply) -> Bits:
    n_json = int(reply.headers[b"inference-header-content-length"])
    place, found = n_json, {}
    for tensor in orjson.loads(reply.body[:n_json])["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        found[tensor["name"]] = (tensor, reply.body[place : place + size])
        place += size
    assert place == len(reply.body)
    tensor, raw = found["value"]
    values: list[Any] = []
    if tensor["datatype"] == "FP64":
        values = np.frombuffer(raw).tolist()
    while raw and tensor["datatype"] == "BYTES":
        size = int.from_bytes(raw[:4], "little")
        values.append(raw[4 : 4 + size].decode())
        raw = raw[4 + size :]
    return Bits(values, found.get("probabilities", found["value"])[1])


def grpc_door(rig: Rig, schema: Schema, rows: Sequence[dict[str, Any]]) -> Bits:
    """A server and a channel for this one call, over loopback."""
    request = infer_request(schema, rows)

    async def call() -> Any:
        server = rig.app.grpc_server(GrpcPort(0))
        port = await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            infer = channel.unary_unary(
                f"/{SERVICE}/ModelInfer",
                response_deserializer=message("ModelInferResponse").FromString,
            )
            answer = await infer(request.SerializeToString(), timeout=20)
        await server.stop()
        return answer

    told = found(asyncio.run(call()))
    values = told["value"]
    scores = told.get("probabilities", values)
    return Bits(values if isinstance(values, list) else values.tolist(), scores.tobytes())


Door = Callable[[Rig, Schema, Sequence[dict[str, Any]]], Bits]
DOORS: dict[str, Door] = {
    "rows": rows_door,
    "columns": columns_door,
    "arrow": arrow_door,
    "other arrow": other_arrow_door,
    "v2 json": v2_json_door,
    "v2 binary": v2_binary_door,
    "grpc": grpc_door,
}
