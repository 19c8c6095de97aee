"""Elapsed time: from one time column to another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tenfold.features.codes import Codes
from tenfold.features.ops.base import Features, Op

__all__ = ["MAX_DAYS", "Elapsed"]

MAX_DAYS = 36_525.0
"""A century either way; what is farther apart is a placeholder (1900-01-01, 9999-12-31)."""

_DAY_S = 86_400.0
_YEAR = math.log1p(365.25)
_FORMS = ("days", "log")


@dataclass(frozen=True, eq=False)
class Elapsed(Op):
    """Days from another column's time to the column's, at most `MAX_DAYS` either way.

    Attributes:
        others: per column, the place of the column with the start.
        forms: per column, ``days``, or ``log``: the sign times ``log(1 + |days|)``, with 1 for a
            year. It needs no fitted scale and lets hours and decades stand in one feature.
        missing: what it is when either time is missing; NaN stays missing.

    >>> out = np.empty((1, 2), np.float32)
    >>> op = Elapsed((0, 0), (1, 1), ("days", "log"), (np.nan, 0.0))
    >>> op.apply(np.array([[3 * 86400.0, 86400.0]]), out)
    >>> [round(value, 4) for value in out.ravel().tolist()]
    [2.0, 0.1861]
    """

    kind: ClassVar[str] = "elapsed"

    others: tuple[int, ...]
    forms: tuple[str, ...]
    missing: tuple[float, ...]

    @property
    def n_outputs(self) -> int:
        """One per column."""
        return len(self.columns)

    def apply(self, codes: Codes, out: Features) -> None:
        """See `Op.apply`."""
        places, others, is_log, missing = self._arrays
        days = np.subtract(codes.take(places, axis=1), codes.take(others, axis=1))
        np.divide(days, _DAY_S, out=days)
        np.minimum(np.maximum(days, -MAX_DAYS, out=days), MAX_DAYS, out=days)
        np.copyto(days, missing, where=np.isnan(days))
        if is_log is not None:
            logs = np.copysign(np.divide(np.log1p(np.abs(days)), _YEAR), days)
            np.copyto(days, logs, where=is_log)
        out[...] = days

    def inputs(self, output: int) -> tuple[int, ...]:
        """See `Op.inputs`."""
        return self.columns[output], self.others[output]

    def check(self, sizes: tuple[int, ...]) -> str | None:
        """See `Op.check`."""
        lengths = {len(x) for x in (self.columns, self.others, self.forms, self.missing)}
        if len(lengths) != 1 or not self.columns:
            return "has one other, form and missing per column, and a column"
        if not all(0 <= other < len(sizes) for other in self.others):
            return f"has others below {len(sizes)}"
        return None if set(self.forms) <= set(_FORMS) else f"has forms out of {_FORMS}"

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        is_log = np.array([form == "log" for form in self.forms])
        return (
            self.places,
            np.array(self.others, dtype=np.intp),
            is_log if is_log.any() else None,
            np.array(self.missing),
        )
