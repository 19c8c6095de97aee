"""Our doors beside the bare scorer, and our endpoint beside what people put there instead.

``make bench-serving``; about three minutes; needs ``wrk`` (Debian package). The model is the
reference one: 200 trees of depth 6 on 20 numbers (`_serving`).

- In process: requests of 1,000 rows through each door, body to answer, beside the scorer of the
  artifact on the ready matrix, both on one thread, by that thread's own clock. Rounds of all of
  them are interleaved and the least of each is told: it is what the code costs, the others are what
  the machine did meanwhile.
- Over HTTP: one row a request, 16 connections and 1, closed loop, everything on one machine. Ours
  on a bare uvicorn and through Ray Serve with HAProxy; a hand-written FastAPI with the booster; a
  bare ASGI application with the same ONNX file. Turns of a few seconds each go round; medians are
  told.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow as pa

from _form import Form
from _serving import N_NUMBERS, PROJECT, make_endpoint, make_reference, rows_of

N_ROWS = 1000
_ROUNDS = 40
_CALLS = 200
_TURNS = 3
_TURN_S = 4
HERE = Path(__file__).parent


# --- in process ---------------------------------------------------------------------------------


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
        app._recorder._drain()  # the thread's work, not the request's

    async def one_row() -> float:
        start = time.thread_time()
        for _ in range(_CALLS):
            await ask(app, path, body, headers)
        app._recorder._drain()
        return (time.thread_time() - start) / _CALLS

    row_s = min(loop.run_until_complete(one_row()) for _ in range(_ROUNDS))
    loop.close()
    scorer = least.pop("scorer")
    form.add("scorer.rows_per_s", N_ROWS / scorer)
    form.add("one_row.us", row_s * 1e6)
    table = [["scorer", f"{scorer * 1e3:.2f}", "1"]]
    for name, seconds in least.items():
        form.add(f"{name}_vs_scorer", scorer / seconds)
        table.append([name, f"{seconds * 1e3:.2f}", f"{scorer / seconds:.2f}"])
    table.append(["one JSON row", f"{row_s * 1e3:.3f}", ""])
    form.table(f"Requests of {N_ROWS} rows, in process", ["door", "ms", "of the scorer"], table)


# --- peers --------------------------------------------------------------------------------------

FASTAPI = """
import sys, numpy as np, xgboost, uvicorn
from fastapi import FastAPI
from pydantic import create_model

names = [f"x{{k:02d}}" for k in range({n})]
Row = create_model("Row", **{{name: (float, ...) for name in names}})
booster = xgboost.Booster(model_file=sys.argv[1])
booster.set_param({{"nthread": 1}})
app = FastAPI()

@app.post("/predict")
async def predict(row: Row) -> dict:
    matrix = np.array([[getattr(row, name) for name in names]], dtype=np.float32)
    score = float(booster.inplace_predict(matrix)[0])
    return {{"value": "yes" if score >= 0.5 else "no", "probability": score}}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
"""

BARE = """
import sys, numpy as np, onnxruntime, orjson, uvicorn

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name

async def app(scope, receive, send):
    body = (await receive())["body"]
    row = orjson.loads(body)["rows"][0]
    matrix = np.array([list(row.values())], dtype=np.float32)
    scores = session.run(None, {{name: matrix}})[-1]
    answer = orjson.dumps(np.asarray(scores).tolist())
    headers = [(b"content-type", b"application/json"),
               (b"content-length", str(len(answer)).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": answer}})

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False,
            loop="uvloop", http="httptools", lifespan="off")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(command: list[str], **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, **more) as child:
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(60)


def await_answer(url: str, body: bytes, child: subprocess.Popen[bytes], *, limit_s: float) -> None:
    end = time.monotonic() + limit_s
    headers = {"content-type": "application/json"}
    while True:
        try:
            if httpx.post(url, content=body, headers=headers, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert child.poll() is None and time.monotonic() < end, f"{url} does not answer"
        time.sleep(0.2)


@contextmanager
def through_serve(folder: Path, work: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Our endpoint as `tenfold up` runs it: Ray Serve behind HAProxy."""
    from tenfold.registry import Registry
    from tenfold.settings import Settings

    settings = Settings.from_env({"TENFOLD_HOME": str(work / "home")})
    copy = work / "published"
    shutil.copytree(folder, copy)
    registry = Registry(settings)
    version = registry.publish(PROJECT, copy)
    registry.promote(PROJECT, version.version, expected=None)
    (work / "t.csv").write_text("x00,y\n1,yes\n2,no\n")
    project = work / "project.yaml"
    project.write_text(
        f"name: {PROJECT}\nproblem: {{task: binary, target: y, positive_class: 'yes'}}\n"
        "data: {sources: [{path: t.csv}]}\n"
    )
    port = free_port()
    command = [sys.executable, "-m", "tenfold_serve.keeper", "--project", str(project)]
    env = {**os.environ, **settings.to_env(), "TENFOLD_DASHBOARD": "0"}
    log = (work / "keeper.log").open("wb")
    with (
        log,
        process(
            [*command, "--port", str(port)], env=env, stdout=log, stderr=log,
            start_new_session=True,
        ) as child,
    ):  # fmt: skip
        yield f"http://127.0.0.1:{port}/{PROJECT}/predict", child


def wrk(url: str, script: Path, *, connections: int) -> dict[str, float]:
    """Requests a second and the median latency in ms of one turn."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{_TURN_S}s", "--latency", "-s", str(script), url],
        capture_output=True,
        text=True,
        check=True,
    )
    text = done.stdout
    assert "Non-2xx" not in text, text
    found = re.search(r"Requests/sec:\s+([\d.]+)", text)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    assert found and median, text
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}[median[2]]
    return {"rps": float(found[1]), "p50_ms": float(median[1]) * scale}


