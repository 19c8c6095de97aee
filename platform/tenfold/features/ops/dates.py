"""Operations on times: what the calendar says about a second since 1970 UTC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import Codes
from tenfold.features.ops.base import Features, Op

__all__ = ["CALENDAR_FIELDS", "Calendar"]

CALENDAR_FIELDS = ("month", "day", "weekday", "hour")
"""Month 1-12, day of the month 1-31, weekday 0 (Monday) - 6, hour 0-23."""

_CYCLE = {"month": (1, 12), "day": (1, 31), "weekday": (0, 7), "hour": (0, 24)}
"""First value and length of the cycle."""

_ABSENT = 32
"""In place of a field's value where there is no time; the largest value is 31."""

_FORMS = ("plain", "sin", "cos")

_DAY_S = 86_400.0
_HOUR_S = 3600.0
_CYCLE_DAYS = 146_097
"""Days of 400 years, whole weeks: then dates and weekdays come again."""


def _column(field: str, form: str, missing: float) -> list[float]:
    """What each value of a field becomes, and an absent one. Looked up, so no angle is computed per
    row and no SIMD variant of a sine can make one row differ from a batch."""
    if form == "plain":
        return [*map(float, range(_ABSENT)), missing]
    first, length = _CYCLE[field]
    bend = math.sin if form == "sin" else math.cos
    angles = (2.0 * math.pi * ((value - first) % length) / length for value in range(_ABSENT))
    return [*map(bend, angles), missing]


@cache
def _days() -> npt.NDArray[np.int8]:
    """Month, day and weekday of each day from 1970-01-01 on, (146,097, 3): 0.4 MB. One look-up for
    one row takes a third of the arithmetic, whose forty steps are a call of NumPy each.

    Source of the arithmetic: H. Hinnant, "chrono-compatible low-level date algorithms" (2013),
    ``civil_from_days``.
    """
    days = np.arange(_CYCLE_DAYS)
    since = days + 719_468  # 0000-03-01
    doe = since % _CYCLE_DAYS
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    march = (5 * doy + 2) // 153
    day = doy - (153 * march + 2) // 5 + 1
    month = np.where(march < 10, march + 3, march - 9)
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    return np.stack([month, day, weekday], axis=1).astype(np.int8)


@dataclass(frozen=True, eq=False)
class Calendar(Op):
    """Calendar fields of times.

    Attributes:
        parts: per column (columns may repeat), ``field.form``: a field of `CALENDAR_FIELDS` and
            ``plain``, ``sin`` or ``cos``.
        missing: per column, what a missing time gives; NaN stays missing.

    >>> out = np.empty((1, 4), np.float32)
    >>> op = Calendar((0,) * 4, tuple(f"{f}.plain" for f in CALENDAR_FIELDS), (0.0,) * 4)
    >>> op.apply(np.array([[951782400.0 + 5 * 3600]]), out)  # Tuesday 2000-02-29 05:00
    >>> out.ravel().tolist()
    [2.0, 29.0, 1.0, 5.0]
    """

    kind: ClassVar[str] = "calendar"

    parts: tuple[str, ...]
    missing: tuple[float, ...]

    @property
    def n_outputs(self) -> int:
        """One per part."""
        return len(self.parts)

    def apply(self, codes: Codes, out: Features) -> None:
        """See `Op.apply`."""
        distinct, cells, offsets, table = self._arrays
        seconds = codes.take(distinct, axis=1)
        absent = np.isnan(seconds)
        np.copyto(seconds, 0.0, where=absent)
        days = np.floor(np.divide(seconds, _DAY_S))
        values = np.empty((*seconds.shape, len(CALENDAR_FIELDS)), dtype=np.intp)
        values[..., :3] = _days()[np.mod(days, _CYCLE_DAYS).astype(np.intp)]
        np.subtract(seconds, np.multiply(days, _DAY_S, out=days), out=seconds)
        values[..., 3] = np.divide(seconds, _HOUR_S, out=seconds)  # cut to whole hours
        values[absent] = _ABSENT
        chosen = values.reshape(len(codes), distinct.size * len(CALENDAR_FIELDS)).take(
            cells, axis=1
        )
        out[...] = table.take(np.add(chosen, offsets, out=chosen))

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Op.check`."""
        if not len(self.columns) == len(self.parts) == len(self.missing) or not self.columns:
            return "has one part and one missing per column, and a column"
        known = {f"{field}.{form}" for field in CALENDAR_FIELDS for form in _FORMS}
        if not set(self.parts) <= known:
            return f"has parts out of {sorted(known)}"
        return None

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        distinct = sorted(set(self.columns))
        split = [part.split(".") for part in self.parts]
        cells = [
            distinct.index(column) * len(CALENDAR_FIELDS) + CALENDAR_FIELDS.index(field)
            for column, (field, _) in zip(self.columns, split, strict=True)
        ]
        lines = [
            _column(field, form, missing)
            for (field, form), missing in zip(split, self.missing, strict=True)
        ]
        offsets = [(_ABSENT + 1) * part for part in range(len(lines))]
        indices = (np.array(x, dtype=np.intp) for x in (distinct, cells, offsets))
        return *indices, np.array(lines, dtype=np.float32).ravel()
