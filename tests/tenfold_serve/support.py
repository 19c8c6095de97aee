"""A small real model of the mixed table with its reference, as training publishes it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.features.codes import encode_table
from tenfold.inference import pack_artifact
from tenfold.inference.pack import draft_predictor
from tenfold.monitor import FrozenBins, LossRule, build_reference
from tenfold.profile import Profile
from tenfold.registry import Version
from tenfold.testing.artifacts import small_files
from tenfold.testing.mixed import mixed_table
from tenfold_serve.arms import ArmBoard, Lineup, arm_config

PROJECT = {
    "name": "mixed",
    "problem": {"task": "binary", "target": "label", "positive_class": "yes"},
    "data": {"sources": [{"path": "mixed.csv"}]},
    "serve": {"max_rows": 50, "max_body_bytes": 65536},
    "monitor": {"block_rows": 50},
    "retrain": {"min_labels": 100, "cooldown": "1s"},
}

Publish = Callable[..., Version]


def make_artifact(folder: Path, *, family: str = "boosting", seed: int = 0) -> None:
    """An artifact folder as training leaves it: model, golden rows, reference."""
    files, draft = small_files(family, seed=seed)
    draft = dataclasses.replace(draft, project=PROJECT)
    predictor = draft_predictor(files, draft)
    table = mixed_table(3000, seed=99)
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
    files["reference.json"] = reference.to_bytes()
    pack_artifact(folder, files=files, manifest=draft, table=mixed_table(100, seed=seed))


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
        "path": f"/mixed{path}",
        "root_path": "/mixed",
        "headers": [(b"content-type", b"application/json"), *headers],
    }
    await app(scope, receive, send)
    assert sent[0]["type"] == "http.response.start"
    assert [message.get("more_body", False) for message in sent[1:]][-1] is False
    whole = b"".join(message["body"] for message in sent[1:])
    return Reply(sent[0]["status"], dict(sent[0]["headers"]), whole)
