"""Points in time as people write them. Pure kernels on unique texts.

Read are, each with an optional time of day (``13:30``, ``1:30:05.25 PM``) and zone:

- ISO 8601, extended and compact, with ``/`` or ``.`` for ``-`` too, also ``2021-3-4``;
- ``4.3.2021``: points mean day first everywhere;
- ``3/4/2021`` and ``3-4-2021``: day or month first, as the whole column tells (`DateEvidence`);
- ``4 Mar 2021``, ``4-Mar-2021``, ``March 4, 2021``: English names, in any case.

Years have four digits: ``3/4/21`` could be three dates and is refused. Serial day numbers of
spreadsheets are plain numbers and read only where they are declared (`read_serials`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.data.evidence import DateEvidence, Extent
from tenfold.data.text import as_mask

__all__ = [
    "DateReadings",
    "date_evidence",
    "parse_datetimes",
    "read_dates",
    "read_serials",
    "serial_extent",
]

Mask = NDArray[np.bool_]
Micros = NDArray[np.int64]

_ISO = (
    r"^(?P<y>\d{4})[-/]?(?P<mo>\d{2})[-/]?(?P<d>\d{2})"
    r"(?:[T ](?P<h>\d{2}):?(?P<mi>\d{2})(?::?(?P<s>\d{2})(?:\.(?P<f>\d{1,9}))?)?"
    r" ?(?P<z>Z|[+-]\d{2}(?::?\d{2})?)?)?$"
)
_CLOCK = (
    r"(?:,?[T ]+(?P<h>\d{1,2}):(?P<mi>\d{2})(?::(?P<s>\d{2})(?:\.(?P<f>\d{1,9}))?)?"
    r"(?: ?(?P<p>[AaPp])[Mm])?(?: ?(?P<z>Z|[+-]\d{2}(?::?\d{2})?))?)?$"
)
_BEGINNING = r"^(\d{1,4}[-/. ]|\d{8}|\d{1,2}(st|nd|rd|th)|[A-Za-z]{3,9}\.? \d)"  # of any of these
_YEAR_FIRST = r"^(?P<y>\d{4})(?P<q>[-/.])(?P<mo>\d{1,2})(?P<r>[-/.])(?P<d>\d{1,2})" + _CLOCK
_YEAR_LAST = r"^(?P<d>\d{1,2})(?P<q>[-/.])(?P<mo>\d{1,2})(?P<r>[-/.])(?P<y>\d{4})" + _CLOCK
_MONTHS = "january february march april may june july august september october november december"
_NAME = r"(?P<n>[A-Za-z]{3,9})\.?"
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_DAY_NAME = rf"^{_DAY}[ -]{_NAME},?[ -](?P<y>\d{{4}})" + _CLOCK
_NAME_DAY = rf"^{_NAME} {_DAY},? (?P<y>\d{{4}})" + _CLOCK

_US_A_DAY = 86_400_000_000
_SERIAL_ZERO_DAYS = -25_569  # 1899-12-30 in days since 1970
_SERIAL_RANGE = (61.0, 2_958_466.0)
"""1 March 1900 to the end of 9999: spreadsheets count a 29 February 1900 that never was."""


@dataclass(frozen=True, slots=True)
class DateReadings:
    """Each text under both orders, in microseconds since 1970 UTC; shapes (n_values,).

    Attributes:
        day_first: values with the day first; 0 where that does not read.
        month_first: with the month first.
        is_day: whether the first reads.
        is_month: whether the second reads; both, with equal values, where no order is in question.
    """

    day_first: Micros
    month_first: Micros
    is_day: Mask
    is_month: Mask

    @property
    def free(self) -> Mask:
        """Where no order is in question."""
        same: Mask = self.day_first == self.month_first
        return self.is_day & self.is_month & same


def parse_datetimes(values: pa.StringArray) -> tuple[Micros, Mask]:
    """ISO 8601 as microseconds since 1970 in UTC; a time without a zone is UTC.

    Read are its extended and basic (compact) forms, with ``/`` for ``-`` too.

    >>> parse_datetimes(pa.array(["1970-01-02", "19700101T000001", "1970-02-30"]))[0].tolist()
    [86400000000, 1000000, 0]
    """
    return _read(values, _ISO)


def read_dates(values: pa.StringArray, order: str) -> tuple[Micros, Mask, Mask]:
    """Points in time in a column whose order is known.

    Args:
        values: unique texts, without nulls; shape (n_values,).
        order: ``day_first``, ``month_first`` or ``undecided``.

    Returns:
        Microseconds since 1970 (0 where unreadable), a mask of the readable ones, and a mask of
        those that are refused only because nothing tells day from month; shapes (n_values,).

    >>> read_dates(pa.array(["3/4/1970", "25.12.1970"]), "undecided")[1:]
    (array([False,  True]), array([ True, False]))
    """
    read = _readings(values)
    nobody = np.zeros(len(values), dtype=bool)
    if order == "day_first":
        return read.day_first, read.is_day, nobody
    if order == "month_first":
        return read.month_first, read.is_month, nobody
    unsure = read.is_day & read.is_month & ~read.free
    readable = (read.is_day | read.is_month) & ~unsure
    found = np.where(read.is_day, read.day_first, read.month_first)
    return np.where(readable, found, 0), readable, unsure


def date_evidence(values: pa.StringArray, weights: NDArray[np.int64]) -> tuple[DateEvidence, Mask]:
    """How the dates of a column are written, and which values are dates in some order.

    >>> found, mask = date_evidence(pa.array(["3/4/2021", "13/4/2021", "x"]), np.array([1, 1, 1]))
    >>> found.order(), found.n_either, mask.tolist()
    ('day_first', 1, [True, True, False])
    """
    if not len(values):
        return DateEvidence(), np.zeros(0, dtype=bool)
    likely = np.flatnonzero(as_mask(pc.match_substring_regex(values, _BEGINNING)))
    if len(likely) < len(values):
        evidence, found = DateEvidence(), np.zeros(len(values), dtype=bool)
        if len(likely):
            evidence, found[likely] = date_evidence(values.take(pa.array(likely)), weights[likely])
        return evidence, found
    read = _readings(values)
    free = read.free
    day, month = read.is_day & ~free, read.is_month & ~free
    return (
        DateEvidence(
            free=Extent.of(read.day_first[free] / 1e6, weights[free]),
            day=Extent.of(read.day_first[day] / 1e6, weights[day]),
            month=Extent.of(read.month_first[month] / 1e6, weights[month]),
            n_either=int(weights[day & month].sum()),
        ),
        read.is_day | read.is_month,
    )


def read_serials(numbers: NDArray[np.float64], readable: Mask) -> tuple[Micros, Mask]:
    """Day numbers of spreadsheets (day 61 is 1 March 1900) as microseconds since 1970.

    >>> read_serials(np.array([44197.5, 3.0]), np.array([True, True]))
    (array([1609502400000000,                0]), array([ True, False]))
    """
    low, high = _SERIAL_RANGE
    readable = readable & (numbers >= low) & (numbers < high)
    days = np.where(readable, numbers, 0.0) + np.where(readable, _SERIAL_ZERO_DAYS, 0)
    seconds = np.rint(days * 86_400)  # a day's 64-bit fraction is no better than that
    return seconds.astype(np.int64) * 1_000_000, readable


def serial_extent(numbers: Extent) -> Extent:
    """From where to where day numbers lie as points in time, in epoch seconds."""
    ends = np.array([each for each in (numbers.low, numbers.high) if each is not None])
    micros, readable = read_serials(np.clip(ends, *_SERIAL_RANGE), np.ones(len(ends), dtype=bool))
    seconds = (micros[readable] / 1e6).tolist()
    return Extent(numbers.n, min(seconds, default=None), max(seconds, default=None))


def _readings(values: pa.StringArray) -> DateReadings:
    micros, mask = parse_datetimes(values)
    out = DateReadings(micros, micros.copy(), mask, mask.copy())
    for rule in (_YEAR_FIRST, _YEAR_LAST, _DAY_NAME, _NAME_DAY):
        rest = np.flatnonzero(~(out.is_day | out.is_month))
        if not len(rest):
            break
        left = values.take(pa.array(rest))
        stamps, readable = _read(left, rule)
        out.day_first[rest], out.is_day[rest] = stamps, readable
        if rule is _YEAR_LAST:
            turned, also = _read(left, rule, turned=True)
            stamps, readable = turned, also
        out.month_first[rest], out.is_month[rest] = stamps, readable
    return out


def _read(values: pa.StringArray, rule: str, *, turned: bool = False) -> tuple[Micros, Mask]:
    """One rule; ``turned`` reads day and month the other way round, unless points part them."""
    parts = pc.extract_regex(values, rule)
    mask = as_mask(pc.is_valid(parts))
    if not mask.any():
        return np.zeros(len(values), dtype=np.int64), mask
    names = {field.name for field in parts.type}
    year, day = _field(parts, "y", 1), _field(parts, "d", 1)
    month = _named_month(parts) if "n" in names else _field(parts, "mo", 1)
    if "q" in names:
        first, second = (pc.fill_null(pc.struct_field(parts, name), "") for name in ("q", "r"))
        mask &= as_mask(pc.equal(first, second))
        if turned:
            turn = ~as_mask(pc.equal(first, "."))
            day, month = np.where(turn, month, day), np.where(turn, day, month)
    start, mask = _start_of_day(year, month, day, mask)
    clock, clock_ok = _clock(parts, names)
    mask &= clock_ok
    return np.where(mask, start + clock, 0), mask


def _start_of_day(year: Micros, month: Micros, day: Micros, mask: Mask) -> tuple[Micros, Mask]:
    mask = mask & (year > 0) & (month >= 1) & (month <= 12)
    months = (np.where(mask, year, 1970) - 1970) * 12 + np.where(mask, month, 1) - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return (first + day - 1) * _US_A_DAY, mask & (day >= 1) & (day <= after - first)


def _clock(parts: pa.StructArray, names: set[str]) -> tuple[Micros, Mask]:
    """Microseconds after the start of the day in UTC."""
    hour, minute, second = (_field(parts, name, 0) for name in ("h", "mi", "s"))
    mask = (hour < 24) & (minute < 60) & (second < 60)
    if "p" in names:
        half = pc.utf8_lower(pc.fill_null(pc.struct_field(parts, "p"), ""))
        evening, twelve = as_mask(pc.equal(half, "p")), as_mask(pc.not_equal(half, ""))
        mask &= ~twelve | ((hour >= 1) & (hour <= 12))
        hour = np.where(twelve, hour % 12 + np.where(evening, 12, 0), hour)
    text = pc.fill_null(pc.struct_field(parts, "f"), "")
    text = pc.utf8_slice_codeunits(pc.utf8_rpad(text, 6, padding="0"), 0, 6)
    offset, zone_ok = _zone(parts)
    return ((hour * 60 + minute - offset) * 60 + second) * 1_000_000 + _int(text), mask & zone_ok


def _named_month(parts: pa.StructArray) -> Micros:
    """1 to 12 for a name or its first three letters (and ``Sept``), 0 for another word."""
    words = pc.utf8_lower(pc.fill_null(pc.struct_field(parts, "n"), ""))
    full = _MONTHS.split()
    places = {name: place for place, name in enumerate(full, start=1)}
    places |= {name[:3]: place for name, place in places.items()} | {"sept": 9}
    known = pc.index_in(words, pa.array(list(places)))
    index = np.asarray(pc.fill_null(known, -1).to_numpy(zero_copy_only=False), dtype=np.int64)
    return np.append(np.array(list(places.values()), dtype=np.int64), 0)[index]


def _field(parts: pa.StructArray, name: str, default: int) -> Micros:
    text = pc.fill_null(pc.struct_field(parts, name), "")
    return _int(pc.if_else(pc.equal(text, ""), str(default), text))


def _zone(parts: pa.StructArray) -> tuple[Micros, Mask]:
    """Minutes east of UTC; a zone beyond 18 hours is none."""
    text = pc.fill_null(pc.struct_field(parts, "z"), "")
    text = pc.if_else(pc.is_in(text, value_set=pa.array(["", "Z"])), "+0000", text)
    number = _int(pc.utf8_rpad(pc.replace_substring_regex(text, r"[:+-]", ""), 4, padding="0"))
    minutes = number // 100 * 60 + number % 100
    sign = np.where(as_mask(pc.starts_with(text, "-")), -1, 1)
    return sign * minutes, (minutes <= 18 * 60) & (number % 100 < 60)


def _int(text: pa.StringArray) -> Micros:
    return np.asarray(pc.cast(text, pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
