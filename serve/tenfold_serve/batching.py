"""Micro-batches: requests that wait at the same moment are scored in one call, where that pays.

Nobody waits for a batch. A request that is ready asks for the loop's next turn; whoever else is
ready by then is scored with it, and alone in the loop it is scored alone, 2 us later. A row has the
same bits alone and in a batch (`tenfold.inference.engines`), so nobody can tell.

Where it pays is measured when a model is loaded (`batching_pays`). One row, and a row of eight, us:

======================  =====  ========
engine                  alone  in eight
======================  =====  ========
ONNX, 200 trees            20         6
ONNX, a network            36        15
the booster's own call    296        43
======================  =====  ========

A turn of the loop and the cut of the answers cost some 10 us, so models such as the first two are
asked row by row; one whose columns are prepared by many steps may gain more.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple, Protocol

import numpy as np

from tenfold.features.codes import Codes
from tenfold.inference import Prediction

__all__ = ["Batcher", "Predicts", "Shared", "batching_pays", "seconds_of"]

_MAX_ROWS: Final = 256
"""Rows of one call: the loop does nothing else meanwhile. A larger request goes alone."""
_SAVES_US: Final = 40.0
_TOGETHER: Final = 8
_LEAST_TIMES: Final = 5
_MOST_TIMES: Final = 200
_TIMED_S: Final = 0.02
"""Python makes its code faster while it runs: a call of 23 us takes 70 in the first five, and by
these a model of quick calls was taken for one that pays."""


class Predicts(Protocol):
    """What batching asks of a model; `tenfold.inference.Predictor` is one."""

    def predict_codes(self, codes: Codes) -> Prediction:
        """Answers for encoded rows."""


class Shared(NamedTuple):
    """An answer, and the call that it comes from.

    Attributes:
        prediction: for the rows that were asked for.
        seconds: that the whole call took.
        n_rows: of the whole call.
        first: whether it is the first answer of the call; each call has one.
    """

    prediction: Prediction
    seconds: float
    n_rows: int
    first: bool


class _Waiting(NamedTuple):
    codes: Codes
    answer: asyncio.Future[Shared]


class Batcher:
    """Gathers the requests of one turn of the loop. One event loop calls it."""

    def __init__(self) -> None:
        self._waiting: dict[Predicts, list[_Waiting]] = {}

    async def predict(self, predictor: Predicts, codes: Codes) -> Prediction:
        """What ``predictor.predict_codes(codes)`` answers, asked together with others.

        Args:
            predictor: the model.
            codes: float64 (n_rows, n_columns), at least one row.

        Raises:
            Exception: what the model raises for these rows; never for those of others.
        """
        return (await self.call(predictor, codes)).prediction

    async def call(self, predictor: Predicts, codes: Codes) -> Shared:
        """The same, and what the call took that answered: its own time, not the loop's turns."""
        loop = asyncio.get_running_loop()
        if len(codes) > _MAX_ROWS:
            began = time.perf_counter()
            prediction = predictor.predict_codes(codes)
            return Shared(prediction, time.perf_counter() - began, len(codes), first=True)
        waiting = self._waiting.get(predictor)
        if waiting is None:
            waiting = self._waiting[predictor] = []
            loop.call_soon(self._answer, predictor)
        mine = _Waiting(codes, loop.create_future())
        waiting.append(mine)
        return await mine.answer

    def _answer(self, predictor: Predicts) -> None:
        """Cut those that wait for a model into calls: one a turn of the loop."""
        groups: list[list[_Waiting]] = []
        n_rows = 0
        for each in self._waiting.pop(predictor):
            if not groups or n_rows + len(each.codes) > _MAX_ROWS:
                groups.append([])
                n_rows = 0
            groups[-1].append(each)
            n_rows += len(each.codes)
        for group in groups:
            asyncio.get_running_loop().call_soon(_answer_together, predictor, group)


def _answer_together(predictor: Predicts, group: list[_Waiting]) -> None:
    """Answer in one call; where it fails, whose rows are to blame is found by halves."""
    group = [each for each in group if not each.answer.done()]  # the client of one that is, is gone
    if not group:
        return
    began = time.perf_counter()
    try:
        whole = predictor.predict_codes(np.concatenate([each.codes for each in group]))
    except BaseException as error:  # noqa: BLE001  (also a panic of native code: nobody may hang)
        if len(group) == 1:
            group[0].answer.set_exception(error)
            return
        half = len(group) // 2
        for part in (group[:half], group[half:]):
            asyncio.get_running_loop().call_soon(_answer_together, predictor, part)
        return
    seconds = time.perf_counter() - began
    start, n_rows = 0, len(whole.values)
    for each in group:
        end = start + len(each.codes)
        mine = Prediction(whole.scores[start:end], whole.values[start:end])
        each.answer.set_result(Shared(mine, seconds, n_rows, first=not start))
        start = end


def batching_pays(predictor: Predicts, row: Codes) -> bool:
    """Whether rows of a batch cost enough less than rows alone, by this machine's clock.

    Only speed hangs on it, never an answer.

    Args:
        predictor: the model.
        row: float64 (1, n_columns).
    """
    together = np.repeat(row, _TOGETHER, axis=0)
    saved_s = seconds_of(predictor, row) - seconds_of(predictor, together) / _TOGETHER
    return saved_s * 1e6 >= _SAVES_US


def seconds_of(predictor: Predicts, codes: Codes) -> float:
    """What a call takes: the least of many, since the others are what the machine did meanwhile.

    Many are two hundred, or what 20 ms hold, but five at least.

    Args:
        predictor: the model.
        codes: float64 (n_rows, n_columns), at least one row.
    """
    least = float("inf")
    end = time.perf_counter() + _TIMED_S
    for number in range(_MOST_TIMES):
        start = time.perf_counter()
        if number >= _LEAST_TIMES and start >= end:
            break
        predictor.predict_codes(codes)
        least = min(least, time.perf_counter() - start)
    return least
