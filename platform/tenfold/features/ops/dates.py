"""Operations on times: what the calendar says about a second since 1970 UTC."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tenfold.features.codes import Codes
from tenfold.features.ops.base import Features, Op

__all__ = ["CALENDAR_FIELDS", "Calendar"]

CALENDAR_FIELDS = ("month", "day", "weekday", "hour")
"""Month 1-12, day of the month 1-31, weekday 0 (Monday) - 6, hour 0-23."""

_CYCLE = {"month": (1, 12), "day": (1, 31), "weekday": (0, 7), "hour": (0, 24)}
"""First value and length of the cycle."""

_WIDEST = 32
"""Rows of the table below: the largest field value is 31."""


def _row(index: int, field: str) -> tuple[float, float, float]:
    first, length = _CYCLE[field]
    angle = 2.0 * math.pi * ((index - first) % length) / length
    return float(index), math.sin(angle), math.cos(angle)


_TABLE = np.array([[_row(i, field) for i in range(_WIDEST)] for field in CALENDAR_FIELDS])
"""(4 fields, 32 values, [plain, sine, cosine]): looked up, so no angle is computed per row and
no SIMD variant of a sine can make one row differ from a batch."""

_FORMS = ("plain", "sin", "cos")


@dataclass(frozen=True, eq=False)
class Calendar(Op):
    """Calendar fields of times.

    Attributes:
        parts: per column (columns may repeat), ``field.form``: a field of `CALENDAR_FIELDS` and
            ``plain``, ``sin`` or ``cos``.
        missing: per column, what a missing time gives; NaN stays missing.

    Source of the date arithmetic: H. Hinnant, "chrono-compatible low-level date algorithms"
    (2013), ``civil_from_days``; all its integers are exact in float64.

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
        distinct, back, fields, forms, missing = self._arrays
        seconds = codes.take(distinct, axis=1)
        absent = np.isnan(seconds)
        np.copyto(seconds, 0.0, where=absent)
        values = _fields(seconds)  # (4, n_rows, n_distinct)
        chosen = values[fields, :, back].T.astype(np.intp)
        out[...] = _TABLE[fields, chosen, forms]
        if absent.any():
            np.copyto(out, missing, where=absent.take(back, axis=1))

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
        back = [distinct.index(column) for column in self.columns]
        split = [part.split(".") for part in self.parts]
        fields = [CALENDAR_FIELDS.index(field) for field, _ in split]
        forms = [_FORMS.index(form) for _, form in split]
        indices = (np.array(x, dtype=np.intp) for x in (distinct, back, fields, forms))
        return *indices, np.array(self.missing, dtype=np.float32)


def _fields(seconds: Codes) -> Codes:
    """Month, day, weekday, hour of seconds since 1970 UTC: (4, *shape)."""
    days = np.floor(seconds / 86400.0)
    hour = np.floor((seconds - days * 86400.0) / 3600.0)
    weekday = (days + 3.0) % 7.0  # 1970-01-01 was a Thursday
    z = days + 719468.0  # days since 0000-03-01
    era = np.floor(z / 146097.0)
    doe = z - era * 146097.0
    yoe = np.floor(
        (doe - np.floor(doe / 1460.0) + np.floor(doe / 36524.0) - np.floor(doe / 146096.0)) / 365.0
    )
    doy = doe - (365.0 * yoe + np.floor(yoe / 4.0) - np.floor(yoe / 100.0))
    march = np.floor((5.0 * doy + 2.0) / 153.0)
    day = doy - np.floor((153.0 * march + 2.0) / 5.0) + 1.0
    month = np.where(march < 10.0, march + 3.0, march - 9.0)
    return np.stack([month, day, weekday, hour])
