"""``POST /predict``: JSON rows, JSON columns or an Arrow stream, by what the body says it is.

The answer has the form of the request unless ``Accept`` asks for the other: JSON rows for rows,
JSON columns for columns, an Arrow stream for a stream; JSON columns where an Arrow body wants JSON.
"""

from __future__ import annotations

from tenfold.features.columnpath import Columns
from tenfold_serve.doors.arrow_door import read_stream, render_stream
from tenfold_serve.doors.json_door import read_payload, render_columns, render_rows
from tenfold_serve.doors.scoring import Payload, Scoring
from tenfold_serve.doors.strict_json import read_json
from tenfold_serve.doors.wants import wants_of
from tenfold_serve.http import JSON, Answer, Request
from tenfold_serve.media import ARROW, accepted, content_type, wrong_type

__all__ = ["PredictDoor"]


class PredictDoor:
    """Reads, has it scored, writes the answer.

    Args:
        scoring: what answers.
    """

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring

    async def __call__(self, request: Request) -> Answer:
        """Answer one request.

        Raises:
            HttpError: 400, 406, 408, 413, 415 or 503, see there.
            RequestError: a row breaks a law of the model, or the body is broken.
        """
        headers = request.headers
        kind = content_type(headers)
        is_json = kind == JSON or kind.endswith(b"+json")
        if not is_json and kind != ARROW:
            raise wrong_type(kind, [JSON, ARROW])
        form = accepted(headers, (JSON, ARROW) if is_json else (ARROW, JSON))
        wants = wants_of(request)
        body = await request.body()
        scoring = self._scoring
        payload: Payload
        if is_json:
            payload = read_payload(read_json(body, max_keys=scoring.max_keys()))
        else:
            payload = read_stream(
                body,
                max_rows=scoring.max_rows,
                max_columns=scoring.max_columns(),
                max_bytes=request.max_body_bytes,
            )
        answered = await scoring.answer(payload, request, n_bytes=len(body), wants=wants)
        if form == ARROW:
            return Answer(200, render_stream(answered), ARROW)
        if isinstance(payload, Columns):
            return Answer(200, render_columns(answered))
        return Answer(200, render_rows(answered))
