"""The Open Inference Protocol V2 over gRPC: the same scoring, keys, limits and words as over HTTP.

Metadata stands for headers: ``authorization``, ``x-tenfold-key``, ``x-tenfold-with``,
``x-tenfold-level``, ``x-request-id``. Answers are raw tensors. HTTP's status becomes gRPC's code.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from tenfold.errors import RequestError
from tenfold_serve.access import Access
from tenfold_serve.doors.extras import extra_facts
from tenfold_serve.doors.grpc_messages import SERVICE, message, parameter
from tenfold_serve.doors.grpc_request import read_message
from tenfold_serve.doors.scoring import Answered, Scoring
from tenfold_serve.doors.tensors import pack
from tenfold_serve.doors.v2 import answer_infer
from tenfold_serve.doors.v2_answer import (
    model_metadata,
    server_metadata,
    tensor_of,
    wanted_outputs,
)
from tenfold_serve.doors.v2_request import InferRequest
from tenfold_serve.doors.wants import wants_of
from tenfold_serve.doors.wire import TENSORS, check_parts
from tenfold_serve.http import HttpError, Request, error_answer
from tenfold_serve.logs import RequestLog
from tenfold_serve.recorder import Recorder
from tenfold_serve.request_ids import RequestIds

__all__ = ["CODES", "GrpcDoor"]

CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""By HTTP status; any other is INTERNAL."""

_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_FIELDS_OF_TENSOR: Final = 32
"""With room for others' parameters."""
_ARRIVES_S: Final = 10.0
"""For a message: ten megabytes come with one a second. Meanwhile its call has a place."""
_MAX_TOLD: Final = 1000
"""Characters of a message: it travels in a header."""

Work = Callable[[Any, Request], Awaitable[Any]]


async def _no_body() -> Mapping[str, Any]:
    raise HttpError(400, "body", "a gRPC request has no body but its message")


class GrpcDoor:
    """Answers the service's methods. One event loop calls it.

    Args:
        project: its name, which is the model's.
        scoring: what answers.
        access: who may come in.
        recorder: counts requests.
    """

    def __init__(
        self, project: str, *, scoring: Scoring, access: Access, recorder: Recorder
    ) -> None:
        self._project = project
        self._scoring = scoring
        self._access = access
        self._recorder = recorder
        self._log = RequestLog()
        self._request_ids = RequestIds()

    def handlers(self) -> grpc.GenericRpcHandler:
        """The service, for a server of `grpc.aio`."""
        work: dict[str, tuple[str | None, Work]] = {
            "ServerLive": (None, self._live),
            "ServerReady": (None, self._ready),
            "ModelReady": ("predict", self._model_ready),
            "ServerMetadata": ("predict", self._server),
            "ModelMetadata": ("predict", self._model),
            "ModelInfer": ("predict", self._infer),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                # A stream of one message, which is a unary call: the server hands it over before
                # its message is there, so that who has no key or sends nothing has no place.
                name: grpc.stream_unary_rpc_method_handler(
                    self._guarded(name, role, handle),
                    request_deserializer=None,  # refused in our words
                    response_serializer=message(f"{name}Response").SerializeToString,
                )
                for name, (role, handle) in work.items()
            },
        )

    def _guarded(self, name: str, role: str | None, handle: Work) -> Callable[..., Any]:
        """A method behind keys, totals and the log; errors become codes."""
        route, kind = f"grpc/{name}", f"{name}Request"

        async def call(messages: AsyncIterator[bytes], context: Any) -> Any:
            start = time.perf_counter()
            headers = _headers(context)
            request = Request(headers, _no_body, id=self._request_ids.of(headers))
            status, answer, told = 200, None, ""
            try:
                if role is not None:
                    self._access.check(headers, role)
                data = await _arrived(messages)
                if name == "ModelInfer":
                    most = _FIELDS_OF_TENSOR * self._scoring.max_columns()
                    check_parts(data, most=most, within=TENSORS)
                answer = await handle(_read(kind, data), request)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001  (it is logged by what it turns out to be)
                refusal = error_answer(error)
                status, told = refusal.status, _told(error)
                self._tell(route, error, refusal.law, request, status, start)
            if name == "ModelInfer":  # pages and probes are no traffic
                self._recorder.stats.add(status, time.perf_counter() - start)
            context.set_trailing_metadata((("x-request-id", request.id.decode("latin-1")),))
            if answer is None:
                await context.abort(CODES.get(status, grpc.StatusCode.INTERNAL), told)
            return answer

        return call

    def _tell(
        self,
        route: str,
        error: Exception,
        law: str,
        request: Request,
        status: int,
        start: float,
    ) -> None:
        seconds = time.perf_counter() - start
        if law == "internal":
            self._log.failed(route, status, error, request_id=request.id, seconds=seconds)
        else:
            self._log.refused(route, status, law=law, request_id=request.id, seconds=seconds)

    async def _live(self, _asked: Any, _request: Request) -> Any:
        return message("ServerLiveResponse")(live=True)

    async def _ready(self, _asked: Any, _request: Request) -> Any:
        return message("ServerReadyResponse")(ready=self._has(None))

    async def _model_ready(self, asked: Any, _request: Request) -> Any:
        ready = asked.name == self._project and self._has(_version(asked.version))
        return message("ModelReadyResponse")(ready=ready)

    async def _server(self, _asked: Any, _request: Request) -> Any:
        return message("ServerMetadataResponse")(**server_metadata())

    async def _model(self, asked: Any, _request: Request) -> Any:
        self._check_name(asked.name)
        arm = self._scoring.arm_of(_version(asked.version))
        versions = [one.version for one in self._scoring.lineup().arms]
        told = model_metadata(self._project, arm, versions)
        tensors = {
            side: [{k: tensor[k] for k in ("name", "datatype", "shape")} for tensor in told[side]]
            for side in ("inputs", "outputs")
        }
        plain = {name: told[name] for name in ("name", "versions", "platform")}
        return message("ModelMetadataResponse")(**plain, **tensors)

    async def _infer(self, asked: Any, request: Request) -> Any:
        self._check_name(asked.model_name)
        version = _version(asked.model_version)
        wants = wants_of(request)
        scoring = self._scoring
        read = read_message(
            asked,
            max_rows=scoring.max_rows,
            columns=scoring.arm_of(version).predictor.schema.names,
        )
        answered = await answer_infer(scoring, read, request, wants=wants, version=version)
        return _answer(answered, read)

    def _check_name(self, name: str) -> None:
        if name != self._project:
            raise HttpError(404, "model", f"the model here is {self._project}, not {name[:40]!r}")

    def _has(self, version: int | None) -> bool:
        try:
            self._scoring.arm_of(version)
        except HttpError:
            return False
        return True


