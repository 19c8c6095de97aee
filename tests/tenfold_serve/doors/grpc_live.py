"""The gRPC door on loopback, and what a caller without generated code says to it."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np

from tenfold.schema import Kind, Schema
from tenfold_serve.doors.grpc_messages import SERVICE, message
from tenfold_serve.doors.tensors import pack
from tenfold_serve.endpoint import Endpoint
from tenfold_serve.grpc_server import GrpcPort

TYPES = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL"}
NUMPY: dict[str, Any] = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_}


@contextmanager
def grpc_serving(endpoint: Endpoint, *, max_calls: int = 64) -> Iterator[str]:
    """Serve in a thread with a loop of its own; gives the address."""
    ports: queue.Queue[int] = queue.Queue()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        server = endpoint.grpc_server(GrpcPort(0, max_calls=max_calls))
        ports.put(await server.start())
        await stop.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    port = ports.get(timeout=20)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)


def ask(address: str, method: str, request: Any, **metadata: str) -> Any:
    """One call on a channel of its own."""
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=message(f"{method}Request").SerializeToString,
            response_deserializer=message(f"{method}Response").FromString,
        )
        pairs = [(key.replace("_", "-"), value) for key, value in metadata.items()]
        return call(request, timeout=20, metadata=pairs)


def infer_request(
    schema: Schema, rows: Sequence[dict[str, Any]], *, raw: bool = True, **more: Any
) -> Any:
    """Every column with its mask, raw or in typed contents."""
    inputs, tail = [], []
    for column in schema.features:
        datatype = TYPES.get(column.kind, "BYTES")
        values = [row[column.name] for row in rows]
        empty: Any = {"BYTES": "", "BOOL": False, "INT64": 0}.get(datatype, float("nan"))
        filled = [empty if value is None else value for value in values]
        mask = [value is None for value in values]
        for name, kind, told in (
            (column.name, datatype, filled),
            (f"{column.name}.missing", "BOOL", mask),
        ):
            tensor: dict[str, Any] = {"name": name, "datatype": kind, "shape": [len(rows)]}
            if raw:
                tail.append(pack(told if kind == "BYTES" else np.array(told, NUMPY[kind])))
            else:
                tensor["contents"] = contents(kind, told)
            inputs.append(tensor)
    return message("ModelInferRequest")(
        model_name="mixed", inputs=inputs, raw_input_contents=tail, **more
    )


def contents(kind: str, values: list[Any]) -> dict[str, Any]:
    if kind == "BYTES":
        return {"bytes_contents": [value.encode() for value in values]}
    return {{"FP64": "fp64", "INT64": "int64", "BOOL": "bool"}[kind] + "_contents": values}


def found(answer: Any) -> dict[str, Any]:
    """Outputs by name: texts, or arrays."""
    out: dict[str, Any] = {}
    for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=True):
        if tensor.datatype == "BYTES":
            texts = []
            while raw:
                size = int.from_bytes(raw[:4], "little")
                texts.append(raw[4 : 4 + size].decode())
                raw = raw[4 + size :]
            out[tensor.name] = texts
        else:
            kind = np.dtype("?") if tensor.datatype == "BOOL" else np.dtype("<f8")
            out[tensor.name] = np.frombuffer(raw, kind).reshape(list(tensor.shape))
    return out
