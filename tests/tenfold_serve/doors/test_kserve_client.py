"""KServe's own Python client, unchanged, against a real endpoint over HTTP.

Its release asks for a protobuf that Ray's lock does not allow, so it is installed without its
dependencies into a folder beside pytest's cache, once, and a child process looks there first.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenfold.schema import Kind
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table
from tests.tenfold_serve.doors.live import serving
from tests.tenfold_serve.doors.through import DOORS, Bits
from tests.tenfold_serve.support import Rig

PINS = Path(__file__).with_name("kserve-client.txt")
SCHEMA = mixed_schema()
ROWS = json_rows(SCHEMA, mixed_table(12, seed=4))
TYPES = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL"}

CLIENT = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
import kserve, google.protobuf

url, name = sys.argv[1], sys.argv[2]
sent = json.loads(sys.stdin.read())


def inputs(binary):
    made = []
    for tensor in sent:
        name, shape, datatype = tensor["name"], [len(tensor["data"])], tensor["datatype"]
        one = InferInput(name, shape, datatype, data=None if binary else tensor["data"])
        if binary:
            kinds = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}
            one.set_data_from_numpy(np.array(tensor["data"], kinds[datatype]), binary_data=True)
        made.append(one)
    return made


async def main():
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=20, retries=1))
    told = {
        "versions": [kserve.__file__, google.protobuf.__version__],
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model": await client.is_model_ready(url, name),
    }
    for binary in (False, True):
        request = InferRequest(name, inputs(binary), request_id="r1")
        answer = await client.infer(url, request, model_name=name)
        outputs = {output.name: output for output in answer.outputs}
        values = outputs["value"].as_numpy().ravel().tolist()
        told["binary" if binary else "json"] = {
            "id": answer.id,
            "name": answer.model_name,
            "values": [v.decode() if isinstance(v, bytes) else v for v in values],
            "scores": outputs["probabilities"].as_numpy().astype(np.float64).tolist(),
        }
    try:
        await client.infer(url, InferRequest("other", inputs(False)), model_name="other")
    except Exception as error:
        told["other"] = str(error)
    await client.close()
    print(json.dumps(told))


asyncio.run(main())
"""


def client_folder(config: pytest.Config, staging: Path) -> Path:
    """The folder with the client; some ten seconds the first time."""
    pins = PINS.read_text()
    name = f"kserve-{hashlib.sha256(pins.encode()).hexdigest()[:12]}"
    folder = Path(config.cache.mkdir("clients")) / name  # type: ignore[union-attr]
    if not folder.is_dir():
        staged = staging / name
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        command += ["--disable-pip-version-check", "--target", str(staged), "--requirement", PINS]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        partial = folder.with_name(f".{name}.{os.getpid()}")
        subprocess.run(["cp", "-r", staged, partial], check=True)
        try:
            partial.rename(folder)  # whole, or another worker was first
        except OSError:
            assert folder.is_dir()
    return folder


@pytest.fixture(scope="module")
def url(door_rig: Rig) -> Iterator[str]:
    with serving(door_rig.app) as port:
        yield f"http://127.0.0.1:{port}/mixed"


def tensors() -> list[dict[str, Any]]:
    """Every column with its mask: the client knows no null."""
    sent = []
    for column in SCHEMA.features:
        datatype = TYPES.get(column.kind, "BYTES")
        values = [row[column.name] for row in ROWS]
        empty: Any = {"BYTES": "", "BOOL": False}.get(datatype, 0)
        filled = [empty if value is None else value for value in values]
        sent.append({"name": column.name, "datatype": datatype, "data": filled})
        mask = [value is None for value in values]
        sent.append({"name": f"{column.name}.missing", "datatype": "BOOL", "data": mask})
    return sent


def test_kserves_client_works_unchanged(
    door_rig: Rig, url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    overlay = client_folder(request.config, tmp_path)
    check_kserves_client(url, overlay, DOORS["rows"](door_rig, SCHEMA, ROWS))


def check_kserves_client(url: str, overlay: Path, expected: Bits) -> None:
    """It gets these answers as JSON and with binary tensors."""
    path = os.pathsep.join([str(overlay), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, url, "mixed"],
        input=json.dumps(tensors()),
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["versions"][0].startswith(str(overlay))
    assert told["versions"][1].startswith("6.")
    assert told["live"] and told["ready"] and told["model"]
    for form in ("json", "binary"):
        answer = told[form]
        assert (answer["id"], answer["name"]) == ("r1", "mixed")
        assert answer["values"] == expected.values
        assert np.array(answer["scores"]).tobytes() == expected.scores
    assert "404" in told["other"]
