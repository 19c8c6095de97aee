"""The Open Inference Protocol V2 (REST), under ``/{project}/v2``.

Source: kserve/open-inference-protocol, "Inference REST API", with Triton's binary tensor data
extension. The text shows ``{"live": …}`` for ready; both keys are sent.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from tenfold.errors import RequestError
from tenfold_serve.doors.scoring import Answered, Scoring
from tenfold_serve.doors.v2_answer import (
    HEADER_LENGTH,
    model_metadata,
    render_infer,
    server_metadata,
)
from tenfold_serve.doors.v2_request import InferRequest, read_infer
from tenfold_serve.doors.wants import Wants, wants_of
from tenfold_serve.http import JSON, Answer, HttpError, Request, answer_json
from tenfold_serve.media import content_type, wrong_type

__all__ = ["Found", "Handle", "V2Door", "answer_infer"]

_BINARY: Final = b"application/octet-stream"
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)

Handle = Callable[[Request], Awaitable[Answer]]
Found = tuple[str, str, str | None, Handle]


def _page(make: Callable[[], Answer]) -> Handle:
    """A page that needs nothing of the request."""

    async def handle(_request: Request) -> Answer:
        return make()

    return handle


async def answer_infer(
    scoring: Scoring,
    asked: InferRequest,
    request: Request,
    *,
    wants: Wants,
    version: int | None,
) -> Answered:
    """Score a request of the protocol, whatever carried it.

    Args:
        scoring: what answers.
        asked: the request.
        request: its headers decide the arm.
        wants: what else is asked for, beside the outputs that the request names.
        version: of the arm that must answer; by default the split decides.

    Raises:
        HttpError: as `Scoring.answer`.
        RequestError: likewise, or an output that the model does not have.
    """
    named = [output.name for output in asked.outputs or ()]
    if "probabilities" in named and not scoring.arm_of(version).predictor.classes:
        raise RequestError("a model of numbers has no output probabilities, but a value")
    wants = wants.and_also(named)
    if asked.level is not None:
        wants = replace(wants, level=asked.level)
    if "explanation_base" in named:
        wants = wants.and_also(["explanation"])
    return await scoring.answer(
        asked.columns, request, n_bytes=asked.n_bytes, wants=wants, version=version
    )


class V2Door:
    """Answers everything below ``/v2``.

    Args:
        project: its name, which is the model's.
        scoring: what answers.
    """

    def __init__(self, project: str, scoring: Scoring) -> None:
        self._project = project
        self._scoring = scoring

    def find(self, parts: list[str]) -> Found | None:
        """What answers a path.

        Args:
            parts: of the path behind ``v2``.

        Returns:
            The route's name, method, role and handler; None if there is no such path.
        """
        match parts:
            case [] | [""]:
                return "/v2", "GET", "predict", _page(self.server)
            case ["health", "live"]:
                return "/v2/health/live", "GET", None, _page(self.live)
            case ["health", "ready"]:
                return "/v2/health/ready", "GET", None, _page(self.ready)
            case ["models", self._project, *rest]:
                return self._find_model(rest)
        return None

    def _find_model(self, rest: list[str]) -> Found | None:
        version: int | None = None
        name = "/v2/models"
        if len(rest) >= 2 and rest[0] == "versions":
            if not _VERSION.fullmatch(rest[1]):
                return None
            version, rest, name = int(rest[1]), rest[2:], "/v2/models/versions"
        match rest:
            case [] | [""]:
                return name, "GET", "predict", _page(lambda: self.model(version))
            case ["ready"]:
                return f"{name}/ready", "GET", "predict", _page(lambda: self.model_ready(version))
            case ["infer"]:
                return f"{name}/infer", "POST", "predict", lambda r: self.infer(r, version)
        return None

    async def infer(self, request: Request, version: int | None) -> Answer:
        """``POST v2/models/{project}[/versions/{v}]/infer``."""
        length = request.headers.get(HEADER_LENGTH)
        kind = content_type(request.headers)
        # tritonclient says no type at all. A page in a browser can leave it out too, and would not
        # be asked for permission first: but a browser says where the page is from.
        if kind not in (JSON, _BINARY) and (kind or b"origin" in request.headers):
            raise wrong_type(kind, [JSON, _BINARY])
        wants = wants_of(request)
        body = await request.body()
        scoring = self._scoring
        model = scoring.arm_of(version).predictor
        asked = read_infer(
            body,
            header_bytes=length,
            max_rows=scoring.max_rows,
            columns=model.schema.names,
        )
        answered = await answer_infer(scoring, asked, request, wants=wants, version=version)
        return render_infer(answered, asked)

    def server(self) -> Answer:
        """``GET v2``."""
        return answer_json(server_metadata())

    def live(self) -> Answer:
        """``GET v2/health/live``."""
        return answer_json({"live": True})

    def ready(self) -> Answer:
        """``GET v2/health/ready``."""
        return self._told(lambda: self._scoring.lineup(), {"live": True})

    def model(self, version: int | None) -> Answer:
        """``GET v2/models/{project}[/versions/{v}]``."""
        arm = self._scoring.arm_of(version)
        versions = [one.version for one in self._scoring.lineup().arms]
        return answer_json(model_metadata(self._project, arm, versions))

    def model_ready(self, version: int | None) -> Answer:
        """``GET v2/models/{project}[/versions/{v}]/ready``."""
        return self._told(lambda: self._scoring.arm_of(version), {"name": self._project})

    def _told(self, look: Callable[[], Any], body: dict[str, Any]) -> Answer:
        try:
            look()
        except HttpError as error:
            said = {**body, "ready": False, "error": error.message}
            answer = answer_json(said, status=error.status)
            return replace(answer, headers=tuple(error.headers))
        return answer_json({**body, "ready": True})
