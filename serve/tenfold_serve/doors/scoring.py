"""From a request's rows to its answer, whatever door they came through.

Hot path: choose the arm, encode, score, make ids, one copy. Measured (``make bench-serving``: 20
numbers, 200 trees of depth 6, the thread's own clock):

- One JSON row takes 70 us from body to answer, 23 of them in the predictor (10 in ONNX). The others
  are spread thin over some 170 Python calls; what stood out is gone: a timer for the body (8 us,
  now only set when the body is not there yet) and random bytes one id at a time (10 us).
- 1,000 rows take the scorer 6.0 ms; binary tensors 8.5, Arrow 9.0, JSON columns 12.0, JSON rows
  14.4. Of what Arrow adds half is ids (1.2 us a row), a quarter the answer, the rest reading.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from tenfold.errors import RequestError
from tenfold.features.codes import Codes
from tenfold.features.columnpath import Columns
from tenfold.inference import Prediction
from tenfold_serve.answers import ANOTHERS_CALL, Call, Entry
from tenfold_serve.arms import Arm, ArmBoard, Lineup
from tenfold_serve.aside import Aside
from tenfold_serve.batching import Batcher
from tenfold_serve.doors.cautions import Caution, cautions
from tenfold_serve.doors.extras import Explaining, Extras, check_wants, limits_of
from tenfold_serve.doors.wants import NOTHING, Wants
from tenfold_serve.http import HttpError, Request
from tenfold_serve.ids import IdMaker
from tenfold_serve.recorder import Recorder
from tenfold_serve.traffic import KEY_HEADER, choose_arm, request_key

__all__ = ["RETRY", "Answered", "Payload", "Scoring"]

RETRY: Final = ((b"retry-after", b"1"),)
_MAX_KEY_BYTES: Final = 256

Payload = Sequence[Mapping[str, Any]] | Columns
"""A request's rows: JSON objects as they came, or columns."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer before it is written down.

    Attributes:
        project: its name.
        arm: the model that answered.
        prediction: scores and values.
        ids: prediction ids, one per row.
        codes: of the rows (n_rows, code_width).
        warnings: per row; None if nobody asked.
        extras: interval, set and explanation; None if nobody asked.
    """

    project: str
    arm: Arm
    prediction: Prediction
    ids: Sequence[str]
    codes: Codes
    warnings: Sequence[Sequence[Caution]] | None = None
    extras: Extras | None = None


class _Scored(NamedTuple):
    """What a model says, and the seconds that reading and scoring took, waiting left out."""

    codes: Codes
    prediction: Prediction
    seconds: float
    called: Call | None
    warnings: Sequence[Sequence[Caution]] | None
    extras: Extras | None


class Scoring:
    """Scores the requests of one project. One event loop calls it.

    Args:
        project: its name.
        board: the models that answer.
        ids: makes prediction ids.
        recorder: keeps what was answered.
        max_rows: rows in one request.
        key_columns: columns whose first row's values decide the arm.
    """

    def __init__(
        self,
        project: str,
        *,
        board: ArmBoard,
        ids: IdMaker,
        recorder: Recorder,
        max_rows: int,
        key_columns: Sequence[str] = (),
    ) -> None:
        self.project = project
        self.max_rows = max_rows
        self._salt = project.encode()
        self._board = board
        self._ids = ids
        self._recorder = recorder
        self._key_columns = key_columns
        self._measured: tuple[Lineup | None, int] = (None, 0)
        self._explaining = Explaining()
        self._batcher = Batcher()
        self._asides: WeakKeyDictionary[Arm, Aside] = WeakKeyDictionary()

    async def answer(
        self,
        payload: Payload,
        request: Request,
        *,
        n_bytes: int,
        wants: Wants = NOTHING,
        version: int | None = None,
    ) -> Answered:
        """Score rows, and look up or work out what else is asked for.

        What a canary fails, in whatever part, or does not answer in time, the champion answers as a
        whole.

        Args:
            payload: the rows.
            request: where they came from; its headers decide the arm.
            n_bytes: of its body.
            wants: what else is asked for.
            version: of the arm that must answer; by default the split decides.

        Raises:
            HttpError: 400 for no rows or too many, 404 for a version that does not answer, 503
                while no model answers, it cannot be explained or the version that was asked for is
                late, 429 while too many wait for explanations.
            RequestError: a row breaks a law of the model, or it cannot give what is asked for.
        """
        n_rows = payload.n_rows if isinstance(payload, Columns) else len(payload)
        self.check_rows(n_rows)
        lineup = self.lineup()
        arm = self._choose(lineup, payload, request, version)
        if wants.explanation:
            self._explaining.check_room()
        champion = lineup.arms[0]
        start = time.perf_counter()
        try:
            found = await self._score(arm, payload, wants, champion)
        except Exception as error:  # raised again unless the champion answers
            seconds = time.perf_counter() - start
            if arm is champion or version is not None:
                self._recorder.failed(arm, error, seconds)
                raise
            found = await self._instead(arm, champion, payload, wants, error, seconds)
            arm = champion
        codes, prediction, seconds, called, told, extras = found
        now_ms = time.time_ns() // 1_000_000
        ids = self._ids.make(n_rows, millis=now_ms)
        self._recorder.offer(
            Entry(
                ids,
                payload,
                codes,
                prediction.scores,
                prediction.values,
                arm,
                now_ms,
                seconds,
                None if arm is champion else champion,
                called,
                n_bytes,
            )
        )
        return Answered(self.project, arm, prediction, ids, codes, told, extras)

    async def _instead(
        self,
        canary: Arm,
        champion: Arm,
        payload: Payload,
        wants: Wants,
        error: Exception,
        seconds: float,
    ) -> _Scored:
        """What the champion says where a canary fails: nobody is hurt, and the canary is judged.

        What the champion refuses, too, is its sender's fault, and counts against nobody.
        """
        try:
            found = await self._score(champion, payload, wants, champion)
        except RequestError:
            raise
        except Exception as its_own:
            self._recorder.failed(canary, error, seconds)
            self._recorder.failed(champion, its_own, 0.0)
            raise
        self._recorder.failed(canary, error, seconds, refused=True)
        return found

    async def _score(self, arm: Arm, payload: Payload, wants: Wants, champion: Arm) -> _Scored:
        """All of an answer that hangs on the model."""
        start = time.perf_counter()
        predictor = arm.predictor
        if wants.more:
            n_rows = payload.n_rows if isinstance(payload, Columns) else len(payload)
            check_wants(predictor, wants, n_rows)
            if wants.explanation:
                self._explaining.check(predictor)
        if isinstance(payload, Columns):
            codes = arm.column_encoder.encode(payload)
        else:
            codes = arm.encoder.encode_rows(payload)
        aside = None if arm is champion else self._aside(arm, champion)
        model = predictor if aside is None else aside.model
        called: Call | None = None
        if aside is not None and aside.aside:
            reading_s = time.perf_counter() - start
            prediction, call_s = await aside.call(codes)
            seconds = reading_s + call_s
        elif arm.batched:
            reading_s = time.perf_counter() - start
            prediction, call_s, call_rows, first = await self._batcher.call(model, codes)
            seconds = reading_s + call_s * len(codes) / call_rows
            called = Call(reading_s + call_s, call_rows) if first else ANOTHERS_CALL
            if aside is not None and call_s > aside.bound_s and first:
                aside.took(call_s, call_rows)
        else:
            prediction = model.predict_codes(codes)
            seconds = time.perf_counter() - start
            if aside is not None and seconds > aside.bound_s:
                aside.took(seconds, len(codes))
        told = cautions(arm.schema, codes) if wants.warnings else None
        extras = limits_of(predictor, prediction, wants) if wants.more else None
        if wants.explanation:
            explanation = await self._explaining.explain(predictor, codes, prediction, aside=aside)
            extras = replace(extras or Extras(), explanation=explanation)
        return _Scored(codes, prediction, seconds, called, told, extras)

    def _aside(self, canary: Arm, champion: Arm) -> Aside:
        found = self._asides.get(canary)
        if found is None:
            found = self._asides[canary] = Aside(canary, champion, self._recorder.flight)
        return found

    def check_rows(self, n_rows: int) -> None:
        """Refuse a request without rows or with too many.

        Raises:
            HttpError: 400.
        """
        if 0 < n_rows <= self.max_rows:
            return
        if not n_rows:
            raise HttpError(400, "form", "a request holds at least one row")
        raise HttpError(
            400,
            "rows",
            f"a request holds at most {self.max_rows} rows, not {n_rows}; "
            "send several requests, or use `tenfold predict` for whole tables",
        )

    def max_keys(self) -> int:
        """Keys that the JSON of a whole request may have; columns that are not read may be sent.

        Raises:
            HttpError: 503, no model answers.
        """
        return (self._width() + 8) * self.max_rows + 8

    def max_columns(self) -> int:
        """Columns that a request may have, so many that those it should not have are told by name.

        Raises:
            HttpError: 503, no model answers.
        """
        return 2 * self._width() + 16

    def _width(self) -> int:
        lineup = self.lineup()
        if lineup is not self._measured[0]:
            self._measured = (lineup, max(len(arm.schema.columns) for arm in lineup.arms))
        return self._measured[1]

    def lineup(self) -> Lineup:
        """The models that answer.

        Raises:
            HttpError: 503, there is none.
        """
        lineup = self._board.lineup
        if not lineup.arms:
            raise HttpError(503, "ready", f"no model answers: {lineup.reason}", headers=RETRY)
        return lineup

    def arm_of(self, version: int | None) -> Arm:
        """The arm of a version; the champion by default.

        Raises:
            HttpError: 404, that version does not answer; 503, no model does.
        """
        lineup = self.lineup()
        if version is None:
            return lineup.arms[0]
        for arm in lineup.arms:
            if arm.version == version:
                return arm
        known = ", ".join(str(arm.version) for arm in lineup.arms)
        raise HttpError(404, "version", f"versions that answer: {known}; not {version}")

    def _choose(
        self, lineup: Lineup, payload: Payload, request: Request, version: int | None
    ) -> Arm:
        if version is not None:
            return self.arm_of(version)
        if len(lineup.arms) == 1:
            return lineup.arms[0]
        key = request_key(
            request.headers.get(KEY_HEADER, b"")[:_MAX_KEY_BYTES],
            self._first(payload),
            self._key_columns,
            request.id or time.time_ns().to_bytes(8),
        )
        return lineup.arms[choose_arm(lineup.weights, key, salt=self._salt)]

    def _first(self, payload: Payload) -> Sequence[Mapping[str, Any]]:
        """The first row, as far as it decides the arm; none if it is no row at all."""
        if isinstance(payload, Columns):
            return (payload.first(self._key_columns),)
        return payload if isinstance(payload[0], Mapping) else ()
