"""The endpoint of one project, as a bare ASGI application: no Ray in here.

Bare ASGI because the body limit then holds while the body arrives, and nothing stands between the
bytes and the model. Against a plain ``__call__(request)`` on Ray Serve it made no difference that
two busy cores could show (7,000-7,800 against 6,900-7,800 requests/s, 16 connections, no model).

Hot path: read, parse, validate, score, answer, one copy (`tenfold_serve.doors.scoring`). Anything
that is shown to people (OpenAPI, docs) is made once per model.

Where the replica's time goes (py-spy, 8,269 samples that hold the interpreter, one row of 20
numbers, 2,379 requests/s through HAProxy, 310 us of a core a request; Serve's own wrapper and
uvicorn's tasks are gone around, see `tenfold_serve.shortcut` and `tenfold_serve.eager`):

====  =====  ================================================================================
 31 %  96 us  the predictor: encode, preprocess, ONNX, values
 20 %  62 us  this module and the doors: route, limits, keys, body, totals
 18 %  56 us  the system call that writes the answer
 13 %  40 us  uvicorn and the connection: parse the request, head of the answer, a timer
  8 %  25 us  JSON in and out
  6 %  19 us  ids
  4 %  12 us  the recorder: the copy of the row, counting, shipping
====  =====  ================================================================================

At saturation a request takes two thirds of it, 205 us; HAProxy 67 there and 70 to 90 here.

All of it costs more the more often the core sleeps between: the predictor takes 28 us of a core
called again and again, and 60 to 90 where it slept 50 us or more before each call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import orjson

from tenfold_serve.access import Access
from tenfold_serve.arms import Arm, ArmBoard
from tenfold_serve.doors import Scoring
from tenfold_serve.doors.predict import PredictDoor
from tenfold_serve.doors.scoring import RETRY
from tenfold_serve.doors.strict_json import read_json
from tenfold_serve.doors.v2 import V2Door
from tenfold_serve.feedback import MAX_LABELS, check_labels, labelled
from tenfold_serve.grpc_server import GrpcPort, GrpcServer
from tenfold_serve.http import (
    Answer,
    HttpError,
    Receive,
    Request,
    Scope,
    Send,
    answer_json,
    error_answer,
    send_answer,
)
from tenfold_serve.ids import IdMaker
from tenfold_serve.label_log import LabelLog
from tenfold_serve.logs import RequestLog
from tenfold_serve.media import require_json
from tenfold_serve.openapi import openapi
from tenfold_serve.pages import docs_page
from tenfold_serve.recorder import Recorder
from tenfold_serve.request_ids import RequestIds

__all__ = ["Endpoint", "EndpointLimits", "MetricsText"]

_HTML: Final = b"text/html; charset=utf-8"
_PROMETHEUS: Final = b"text/plain; version=0.0.4; charset=utf-8"
_LABEL_KEYS: Final = 4 * MAX_LABELS + 1


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
        body_timeout_s: how long a body may take to arrive whole.
    """

    max_rows: int = 1000
    max_body_bytes: int = 10 * 1024 * 1024
    key_columns: tuple[str, ...] = ()
    feedback_timeout_s: float = 30.0
    body_timeout_s: float = 30.0


