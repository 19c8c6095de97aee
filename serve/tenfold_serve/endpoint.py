"""The endpoint of one project, as a bare ASGI application: no Ray in here.

Bare ASGI because the body limit then holds while the body arrives, and nothing stands between the
bytes and the model. Against a plain ``__call__(request)`` on Ray Serve it made no difference that
two busy cores could show (7,000-7,800 against 6,900-7,800 requests/s, 16 connections, no model).

Hot path: read, parse, validate, score, answer, one append. Anything that is shown to people
(OpenAPI, docs) is made once per model.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from tenfold.inference import Prediction, prediction_items
from tenfold_serve.arms import Arm, ArmBoard, Lineup
from tenfold_serve.feedback import check_labels
from tenfold_serve.http import (
    Answer,
    Headers,
    HttpError,
    Receive,
    Scope,
    Send,
    answer_json,
    error_answer,
    read_json_body,
    send_answer,
)
from tenfold_serve.ids import IdMaker
from tenfold_serve.label_log import LabelLog
from tenfold_serve.pages import docs_page, openapi
from tenfold_serve.prediction_log import Entry
from tenfold_serve.recorder import Recorder
from tenfold_serve.traffic import KEY_HEADER, choose_arm, request_key

__all__ = ["Endpoint", "EndpointLimits", "MetricsText"]

log = logging.getLogger("tenfold.serve")

_RETRY: Final = ((b"retry-after", b"1"),)
_REQUEST_ID: Final = b"x-request-id"
_MAX_KEY_BYTES: Final = 256


class MetricsText(Protocol):
    """Asks the aggregator for the exporter's text. Called from the event loop."""

    def __call__(self) -> Awaitable[bytes]:
        """The text, in Prometheus' format."""


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """What one request may ask for.

    Attributes:
        max_rows: rows in one request.
        max_body_bytes: size of a body.
        key_columns: columns whose first row's values decide the arm.
        feedback_timeout_s: how long labels may wait for the disk before their sender is told to
            repeat them; well under what proxies wait.
    """

    max_rows: int = 1000
    max_body_bytes: int = 10 * 1024 * 1024
    key_columns: tuple[str, ...] = ()
    feedback_timeout_s: float = 30.0


Handler = Callable[[Headers, Receive], Awaitable[Answer]]


