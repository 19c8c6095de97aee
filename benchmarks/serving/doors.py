"""Requests of 1,000 rows through each door beside the bare scorer, in one thread of one process.

Rounds of all of them are interleaved and the least of each is told, by the thread's own clock: it
is what the code costs, the others are what the machine did meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from _form import Form
from _recorder import forget
from serving.reference import N_NUMBERS, PROJECT, make_endpoint, rows_of

__all__ = ["ask", "bodies", "measure_doors"]

N_ROWS = 1000
_ROUNDS = 40
_CALLS = 200


def bodies(values: np.ndarray[Any, Any]) -> dict[str, tuple[str, bytes, list[tuple[bytes, bytes]]]]:
    """The same rows for every door: path, body, headers."""
    rows = rows_of(values)
    columns = {name: values[:, k] for k, name in enumerate(rows[0])}
    plain = {name: column.tolist() for name, column in columns.items()}
    sink = pa.BufferOutputStream()
    table = pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    n_rows = len(values)
    tensors = [
        {"name": name, "shape": [n_rows], "datatype": "FP64",
         "parameters": {"binary_data_size": 8 * n_rows}}
        for name in columns
    ]  # fmt: skip
    head = orjson.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}})
    tail = b"".join(column.astype("<f8").tobytes() for column in columns.values())
    inputs = [
        {"name": name, "shape": [n_rows], "datatype": "FP64", "data": column}
        for name, column in plain.items()
    ]
    json_type = [(b"content-type", b"application/json")]
    infer = f"/v2/models/{PROJECT}/infer"
    return {
        "json": ("/predict", orjson.dumps({"rows": rows}), json_type),
        "columns": ("/predict", orjson.dumps({"columns": plain}), json_type),
        "arrow": (
            "/predict",
            sink.getvalue().to_pybytes(),
            [(b"content-type", b"application/vnd.apache.arrow.stream")],
        ),
        "v2_json": (infer, orjson.dumps({"inputs": inputs}), json_type),
        "v2_binary": (
            infer,
            head + tail,
            [(b"content-type", b"application/octet-stream"),
             (b"inference-header-content-length", str(len(head)).encode())],
        ),
    }  # fmt: skip


async def ask(app: Any, path: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """One request, as a server hands it over."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": f"/{PROJECT}{path}", "query_string": b"",
        "root_path": f"/{PROJECT}", "headers": headers,
    }  # fmt: skip
    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent


def measure_doors(form: Form, folder: Path, live: Path) -> None:
    app = make_endpoint(folder, live)
    predictor = app._scoring.lineup().arms[0].predictor
    values = np.random.default_rng(1).normal(size=(N_ROWS, N_NUMBERS))
    matrix = predictor.preprocessor.transform_codes(values)
    loop = asyncio.new_event_loop()
    work: dict[str, Callable[[], object]] = {"scorer": lambda: predictor._engine.predict(matrix)}
    for name, (path, body, headers) in bodies(values).items():
        work[name] = lambda p=path, b=body, h=headers: loop.run_until_complete(ask(app, p, b, h))
    path, body, headers = bodies(values[:1])["json"]
    least = dict.fromkeys(work, float("inf"))
    for _ in range(_ROUNDS):
        for name, call in work.items():
            start = time.thread_time()
            call()
            least[name] = min(least[name], time.thread_time() - start)
        forget(app._recorder)

    async def one_row() -> float:
        start = time.thread_time()
        for _ in range(_CALLS):
            await ask(app, path, body, headers)
        forget(app._recorder)
        return (time.thread_time() - start) / _CALLS

    row_s = min(loop.run_until_complete(one_row()) for _ in range(_ROUNDS))
    loop.close()
    app._recorder.close()
    scorer = least.pop("scorer")
    form.add("scorer.rows_per_s", N_ROWS / scorer)
    form.add("one_row.us", row_s * 1e6)
    table = [["scorer", f"{scorer * 1e3:.2f}", "1"]]
    for name, seconds in least.items():
        form.add(f"{name}_vs_scorer", scorer / seconds)
        table.append([name, f"{seconds * 1e3:.2f}", f"{scorer / seconds:.2f}"])
    table.append(["one JSON row", f"{row_s * 1e3:.3f}", ""])
    form.table(f"Requests of {N_ROWS} rows, in process", ["door", "ms", "of the scorer"], table)
