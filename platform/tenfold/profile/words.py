"""Numbers as a reader wants them: short, grouped, with the unit of the column."""

from __future__ import annotations

import datetime as dt
import math

__all__ = ["as_count", "as_percent", "as_value", "as_written", "capital", "shorten", "two_ends"]

LABEL_CHARS = 18


def as_count(value: float | None) -> str:
    """A whole number in groups of three.

    >>> as_count(1234567), as_count(None)
    ('1,234,567', '-')
    """
    return "-" if value is None else f"{value:,.0f}"


def as_percent(share: float | None) -> str:
    """A share in percent; what is not quite 0 or 100 never says so.

    >>> as_percent(0.5), as_percent(0.00001), as_percent(0.99999), as_percent(0.034)
    ('50%', '<0.1%', '>99.9%', '3.4%')
    """
    if share is None:
        return "-"
    if 0.0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1.0:
        return ">99.9%"
    digits = 0 if share >= 0.1 or share == 0.0 else 1
    return f"{100 * share:.{digits}f}%"


def as_value(value: float | None, *, kind: str = "number") -> str:
    """One value of a column; a date-time from epoch seconds.

    >>> as_value(0.123456), as_value(1234567.0), as_value(None), as_value(0.0, kind="datetime")
    ('0.1235', '1,234,567', '-', '1970-01-01')
    """
    if value is None or not math.isfinite(value):
        return "-"
    if kind == "datetime":
        return _as_date(value)
    if kind == "boolean" and value in (0.0, 1.0):
        return "true" if value else "false"
    if value == 0 or 10_000 <= abs(value) < 1e9:
        return as_count(value)
    if 1000 <= abs(value) < 10_000:
        return f"{value:.0f}"  # no comma: it may be a year
    if abs(value) >= 1e9 or abs(value) < 1e-4:
        return f"{value:.3g}"
    return f"{value:.4g}"


def as_written(value: float, *, kind: str = "number") -> str:
    """One value of a column with all of its digits, so that a marker such as -999.25 is known.

    >>> as_written(-999.25), as_written(15024.0), as_written(0.0, kind="datetime")
    ('-999.25', '15024', '1970-01-01')
    """
    return as_value(value, kind=kind) if kind in ("datetime", "boolean") else f"{value:.15g}"


def _as_date(seconds: float) -> str:
    try:
        moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.4g} s"
    midnight = seconds % 86_400 == 0
    return moment.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M")


def shorten(text: str, *, chars: int = LABEL_CHARS) -> str:
    """A label that fits.

    >>> shorten("a-very-long-category-name")
    'a-very-long-categ…'
    >>> shorten("a", chars=3)
    'a'
    """
    return text if len(text) <= chars else text[: chars - 1] + "…"


def capital(text: str) -> str:
    """A sentence's beginning, the rest as it is.

    >>> capital("share of >50K")
    'Share of >50K'
    """
    return text[:1].upper() + text[1:]


def two_ends(low: float, high: float) -> tuple[str, str]:
    """The ends of an axis, short and with as many digits as it takes to tell them apart.

    >>> two_ends(314_173.0, 1_103_740.0), two_ends(47.532, 47.59), two_ends(2007.0, 2009.0)
    (('0.31M', '1.1M'), ('47.532', '47.59'), ('2007', '2009'))
    >>> two_ends(0.0, 1e300)
    ('0', '1e+300')
    """
    most, span = max(abs(low), abs(high)), high - low
    if not 1e-4 < span < 1e9 or not most < 1e9:
        return f"{low:.3g}", f"{high:.3g}"
    unit, suffix = next((u, w) for least, u, w in _UNITS if most >= least)
    digits = max(0, 1 - math.floor(math.log10(span / unit)))
    return _trimmed(low / unit, digits) + suffix, _trimmed(high / unit, digits) + suffix


_UNITS = ((1e6, 1e6, "M"), (1e4, 1e3, "k"), (0.0, 1.0, ""))
"""From which value on, the unit, and its letter."""


def _trimmed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