class Endpoint:
    """Answers the requests of one project. One event loop calls it.

    Args:
        project: name of the project, the first part of every path.
        board: the models that answer.
        ids: makes and checks prediction ids.
        recorder: keeps what was answered.
        labels: keeps labels.
        metrics: where ``/metrics`` comes from.
        limits: what one request may ask for.
    """

    def __init__(
        self,
        project: str,
        *,
        board: ArmBoard,
        ids: IdMaker,
        recorder: Recorder,
        labels: LabelLog,
        metrics: MetricsText,
        limits: EndpointLimits | None = None,
    ) -> None:
        self.project = project
        self._salt = project.encode()
        self._board = board
        self._ids = ids
        self._recorder = recorder
        self._labels = labels
        self._metrics = metrics
        self._limits = limits or EndpointLimits()
        self._shown: tuple[Arm, bytes, bytes] | None = None
        self._routes: dict[str, tuple[str, Handler]] = {
            "/predict": ("POST", self._predict),
            "/feedback": ("POST", self._feedback),
            "/docs": ("GET", self._docs),
            "/openapi.json": ("GET", self._openapi),
            "/healthz": ("GET", self._healthz),
            "/readyz": ("GET", self._readyz),
            "/metrics": ("GET", self._metrics_page),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entrance."""
        if scope["type"] == "http":
            start = time.perf_counter()
            answer = await self._answer(scope, receive)
            if scope["method"] == "POST":  # pages and probes are no traffic
                self._recorder.stats.add(answer.status, time.perf_counter() - start)
            await send_answer(answer, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        try:
            handler = self._route(scope)
            return await handler(dict(scope["headers"]), receive)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            answer = error_answer(error)
            if answer.status >= 500:
                log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            return answer

    def _route(self, scope: Scope) -> Handler:
        path: str = scope["path"]
        path = path.removeprefix(scope.get("root_path") or f"/{self.project}")
        found = self._routes.get(path)
        if found is None:
            known = ", ".join(sorted(self._routes))
            raise HttpError(404, "path", f"/{self.project} answers {known}")
        method, handler = found
        asked = scope["method"]
        if asked != method and not (method == "GET" and asked == "HEAD"):
            raise HttpError(
                405,
                "method",
                f"{path} takes {method}, not {asked}",
                headers=((b"allow", method.encode()),),
            )
        return handler

    async def _predict(self, headers: Headers, receive: Receive) -> Answer:
        body = await read_json_body(headers, receive, max_bytes=self._limits.max_body_bytes)
        rows = self._rows(body)
        lineup = self._board.lineup
        arm = self._choose(lineup, headers, rows)
        codes = arm.encoder.encode_rows(rows)
        prediction = arm.predictor.predict_codes(codes)
        now_ms = time.time_ns() // 1_000_000
        ids = self._ids.make(len(rows), millis=now_ms)
        self._recorder.offer(
            Entry(ids, rows, codes, prediction.scores, prediction.values, arm, now_ms)
        )
        return Answer(200, self._render(arm, prediction, ids))

    def _rows(self, body: Any) -> Sequence[Mapping[str, Any]]:
        if not isinstance(body, dict) or body.keys() != {"rows"}:
            raise HttpError(400, "form", 'the body must be {"rows": [{column: value, …}, …]}')
        rows = body["rows"]
        if not isinstance(rows, list) or not rows:
            raise HttpError(400, "form", "rows must be a list with at least one object")
        if len(rows) > self._limits.max_rows:
            raise HttpError(
                400,
                "rows",
                f"a request holds at most {self._limits.max_rows} rows, not {len(rows)}; "
                "send several requests, or use `tenfold predict` for whole tables",
            )
        return rows

    def _choose(self, lineup: Lineup, headers: Headers, rows: Sequence[Mapping[str, Any]]) -> Arm:
        if not lineup.arms:
            raise HttpError(503, "ready", f"no model answers: {lineup.reason}", headers=_RETRY)
        if len(lineup.arms) == 1:
            return lineup.arms[0]
        first = rows[0]
        key = request_key(
            headers.get(KEY_HEADER, b"")[:_MAX_KEY_BYTES],
            rows if isinstance(first, Mapping) else (),
            self._limits.key_columns,
            headers.get(_REQUEST_ID) or time.time_ns().to_bytes(8),
        )
        return lineup.arms[choose_arm(lineup.weights, key, salt=self._salt)]

    def _render(self, arm: Arm, prediction: Prediction, ids: Sequence[str]) -> bytes:
        items = prediction_items(prediction, classes=arm.predictor.classes, ids=ids)
        return orjson.dumps(
            {
                "model": self.project,
                "version": arm.version,
                "digest": arm.digest,
                "arm": arm.name,
                "predictions": items,
            }
        )

    async def _feedback(self, headers: Headers, receive: Receive) -> Answer:
        body = await read_json_body(headers, receive, max_bytes=self._limits.max_body_bytes)
        lineup = self._board.lineup
        if not lineup.arms:
            raise HttpError(503, "ready", f"no model answers: {lineup.reason}", headers=_RETRY)
        verdicts = check_labels(body, ids=self._ids, target=lineup.arms[0].schema.target)
        records = [verdict.record for verdict in verdicts if verdict.record is not None]
        if records:
            # Shielded: what was begun is finished, also when its sender does not wait for it.
            kept = asyncio.shield(asyncio.wrap_future(self._labels.append(records)))
            try:
                await asyncio.wait_for(kept, self._limits.feedback_timeout_s)
            except TimeoutError as error:
                raise HttpError(
                    503,
                    "store",
                    "the disk did not answer in time; send the labels again",
                    headers=_RETRY,
                ) from error
        items = [verdict.to_dict() for verdict in verdicts]
        return answer_json({"accepted": len(records), "items": items}, status=202)

    async def _healthz(self, _headers: Headers, _receive: Receive) -> Answer:
        return answer_json({"status": "ok"})

    async def _readyz(self, _headers: Headers, _receive: Receive) -> Answer:
        lineup = self._board.lineup
        body = {"project": self.project, "replica": self._recorder.replica, **lineup.to_dict()}
        return answer_json(body, status=200 if lineup.arms else 503)

    async def _openapi(self, _headers: Headers, _receive: Receive) -> Answer:
        return Answer(200, self._pages()[0])

    async def _docs(self, _headers: Headers, _receive: Receive) -> Answer:
        return Answer(200, self._pages()[1], b"text/html; charset=utf-8")

    def _pages(self) -> tuple[bytes, bytes]:
        lineup = self._board.lineup
        if not lineup.arms:
            raise HttpError(503, "ready", f"no model answers: {lineup.reason}", headers=_RETRY)
        arm = lineup.arms[0]
        if self._shown is None or self._shown[0] is not arm:
            document = openapi(
                arm.predictor.manifest,
                project=self.project,
                version=arm.version,
                max_rows=self._limits.max_rows,
            )
            self._shown = (arm, orjson.dumps(document), docs_page(document))
        return self._shown[1:]

    async def _metrics_page(self, _headers: Headers, _receive: Receive) -> Answer:
        try:
            text = await self._metrics()
        except Exception as error:
            raise HttpError(
                503, "metrics", "the aggregator is away; ask again in a second", headers=_RETRY
            ) from error
        return Answer(200, text, b"text/plain; version=0.0.4; charset=utf-8")


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