class _Route(NamedTuple):
    name: str  # as logs tell it, never what a client wrote
    method: str
    role: str | None  # None: open to everybody
    handle: Callable[[Request], Awaitable[Answer]]


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
        access: who may come in; everybody by default.
        grpc: where the gRPC door listens while the application runs; None for nowhere.
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
        access: Access | None = None,
        grpc: GrpcPort | None = None,
    ) -> None:
        self.project = project
        self._board = board
        self._ids = ids
        self._recorder = recorder
        self._labels = labels
        self._metrics = metrics
        self._limits = limits or EndpointLimits()
        self._access = access or Access()
        self._log = RequestLog()
        self._request_ids = RequestIds()
        self._shown: tuple[Arm, bytes, bytes] | None = None
        self._scoring = Scoring(
            project,
            board=board,
            ids=ids,
            recorder=recorder,
            max_rows=self._limits.max_rows,
            key_columns=self._limits.key_columns,
        )
        self._grpc = None if grpc is None else self.grpc_server(grpc)
        self._v2 = V2Door(project, self._scoring)
        predict = PredictDoor(self._scoring)
        self._routes: dict[str, _Route] = {
            "/predict": _Route("/predict", "POST", "predict", predict),
            "/feedback": _Route("/feedback", "POST", "feedback", self._feedback),
            "/docs": _Route("/docs", "GET", "predict", self._docs),
            "/openapi.json": _Route("/openapi.json", "GET", "predict", self._openapi),
            "/healthz": _Route("/healthz", "GET", None, self._healthz),
            "/readyz": _Route("/readyz", "GET", None, self._readyz),
            "/metrics": _Route("/metrics", "GET", "operate", self._metrics_page),
        }

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, *, echo_id: bool = True
    ) -> None:
        """The ASGI entrance.

        Args:
            scope: what is asked for.
            receive: where the body comes from.
            send: where the answer goes.
            echo_id: whether it carries the request's id; not where a server adds it itself.
        """
        if scope["type"] == "http":
            await self._serve(scope, receive, send, echo_id=echo_id)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send, self._grpc)
        else:
            await send({"type": "websocket.close", "code": 1003})

    def grpc_server(self, where: GrpcPort) -> GrpcServer:
        """The gRPC door to the same models, not started."""
        from tenfold_serve.doors.grpc_door import GrpcDoor

        door = GrpcDoor(
            self.project, scoring=self._scoring, access=self._access, recorder=self._recorder
        )
        return GrpcServer(door, where, max_body_bytes=self._limits.max_body_bytes)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, *, echo_id: bool) -> None:
        start = time.perf_counter()
        headers = dict(scope["headers"])
        limits = self._limits
        request = Request(
            headers,
            receive,
            scope.get("query_string", b""),
            self._request_ids.of(headers),
            limits.max_body_bytes,
            limits.body_timeout_s,
        )
        path: str = scope["path"]
        path = path.removeprefix(scope.get("root_path") or f"/{self.project}")
        name = "unknown"
        try:
            route = self._route(path, scope["method"])
            name = route.name
            if route.role is not None:
                self._access.check(headers, route.role)
            answer = await route.handle(request)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  (it is logged by what it turns out to be)
            answer = error_answer(error, as_text=path.startswith("/v2"))
            seconds = time.perf_counter() - start
            if answer.law == "internal":
                self._log.failed(name, answer.status, error, request_id=request.id, seconds=seconds)
            else:
                self._log.refused(
                    name, answer.status, law=answer.law, request_id=request.id, seconds=seconds
                )
        if scope["method"] == "POST":  # pages and probes are no traffic
            self._recorder.stats.add(answer.status, time.perf_counter() - start)
        await send_answer(
            answer,
            receive,
            send,
            request_id=request.id if echo_id else b"",
            head=scope["method"] == "HEAD",
        )

    def _route(self, path: str, asked: str) -> _Route:
        found = self._routes.get(path) or self._v2_route(path)
        if found is None:
            known = ", ".join(sorted((*self._routes, "/v2")))
            raise HttpError(404, "path", f"/{self.project} answers {known}", drain=asked == "POST")
        if asked != found.method and not (found.method == "GET" and asked == "HEAD"):
            raise HttpError(
                405,
                "method",
                f"{found.name} takes {found.method}",
                headers=((b"allow", found.method.encode()),),
                drain=asked in ("POST", "PUT", "PATCH"),
            )
        return found

    def _v2_route(self, path: str) -> _Route | None:
        if path != "/v2" and not path.startswith("/v2/"):
            return None
        found = self._v2.find(path.split("/")[2:])
        if found is None:
            return None
        name, method, role, handle = found
        return _Route(name, method, role, handle)

    async def _feedback(self, request: Request) -> Answer:
        require_json(request.headers)
        body = read_json(await request.body(), max_keys=_LABEL_KEYS)
        lineup = self._scoring.lineup()
        target = labelled([arm.schema.target for arm in lineup.arms])
        verdicts = check_labels(body, ids=self._ids, target=target)
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
                    headers=RETRY,
                ) from error
        items = [verdict.to_dict() for verdict in verdicts]
        return answer_json({"accepted": len(records), "items": items}, status=202)

    async def _healthz(self, _request: Request) -> Answer:
        return answer_json({"status": "ok"})

    async def _readyz(self, _request: Request) -> Answer:
        lineup = self._board.lineup
        body = {"project": self.project, "replica": self._recorder.replica, **lineup.to_dict()}
        return answer_json(body, status=200 if lineup.arms else 503)

    async def _openapi(self, _request: Request) -> Answer:
        return Answer(200, self._pages()[0])

    async def _docs(self, _request: Request) -> Answer:
        return Answer(200, self._pages()[1], _HTML)

    def _pages(self) -> tuple[bytes, bytes]:
        arm = self._scoring.arm_of(None)
        if self._shown is None or self._shown[0] is not arm:
            document = openapi(
                arm.predictor.manifest,
                project=self.project,
                version=arm.version,
                max_rows=self._limits.max_rows,
            )
            self._shown = (arm, orjson.dumps(document), docs_page(document))
        return self._shown[1:]

    async def _metrics_page(self, _request: Request) -> Answer:
        try:
            text = await self._metrics()
        except Exception as error:
            raise HttpError(
                503, "metrics", "the aggregator is away; ask again in a second", headers=RETRY
            ) from error
        return Answer(200, text, _PROMETHEUS)


async def _lifespan(receive: Receive, send: Send, grpc: GrpcServer | None) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            if grpc is not None:
                await grpc.start()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            if grpc is not None:
                await grpc.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