async def _arrived(messages: AsyncIterator[bytes]) -> bytes:
    """The message of a call.

    Raises:
        HttpError: 408, it did not come in time; 400, none came.
    """
    try:
        return await asyncio.wait_for(anext(messages), _ARRIVES_S)
    except TimeoutError as error:
        raise HttpError(
            408,
            "body-time",
            f"a message arrives whole within {_ARRIVES_S:g} s; send less at a time",
        ) from error
    except StopAsyncIteration as error:
        raise HttpError(400, "body", "a call has one message, and none came") from error


def _read(kind: str, data: bytes) -> Any:
    try:
        return message(kind).FromString(data)
    except DecodeError as error:
        raise RequestError(f"the message is no {SERVICE} {kind} ({error})") from error


def _headers(context: Any) -> dict[bytes, bytes]:
    """Metadata as headers; of a name that came twice the last."""
    return {
        key.encode("latin-1"): value if isinstance(value, bytes) else value.encode("latin-1")
        for key, value in context.invocation_metadata() or ()
    }


def _version(text: str) -> int | None:
    """A version by its text; None for an empty one: the split decides.

    >>> _version("7"), _version("")
    (7, None)
    """
    if not text:
        return None
    if not _VERSION.fullmatch(text):
        raise HttpError(404, "version", f"a version is a number from 1, not {text[:40]!r}")
    return int(text)


def _told(error: Exception) -> str:
    """The sentence of an error as a header may carry it; the inside is never told."""
    known = isinstance(error, (HttpError, RequestError)) or error_answer(error).law != "internal"
    text = str(error) if known else "the endpoint failed; the log says why"
    return text[:_MAX_TOLD]


def _answer(answered: Answered, asked: InferRequest) -> Any:
    arm = answered.arm
    facts = {"digest": arm.digest, "arm": arm.name, **extra_facts(answered.extras)}
    outputs, raw = [], []
    for output in wanted_outputs(answered, asked):
        datatype, values, shape = tensor_of(answered, output.name)
        outputs.append({"name": output.name, "datatype": datatype, "shape": shape})
        raw.append(pack(values))
    return message("ModelInferResponse")(
        model_name=answered.project,
        model_version=str(arm.version),
        id=asked.id or "",
        parameters={name: parameter(value) for name, value in facts.items()},
        outputs=outputs,
        raw_output_contents=raw,
    )
