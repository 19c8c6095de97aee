"""A small real model of the mixed table with its reference, as training publishes it."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from tenfold.artifact import ManifestDraft, ProbeResult, probe
from tenfold.canonical import canonical_json
from tenfold.evaluation import Intervals, Sets
from tenfold.features.codes import encode_table
from tenfold.inference import pack_artifact
from tenfold.inference.pack import draft_predictor
from tenfold.monitor import FrozenBins, LossRule, build_reference
from tenfold.profile import Profile
from tenfold.registry import Version
from tenfold.testing.artifacts import small_files
from tenfold.testing.mixed import json_rows, mixed_schema, mixed_table, wide_table
from tenfold_serve.access import Access
from tenfold_serve.answers import Answers, Entry
from tenfold_serve.arms import ArmBoard, Lineup, arm_config
from tenfold_serve.endpoint import Endpoint, EndpointLimits
from tenfold_serve.ids import IdMaker
from tenfold_serve.label_log import LabelLog
from tenfold_serve.prediction_log import answers_table
from tenfold_serve.recorder import Recorder
from tenfold_serve.shipping import Report

PROJECT = {
    "name": "mixed",
    "problem": {"task": "binary", "target": "label", "positive_class": "yes"},
    "data": {"sources": [{"path": "mixed.csv"}]},
    "serve": {"max_rows": 50, "max_body_bytes": 65536},
    "monitor": {"block_rows": 50},
    "retrain": {"min_labels": 100, "cooldown": "1s"},
}

Publish = Callable[..., Version]


def answers_by_arm(entries: Iterable[Entry]) -> list[Answers]:
    """Answered requests by the model that answered them; those of one keep their order."""
    found: dict[int, list[Entry]] = {}
    for entry in entries:
        found.setdefault(id(entry.arm), []).append(entry)
    return [Answers.of(each) for each in found.values()]


def segment_tables(entries: Iterable[Entry], *, replica: str) -> list[pa.Table]:
    """The log rows of requests, as a recorder makes them."""
    return [answers_table(answers, replica=replica) for answers in answers_by_arm(entries)]


def make_artifact(
    folder: Path,
    *,
    family: str = "boosting",
    engine: str = "onnx",
    seed: int = 0,
    wide: bool = False,
    graph: Callable[[bytes], bytes] | None = None,
) -> None:
    """An artifact folder as training leaves it: model, golden rows, reference.

    Fitted once a process and written as often as it is asked for: the bytes are the same.
    ``graph`` changes the model's ONNX graph first, see `tests.tenfold_serve.bad_models`.
    """
    folder.mkdir(parents=True)
    files = _files_of(family, engine=engine, seed=seed, wide=wide, graph=graph)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@cache
def _files_of(
    family: str, *, engine: str, seed: int, wide: bool, graph: Callable[[bytes], bytes] | None
) -> Mapping[str, bytes]:
    with TemporaryDirectory() as parent:
        folder = Path(parent) / "made"
        _fit(folder, family=family, engine=engine, seed=seed, wide=wide, graph=graph)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def _fit(
    folder: Path,
    *,
    family: str,
    engine: str,
    seed: int,
    wide: bool,
    graph: Callable[[bytes], bytes] | None,
) -> None:
    made_of = wide_table if wide else mixed_table
    files, draft = small_files(family, engine=engine, seed=seed, wide=wide)
    if graph is not None:
        files["model.onnx"] = graph(files["model.onnx"])
    draft = dataclasses.replace(draft, project=PROJECT)
    predictor = draft_predictor(files, draft)
    table = made_of(3000, seed=99)
    codes = encode_table(draft.schema, table)
    answer = predictor.predict_codes(codes)
    bins = FrozenBins.freeze(draft.schema, Profile.from_table(table, draft.schema))
    losses = rule = None
    if draft.task != "clustering":
        target = draft.schema.target
        assert target is not None
        truth = table.column(target.name).to_pylist()
        truth = [np.nan_to_num(t) if t is None else t for t in truth]
        if draft.task == "regression":
            truth = [50.0 if t is None else float(t) for t in truth]
        rule = LossRule.fit(draft.task, answer.values, truth)
        losses = rule.losses(answer.values, truth)
    reference = build_reference(
        bins, codes, scores=answer.scores, losses=losses, rule=rule, block_rows=50
    )
    if draft.task in ("binary", "regression"):
        files["conformal.json"] = canonical_json(limits(draft, answer.scores, truth).to_dict())
    files["reference.json"] = reference.to_bytes()
    pack_artifact(folder, files=files, manifest=draft, table=made_of(100, seed=seed))


_PROBED: dict[tuple[tuple[str, bytes], ...], ProbeResult] = {}


def probe_once(folder: Path) -> ProbeResult:
    """A real probe in a real child, which takes a second: once a process for the same bytes."""
    files = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    key = tuple((name, hashlib.sha256(content).digest()) for name, content in files)
    if key not in _PROBED:
        _PROBED[key] = probe(folder)
    return _PROBED[key]


def limits(draft: ManifestDraft, scores: Any, truth: list[Any]) -> Intervals | Sets:
    """As training makes them of out-of-fold rows."""
    if not draft.classes:
        return Intervals.fit(scores, np.array(truth, dtype=np.float64))
    numbers = [draft.classes.index(name) for name in truth]
    return Sets.fit(scores, np.array(numbers, dtype=np.int64))


def config_of(*versions: Version, weights: tuple[float, ...] = (1.0,)) -> dict[str, object]:
    names = ("champion", "challenger")
    return {
        "generation": 1,
        "arms": [
            arm_config(name, version=v.version, digest=v.model_digest, path=v.path, weight=weight)
            for name, v, weight in zip(names, versions, weights, strict=False)
        ],
    }


def board_with(*versions: Version, weights: tuple[float, ...] = (1.0,)) -> ArmBoard:
    board = ArmBoard()
    lineup: Lineup = board.change(config_of(*versions, weights=weights))
    assert lineup.reason == ""
    return board


@dataclasses.dataclass
class Reply:
    """What an ASGI application answered."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Any,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] = b"",
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> Reply:
    """One request to an ASGI application, chunk by chunk as a server would hand it over."""
    chunks = iter([body] if isinstance(body, bytes) else body)
    waiting: list[bytes] = []
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        chunk = waiting.pop() if waiting else next(chunks, b"")
        following = next(chunks, None)
        if following is not None:
            waiting.append(following)
        return {"type": "http.request", "body": chunk, "more_body": following is not None}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": f"/mixed{path.partition('?')[0]}",
        "query_string": path.partition("?")[2].encode(),
        "root_path": "/mixed",
        "headers": [(b"content-type", b"application/json"), *headers],
    }
    await app(scope, receive, send)
    assert sent[0]["type"] == "http.response.start"
    assert [message.get("more_body", False) for message in sent[1:]][-1] is False
    whole = b"".join(message["body"] for message in sent[1:])
    return Reply(sent[0]["status"], dict(sent[0]["headers"]), whole)


