"""Typed dates and times as microseconds: what does not fit, or lies outside the calendar, is told.

Arrow's own cast raises on one value that is too large for microseconds, or, asked not to, wraps it
around into another century.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["FIRST_US", "LAST_US", "typed_micros"]

FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The first and the last microsecond of the years 1 to 9999, which texts can name too."""

_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}
_US_A_DAY = 86_400_000_000


def typed_micros(array: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Microseconds since 1970 of dates or timestamps; one without a zone is UTC.

    Args:
        array: of type date or timestamp, shape (n_rows,).

    Returns:
        The microseconds (0 where there is none), which rows have one, and which hold a value
        outside the years 1 to 9999; each of shape (n_rows,).

    >>> typed_micros(pa.array([1, 2**60, None], pa.timestamp("s")))
    (array([1000000,       0,       0]), array([ True, False, False]), array([False,  True, False]))
    """
    kind = array.type
    present = np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False), dtype=bool)
    raw = array.cast(pa.int32()).cast(pa.int64()) if kind == pa.date32() else array.cast(pa.int64())
    values = np.asarray(pc.fill_null(raw, 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        micros, fits = values // 1000, np.ones(len(values), dtype=bool)
    else:
        unit = _US_A_DAY if kind == pa.date32() else _PER_UNIT[getattr(kind, "unit", "ms")]
        fits = (values >= FIRST_US // unit) & (values <= LAST_US // unit)
        micros = np.where(fits, values, 0) * unit
    inside = present & fits & (micros >= FIRST_US) & (micros <= LAST_US)
    return np.where(inside, micros, 0), inside, present & ~inside
