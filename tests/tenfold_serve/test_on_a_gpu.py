"""An endpoint on a GPU that is none: Ray counts one, and ONNX Runtime claims it (`tests.standins`).

Everything else is real: keeper, plan, Serve, replica, probe. One keeper for the file, in order.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tenfold.cluster.connect import auth_environment
from tenfold.cluster.keeper import read_keeper
from tenfold.cluster.ports import free_port
from tenfold.cluster.sessions import SessionRecord, end_session, members
from tenfold.registry import Registry
from tenfold.settings import Settings
from tests.tenfold_serve.support import PROJECT, make_artifact
from tests.tenfold_serve.test_keeper_e2e import ROWS, command_line, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STANDINS = Path(__file__).resolve().parents[1] / "standins"
ONE_T4 = json.dumps({"GPU": 1, "accelerator_type:T4": 1})
FREE = """
import json
import sys

import ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="error", namespace="tenfold")
print(json.dumps(ray.available_resources()))
"""


class Endpoint:
    def __init__(self, folder: Path) -> None:
        self.settings = Settings.from_env({"TENFOLD_HOME": str(folder / "home")})
        self.folder, self.port = folder, free_port()
        self.registry = Registry(self.settings)
        self.project = folder / "project.yaml"
        serve = {**PROJECT["serve"], "device": "gpu"}  # type: ignore[dict-item]
        self.project.write_text(yaml.safe_dump({**PROJECT, "serve": serve}))
        (folder / "mixed.csv").write_text("label\nyes\n")

    def publish(self, seed: int, family: str) -> None:
        make_artifact(self.folder / f"{seed}", family=family, seed=seed)
        version = self.registry.publish("mixed", self.folder / f"{seed}").version
        before = self.registry.alias("mixed", "champion")
        self.registry.promote("mixed", version, expected=before)

    def start(self, *, claims_cuda: bool) -> subprocess.Popen[bytes]:
        """A keeper, on a runtime that claims CUDA or not."""
        self.settings.keeper.mkdir(parents=True, exist_ok=True)
        path = os.environ.get("PYTHONPATH", "")
        paths = os.pathsep.join([str(STANDINS), path]) if claims_cuda else path
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tenfold_serve.keeper"),
                    *("--project", str(self.project), "--port", str(self.port)),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ
                | self.settings.to_env()
                | {"RAY_OVERRIDE_RESOURCES": ONE_T4, "PYTHONPATH": paths}
                | {"BROKEN_GPU": str(self.folder / "broken")},
                start_new_session=True,
            )
        return self.process

    @property
    def log(self) -> Path:
        return self.settings.keeper / "keeper.log"

    @property
    def record(self) -> dict[str, Any]:
        return read_keeper(self.settings) or {}

    def replica(self) -> int | None:
        """The process of the only one."""
        found = members(SessionRecord.from_dict(self.record))
        pids = [pid for pid in found if "ServeReplica" in command_line(pid)]
        return pids[0] if len(pids) == 1 else None

    def status(self) -> dict[str, Any]:
        path = self.settings.keeper / "status.json"
        found: dict[str, Any] = json.loads(path.read_bytes())["mixed"] if path.exists() else {}
        return found

    def ready(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.port}/mixed/readyz").json()
        except (httpx.HTTPError, ValueError):
            return {"arms": []}
        return found

    def predict(self) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}/mixed/predict"
        return httpx.post(url, json={"rows": ROWS}, timeout=15)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    made = Endpoint(tmp_path_factory.mktemp("on-a-gpu"))
    made.publish(0, "linear")
    yield made
    if made.record:
        end_session(SessionRecord.from_dict(made.record), grace_s=20)
    made.process.wait(20)


def test_without_a_runtime_for_it_the_endpoint_does_not_start(endpoint: Endpoint) -> None:
    process = endpoint.start(claims_cuda=False)
    assert process.wait(120) == 2
    last = endpoint.log.read_text().splitlines()[-1]
    assert last.startswith("error: onnxruntime ")
    assert "must bring CUDAExecutionProvider to answer on a GPU" in last


def test_a_replica_has_its_share_and_answers_on_the_device_that_the_plan_names(
    endpoint: Endpoint,
) -> None:
    process = endpoint.start(claims_cuda=True)

    def ready() -> bool:
        assert process.poll() is None, endpoint.log.read_text()[-3000:]
        return bool(endpoint.record.get("ready"))

    eventually(ready, within_s=150)
    (arm,) = endpoint.ready()["arms"]
    assert (arm["version"], arm["device"]) == (1, "cuda")
    reply = endpoint.predict()
    assert reply.status_code == 200
    assert len(reply.json()["predictions"]) == len(ROWS)
    eventually(lambda: "replicas" in endpoint.status(), within_s=20)
    told = endpoint.status()["replicas"]
    assert told["device"] == "cuda"
    assert told["why"].startswith("the replica answers on CUDA with 0.0")
    share = float(told["why"].split()[6])
    done = subprocess.run(
        [sys.executable, "-c", FREE, endpoint.record["ray_address"]],
        env=os.environ | auth_environment(endpoint.settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout)["GPU"] == pytest.approx(1 - share)


def test_another_model_is_swapped_in_and_trees_are_not(endpoint: Endpoint) -> None:
    endpoint.publish(1, "linear")
    eventually(lambda: endpoint.ready()["arms"][0]["version"] == 2, within_s=30)
    assert endpoint.ready()["arms"][0]["device"] == "cuda"
    endpoint.publish(2, "boosting")
    eventually(lambda: "refused" in endpoint.status(), within_s=30)
    assert "version 3 cannot answer here: serve.device: gpu" in endpoint.status()["refused"]
    (arm,) = endpoint.ready()["arms"]
    assert arm["version"] == 2


def test_a_replica_that_lost_its_gpu_is_replaced(endpoint: Endpoint) -> None:
    lost = endpoint.replica()
    assert lost is not None
    (endpoint.folder / f"broken.{lost}").touch()
    assert endpoint.predict().status_code == 500

    def another_answers() -> bool:
        arms = endpoint.ready().get("arms") or [{}]
        return endpoint.replica() not in (lost, None) and arms[0].get("device") == "cuda"

    eventually(another_answers, within_s=90)
    assert endpoint.predict().status_code == 200
