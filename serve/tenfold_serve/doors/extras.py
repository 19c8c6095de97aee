"""Intervals, sets and explanations of answers, for who asks for them.

What can be refused is refused before anything is scored. Intervals and sets are a look into a
table. Explanations are work (some milliseconds a row), so they run in a thread, one request at a
time: the loop goes on answering, and more than `MAX_WAITING` are told to come back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt

from tenfold.errors import ArtifactError, RequestError
from tenfold.evaluation import Intervals, Sets
from tenfold.features.codes import Codes
from tenfold.inference import Prediction, Predictor
from tenfold.inference.explainer import Explanation, max_explained
from tenfold_serve.http import HttpError

if TYPE_CHECKING:
    from tenfold_serve.aside import Aside
    from tenfold_serve.doors.wants import Wants

__all__ = [
    "MAX_WAITING",
    "Explaining",
    "Extras",
    "check_wants",
    "extra_facts",
    "extra_tensors",
    "limits_of",
]

MAX_WAITING: Final = 8
_REMEMBERED: Final = 16
_RETRY: Final = ((b"retry-after", b"1"),)


@dataclass(frozen=True, slots=True)
class Extras:
    """What was asked for beside warnings.

    Attributes:
        level: of interval or set; None if neither was asked for.
        interval: lower and upper ends (n_rows, 2), or None.
        set: which classes (n_rows, n_classes), or None.
        explanation: or None.
    """

    level: float | None = None
    interval: npt.NDArray[np.float64] | None = None
    set: npt.NDArray[np.bool_] | None = None
    explanation: Explanation | None = None


def check_wants(predictor: Predictor, wants: Wants, n_rows: int) -> None:
    """Refuse what a model cannot give.

    Raises:
        RequestError: an interval of classes or a set of numbers, a model without either, a level
            that its rows cannot prove, or too many rows to explain.
    """
    if wants.interval and predictor.classes:
        raise RequestError("a model of classes has no interval; ask for ?with=set")
    if wants.set and not predictor.classes:
        raise RequestError("a model of numbers has no set; ask for ?with=interval")
    if wants.interval or wants.set:
        limits = predictor.conformal
        if limits is None:
            raise RequestError(_without_limits(predictor))
        most = limits.max_level
        if most is None or wants.level > most:
            raise RequestError(
                f"the {limits.n_rows} rows behind this model's limits prove a level of {most} at "
                f"most, not {wants.level}; ask for a lower level"
            )
    if wants.explanation:
        limit = max_explained(predictor)
        if n_rows > limit:
            raise RequestError(
                f"a request with explanations holds at most {limit} rows of this model, not "
                f"{n_rows}; send several requests, or use `tenfold predict --explain`"
            )


def _without_limits(predictor: Predictor) -> str:
    if predictor.manifest.task == "clustering":
        return "segments have no truth that a set could hold; leave `set` out"
    return "this model was trained before there were intervals and sets; train it again"


def limits_of(predictor: Predictor, prediction: Prediction, wants: Wants) -> Extras | None:
    """Interval or set of each answer; None if neither is asked for."""
    limits = predictor.conformal if wants.interval or wants.set else None
    if isinstance(limits, Intervals):
        return Extras(wants.level, interval=limits.bounds(prediction.scores, wants.level))
    if isinstance(limits, Sets):
        return Extras(wants.level, set=predictor.sets(prediction, wants.level))
    return None


def extra_facts(extras: Extras | None) -> dict[str, float | str]:
    """What holds for all rows of an answer: ``level``, and ``method`` and ``unit`` of
    contributions."""
    if extras is None:
        return {}
    facts: dict[str, float | str] = {} if extras.level is None else {"level": extras.level}
    if extras.explanation is not None:
        facts |= {"method": extras.explanation.method, "unit": extras.explanation.unit}
    return facts


def extra_tensors(extras: Extras | None) -> dict[str, npt.NDArray[Any]]:
    """What was asked for as arrays: ``interval`` (n, 2), ``set`` bool (n, n_classes),
    ``explanation`` (n, n_columns) and ``explanation_base`` (n,)."""
    if extras is None:
        return {}
    found: dict[str, npt.NDArray[Any] | None] = {"interval": extras.interval, "set": extras.set}
    if extras.explanation is not None:
        found["explanation"] = extras.explanation.contributions
        found["explanation_base"] = extras.explanation.base
    return {name: array for name, array in found.items() if array is not None}


class Explaining:
    """Has answers explained, one request at a time. Used from one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        self._refused: dict[str, str] = {}

    def check(self, predictor: Predictor) -> None:
        """Refuse what could not be explained, before it is scored.

        Raises:
            HttpError: 503, this model's explainer failed its probe before.
        """
        reason = self._refused.get(predictor.manifest.digest)
        if reason is not None:
            raise _unexplained(reason)

    def check_room(self) -> None:
        """Refuse where too many wait, whatever model would answer.

        Raises:
            HttpError: 429.
        """
        if self._waiting >= MAX_WAITING:
            raise HttpError(
                429,
                "explanations",
                f"{MAX_WAITING} requests wait for explanations; ask again in a second",
                headers=_RETRY,
            )

    async def explain(
        self,
        predictor: Predictor,
        codes: Codes,
        prediction: Prediction,
        *,
        aside: Aside | None = None,
    ) -> Explanation:
        """Contributions to answers that were given, after `check_room` on the same loop.

        Args:
            predictor: the model that answered.
            codes: of the rows (n_rows, code_width).
            prediction: its answers.
            aside: of a canary, which has a line of its own: one that hangs is in nobody's way.

        Raises:
            HttpError: 503, this model's explainer failed its probe, or a canary's is late.
        """
        if aside is not None:
            work = partial(self._explain, predictor, codes, prediction)
            return cast("Explanation", await aside.explain(work))
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._explain, predictor, codes, prediction)
        finally:
            self._waiting -= 1

    def _explain(self, predictor: Predictor, codes: Codes, prediction: Prediction) -> Explanation:
        try:
            return predictor.explainer.explain(codes, prediction)
        except ArtifactError as error:  # the next request would probe it again, for seconds
            if len(self._refused) >= _REMEMBERED:
                self._refused.clear()
            self._refused[predictor.manifest.digest] = str(error)
            raise _unexplained(str(error)) from error


def _unexplained(reason: str) -> HttpError:
    return HttpError(503, "explanations", f"this model cannot be explained: {reason}")
