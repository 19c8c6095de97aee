"""What a user would put there instead: each in an environment of its own, one process, one thread.

All serve the same booster (``model.ubj``) or the same graph (``model.onnx``), each in the form that
its own guides show, with its own defaults.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _environments import environment
from serving.processes import Target, await_answer, free_port, server
from serving.reference import PROJECT
from tenfold.artifact import PREPROCESS_FILE

__all__ = ["ADULT", "PEERS", "Peer", "peer_running"]

HERE = Path(__file__).parent
ADULT = "adult"
Row = dict[str, Any]

_WEB = (
    "fastapi==0.165.0", "uvicorn[standard]==0.54.0", "xgboost-cpu==3.2.0", "numpy==2.4.6",
    "onnxruntime==1.32.0", "orjson==3.13.0",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Peer:
    """A system that stands beside ours.

    Attributes:
        name: in the keys of the results.
        home: its environment; several may share one.
        installs: what that holds.
        model: the artifact's file that it serves.
        of: the project whose artifact that is.
        command: from its Python, the model, a port and a folder of its own.
        path: of the request.
        body: the row in its form.
        env: added to its environment.
    """

    name: str
    home: str
    installs: tuple[str, ...]
    model: str
    command: Callable[[Path, Path, int, Path], list[str]]
    path: str = "/predict"
    body: Callable[[Row], Any] = lambda row: row
    env: Callable[[Path, Path], dict[str, str]] = lambda model, folder: {}
    of: str = PROJECT


def _script(name: str, *more: str) -> Callable[[Path, Path, int, Path], list[str]]:
    return lambda python, model, port, folder: [
        str(python), str(HERE / name), str(model), str(port), *(str(folder) for _ in more)
    ]  # fmt: skip


def _with_columns(python: Path, model: Path, port: int, folder: Path) -> list[str]:
    """Told the columns of the model's matrix, and of a category the words behind its codes."""
    value = json.loads((model.parent / PREPROCESS_FILE).read_bytes())
    domains = {column["name"]: column["domain"] for column in value["schema"]["columns"]}
    columns = folder / "columns.json"
    columns.write_text(json.dumps([[name, domains[name]] for name in value["feature_names"]]))
    return [str(python), str(HERE / "peer_fastapi.py"), str(model), str(port), str(columns)]


def _bentoml(python: Path, model: Path, port: int, folder: Path) -> list[str]:
    return [
        str(python), "-m", "bentoml", "serve", "peer_bentoml:Scorer", "--host", "127.0.0.1",
        "--port", str(port), "--working-dir", str(HERE),
    ]  # fmt: skip


def _mlserver(python: Path, model: Path, port: int, folder: Path) -> list[str]:
    settings = {
        "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(),
        "metrics_port": free_port(),
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    named = {
        "name": PROJECT,
        "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": {"uri": str(model)},
    }
    (folder / "model-settings.json").write_text(json.dumps(named))
    return [str(python.with_name("mlserver")), "start", str(folder)]


def _v2(row: Row) -> Any:
    tensor = {"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": [*row.values()]}
    return {"inputs": [tensor]}


PEERS = (
    Peer("fastapi", "web", _WEB, "model.ubj", _script("peer_fastapi.py")),
    Peer("fastapi_onnx", "web", _WEB, "model.onnx", _script("peer_fastapi.py")),
    Peer("fastapi_adult", "web", _WEB, "model.ubj", _with_columns, of=ADULT),
    Peer("fastapi_onnx_adult", "web", _WEB, "model.onnx", _with_columns, of=ADULT),
    Peer("bare_asgi", "web", _WEB, "model.onnx", _script("peer_asgi.py"), path="/"),
    Peer(
        "ray_serve", "ray-serve", ("ray[serve]==2.60.0", "xgboost-cpu==3.2.0", "numpy==2.4.6"),
        "model.ubj", _script("peer_ray_serve.py", "folder"),
        env=lambda model, folder: {
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "b" * 64
        },
    ),
    Peer(
        "mlserver", "mlserver",
        ("mlserver==1.7.1", "mlserver-xgboost==1.7.1", "uvloop==0.21.0"),  # 0.22 it cannot use
        "model.ubj", _mlserver, path=f"/v2/models/{PROJECT}/infer", body=_v2,
    ),
    Peer(
        "bentoml", "bentoml", ("bentoml==1.4.40", "xgboost-cpu==3.2.0", "numpy"), "model.ubj",
        _bentoml, body=lambda row: {"rows": [[*row.values()]]},
        env=lambda model, folder: {
            "PEER_MODEL": str(model), "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "true"
        },
    ),
)  # fmt: skip


@contextmanager
def peer_running(
    peer: Peer, artifact: Path, row: Row, *, environments: Path, work: Path
) -> Iterator[Target]:
    """A peer that answers.

    Args:
        peer: which.
        artifact: folder with the model's files.
        row: what is asked.
        environments: where environments are kept.
        work: a folder with a short path (sockets lie in it), emptied by whoever made it.
    """
    python = environment(peer.home, peer.installs, folder=environments)
    folder, port, model = work / peer.name, free_port(), artifact / peer.model
    folder.mkdir()
    log = work / f"{peer.name}.log"
    command = peer.command(python, model, port, folder)
    target = Target(
        peer.name, f"http://127.0.0.1:{port}{peer.path}", json.dumps(peer.body(row)).encode()
    )
    env = {"PYTHONPATH": "", **peer.env(model, folder)}
    with server(command, log=log, folder=folder, env=env) as child:
        await_answer(target, child, log=log)
        yield target
