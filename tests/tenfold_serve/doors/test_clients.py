"""Clients that we did not write, unchanged: tritonclient, curl, pyarrow with urllib, httpx."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from tenfold.schema import Kind
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tests.tenfold_serve.doors.live import serving
from tests.tenfold_serve.doors.through import ARROW, DOORS, arrow_table, stream
from tests.tenfold_serve.support import Rig

SCHEMA = mixed_schema()
ROWS = json_rows(SCHEMA, mixed_table(12, seed=4))


@pytest.fixture(scope="module")
def url(door_rig: Rig) -> Iterator[str]:
    with serving(door_rig.app) as port:
        yield f"127.0.0.1:{port}/mixed"


@pytest.fixture(scope="module")
def expected(door_rig: Rig) -> Any:
    return DOORS["rows"](door_rig, SCHEMA, ROWS)


# tritonclient runs on gevent, which patches threads of the process that imports it: so in a child.
TRITON = """
import json, sys
import numpy as np
import tritonclient.http as triton

url, name = sys.argv[1], sys.argv[2]
sent = json.loads(sys.stdin.read())
client = triton.InferenceServerClient(url=url)
told = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": client.is_model_ready(name),
    "version_ready": client.is_model_ready(name, "1"),
    "server": client.get_server_metadata(),
    "model": client.get_model_metadata(name),
}
types = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}
for binary in (True, False):
    inputs = []
    for tensor in sent:
        one = triton.InferInput(tensor["name"], [len(tensor["data"])], tensor["datatype"])
        one.set_data_from_numpy(np.array(tensor["data"], types[tensor["datatype"]]), binary)
        inputs.append(one)
    wanted = [triton.InferRequestedOutput(n, binary) for n in ("id", "value", "probabilities")]
    for outputs in (None, wanted):
        answer = client.infer(name, inputs, outputs=outputs, request_id="r1")
        values = answer.as_numpy("value").tolist()
        told[f"{binary} {outputs is None}"] = {
            "id": answer.get_response()["id"],
            "values": [v.decode() if isinstance(v, bytes) else v for v in values],
            "scores": answer.as_numpy("probabilities").tobytes().hex(),
        }
try:
    client.infer("other", inputs)
except triton.InferenceServerException as error:
    told["other"] = [error.status(), error.message()]
try:
    client.infer(name, inputs[:1])
except triton.InferenceServerException as error:
    told["short"] = [error.status(), error.message()]
print(json.dumps(told))
"""

V2_TYPES = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL"}


def tensors() -> list[dict[str, Any]]:
    """Every column with its mask, as a client of the protocol sends missing values."""
    sent = []
    for column in SCHEMA.features:
        values = [row[column.name] for row in ROWS]
        datatype = V2_TYPES.get(column.kind, "BYTES")
        empty = "" if datatype == "BYTES" else 0
        sent.append(
            {
                "name": column.name,
                "datatype": datatype,
                "data": [empty if v is None else v for v in values],
            }
        )
        mask = [v is None for v in values]
        sent.append({"name": f"{column.name}.missing", "datatype": "BOOL", "data": mask})
    return sent


def test_tritonclient_works_unchanged(url: str, expected: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRITON, url, "mixed"],
        input=json.dumps(tensors()),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert all(told[name] for name in ("live", "ready", "model_ready", "version_ready"))
    assert told["server"]["extensions"] == ["binary_tensor_data"]
    assert [one["name"] for one in told["model"]["inputs"]] == [c.name for c in SCHEMA.features]
    for form in ("True True", "True False", "False True", "False False"):
        answer = told[form]
        assert (answer["id"], answer["values"]) == ("r1", expected.values)
        assert answer["scores"] == expected.scores.hex()
    assert told["other"][0] == "404"
    assert "the column is missing" in told["short"][1]


def curl(*words: str, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "30", *words],
        input=data,
        capture_output=True,
        check=True,
    )


def test_curl_with_json(url: str, expected: Any) -> None:
    json_type = ("-H", "Content-Type: application/json", "--data-binary", "@-")
    done = curl(f"http://{url}/predict", *json_type, data=json.dumps({"rows": ROWS}).encode())
    items = json.loads(done.stdout)["predictions"]
    assert [item["value"] for item in items] == expected.values
    # Without a type of its own curl says that it sends a form.
    refused = curl(f"http://{url}/predict", "-w", "%{http_code}", "--data", "{}")
    assert refused.stdout.endswith(b"415")


def test_curl_with_a_stream_in_a_file(url: str, expected: Any, tmp_path: Path) -> None:
    (tmp_path / "in.arrow").write_bytes(stream(arrow_table(SCHEMA, ROWS)))
    curl(
        f"http://{url}/predict", "-H", f"Content-Type: {ARROW.decode()}",
        "--data-binary", f"@{tmp_path / 'in.arrow'}", "-o", str(tmp_path / "out.arrow"),
    )  # fmt: skip
    table = pa.ipc.open_stream((tmp_path / "out.arrow").read_bytes()).read_all()
    assert table["value"].to_pylist() == expected.values


def test_curl_waits_for_the_answer_to_a_body_that_is_too_large(url: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b" " * 5_000_000)
    for more in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue")):
        done = curl(
            f"http://{url}/predict", "-H", "Content-Type: application/json", *more,
            "--data-binary", f"@{tmp_path / 'large'}", "-w", "\n%{http_code}",
        )  # fmt: skip
        body, _, code = done.stdout.rpartition(b"\n")
        assert code == b"413"
        assert json.loads(body)["error"]["law"] == "body-size"


def test_pyarrow_over_urllib(url: str, expected: Any) -> None:
    request = urllib.request.Request(
        f"http://{url}/predict?with=warnings",
        data=stream(arrow_table(SCHEMA, ROWS)),
        headers={"Content-Type": ARROW.decode()},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer, pa.ipc.open_stream(answer) as reader:
        table = reader.read_all()
    scores = np.column_stack([table[f"probability_{c}"].to_numpy() for c in ("no", "yes")])
    assert scores.tobytes() == expected.scores
    assert "warnings" in table.column_names


def test_a_connection_is_kept_and_the_id_comes_back(url: str) -> None:
    with httpx.Client(trust_env=False) as client:
        for number in range(20):
            reply = client.post(
                f"http://{url}/predict",
                json={"rows": ROWS[:1]},
                headers={"x-request-id": f"order-{number}"},
            )
            assert reply.status_code == 200
            assert reply.headers["x-request-id"] == f"order-{number}"
        connection = reply.extensions["network_stream"]
        again = client.post(f"http://{url}/predict", json={"rows": [{}]})
        assert again.status_code == 400
        assert again.extensions["network_stream"] is connection
        assert len(again.headers["x-request-id"]) == 25
        head = client.head(f"http://{url}/readyz")
        assert (head.status_code, head.content) == (200, b"")
