"""Durations as people write them: ``60s``, ``10m``, ``1h30m``."""

from __future__ import annotations

import math
import re

__all__ = ["parse_duration"]

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
MAX_DURATION_S = 3650 * 86400.0
"""Ten years: anything longer is a slip of the keyboard."""


def parse_duration(value: object) -> float:
    """Turn a written duration into seconds; a bare number is seconds already.

    Args:
        value: ``"60s"``, ``"1h30m"``, ``"250ms"`` or a number of seconds.

    Returns:
        Seconds, finite, from 0 to ten years.

    Raises:
        ValueError: it is no duration; the message says how to write one.

    >>> parse_duration("1h30m"), parse_duration("250ms"), parse_duration(90)
    (5400.0, 0.25, 90.0)
    >>> parse_duration("soon")
    Traceback (most recent call last):
    ValueError: must be a duration such as 60s, 10m or 1h30m
    """
    law = "must be a duration such as 60s, 10m or 1h30m"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(law)
    if isinstance(value, str):
        text = value.replace(" ", "")
        if not _WHOLE.fullmatch(text):
            raise ValueError(law)
        seconds = sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(text))
    else:
        seconds = float(value)
    if not (math.isfinite(seconds) and 0.0 <= seconds <= MAX_DURATION_S):
        raise ValueError(law + ", at most ten years")
    return seconds