IDS = IdMaker(b"s" * 32, project="mixed")
LIMITS = EndpointLimits(max_rows=50, max_body_bytes=65536, key_columns=("id",))


async def _up() -> bytes:
    return b"tenfold_up 1\n"


class Rig:
    """An endpoint with all its parts, and what the aggregator would have heard."""

    def __init__(
        self,
        folder: Path,
        board: ArmBoard,
        *,
        broken_log: bool = False,
        limits: EndpointLimits = LIMITS,
        access: Access | None = None,
    ) -> None:
        self.reports: list[Report] = []
        self.metrics_text: Callable[[], Awaitable[bytes]] = _up
        self.folder = folder / "spool"
        if broken_log:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "file").touch()
        self.labels = LabelLog(folder / "file" if broken_log else self.folder, app="r.1")
        self.board = board
        self.recorder = Recorder(
            project="mixed", replica="r", app="r.1", folder=self.folder, sink=self.reports.append
        )
        self.app = Endpoint(
            "mixed",
            board=board,
            ids=IDS,
            recorder=self.recorder,
            labels=self.labels,
            metrics=self.metrics,
            limits=limits,
            access=access,
        )

    async def metrics(self) -> bytes:
        return await self.metrics_text()

    def ask(self, method: str, path: str, body: object = b"", **more: Any) -> Reply:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return self.run(call(self.app, method, path, data, **more))

    def run(self, work: Coroutine[Any, Any, Reply]) -> Reply:
        return asyncio.run(work)


def rows(n_rows: int = 3) -> list[dict[str, Any]]:
    return json_rows(mixed_schema(), mixed_table(n_rows))