def measure_servers(form: Form, folder: Path, work: Path) -> None:
    row = rows_of(np.random.default_rng(2).normal(size=(1, N_NUMBERS)))[0]
    ours, flat = orjson.dumps({"rows": [row]}), orjson.dumps(row)
    scripts = {}
    for name, body in (("rows", ours), ("flat", flat)):
        scripts[name] = work / f"{name}.lua"
        scripts[name].write_text(
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            f"wrk.body = {json.dumps(body.decode())}\n"
        )
    (work / "fastapi_peer.py").write_text(FASTAPI.format(n=N_NUMBERS))
    (work / "bare_peer.py").write_text(BARE.format())
    ports = {name: free_port() for name in ("uvicorn", "fastapi", "bare_asgi")}
    here = {
        "uvicorn": [str(HERE / "_serving.py"), str(folder), str(ports["uvicorn"])],
        "fastapi": [
            str(work / "fastapi_peer.py"), str(folder / "model.ubj"), str(ports["fastapi"])
        ],
        "bare_asgi": [
            str(work / "bare_peer.py"), str(folder / "model.onnx"), str(ports["bare_asgi"])
        ],
    }  # fmt: skip
    paths = {"uvicorn": f"/{PROJECT}/predict", "fastapi": "/predict", "bare_asgi": "/"}
    urls: dict[str, tuple[str, Path]] = {}
    with ExitStack() as stack:
        for name, words in here.items():
            child = stack.enter_context(process([sys.executable, *words]))
            url = f"http://127.0.0.1:{ports[name]}{paths[name]}"
            script = scripts["flat" if name == "fastapi" else "rows"]
            await_answer(url, flat if name == "fastapi" else ours, child, limit_s=60)
            urls[name] = (url, script)
        url, child = stack.enter_context(through_serve(folder, work))
        await_answer(url, ours, child, limit_s=180)
        urls["serve"] = (url, scripts["rows"])
        turns: dict[str, list[dict[str, float]]] = {name: [] for name in urls}
        single: dict[str, list[dict[str, float]]] = {name: [] for name in urls}
        for _ in range(_TURNS):
            for name, (url, script) in urls.items():
                turns[name].append(wrk(url, script, connections=16))
                single[name].append(wrk(url, script, connections=1))
    rps = {name: statistics.median(t["rps"] for t in found) for name, found in turns.items()}
    p50 = {name: statistics.median(t["p50_ms"] for t in found) for name, found in single.items()}
    for name in rps:
        form.add(f"{name}.rps", rps[name])
        form.add(f"{name}.p50_ms_c1", p50[name])
    form.add("rps_vs_fastapi", rps["serve"] / rps["fastapi"])
    form.add("rps_vs_bare_asgi", rps["serve"] / rps["bare_asgi"])
    form.add("p50_ms_c1", p50["serve"])
    form.add("uvicorn.rps_vs_fastapi", rps["uvicorn"] / rps["fastapi"])
    form.add("uvicorn.rps_vs_bare_asgi", rps["uvicorn"] / rps["bare_asgi"])
    form.table(
        "One row a request, 16 connections",
        ["server", "requests/s", "p50 ms at 1"],
        [[name, f"{rps[name]:.0f}", f"{p50[name]:.3f}"] for name in rps],
    )


def main() -> None:
    """Measure and write the file."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed (Debian package wrk)")
    form = Form("serving")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = make_reference(work / "artifact")
        measure_doors(form, folder, work / "live")
        measure_servers(form, folder, work)
    form.finish(libraries=["onnxruntime", "xgboost", "fastapi", "uvicorn", "ray", "pyarrow"])


if __name__ == "__main__":
    main()
