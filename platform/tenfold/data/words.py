"""Evidence about a column in words: what a person reads behind a kind, in files and on reports."""

from __future__ import annotations

from collections import Counter

from tenfold.data.numerals import PERCENT, read_extent
from tenfold.data.scan import ColumnScan
from tenfold.schema import SHEET_ERRORS, Form

__all__ = ["date_words", "listing", "missing_words", "number_words"]

_ORDERS = {
    "day_first": "day before month",
    "month_first": "month before day",
    "excel": "serial day numbers of a spreadsheet",
}


def number_words(what: str, scan: ColumnScan, form: Form) -> str:
    """``whole numbers from 20 to 58, 1 of 40 not readable so, 1 of 41 missing``."""
    extent = read_extent(scan.written, form)
    if form.unit == PERCENT:
        what = "percentages as fractions (12% is 0.12)"
    elif form.unit:
        what = f"amounts in {form.unit}"
    if form.decimal == "comma":
        what += " with a decimal comma"
    low, high = extent.low, extent.high
    span = f" from {low:.10g} to {high:.10g}" if low is not None and high is not None else ""
    unsure = ""
    if form.decimal == "undecided":
        n_unsure = sum(each.n_undecided for each in scan.written.values())
        unsure = f", {n_unsure} may be fractions or thousands: declare decimal"
    return f"{what}{span}{unsure}{_others(scan, extent.n)}{missing_words(scan)}"


def date_words(scan: ColumnScan, form: Form) -> str:
    """``dates and times, day before month as 7 of 9 tell``."""
    dates = scan.dates
    n_telling = dates.day.n + dates.month.n - 2 * dates.n_either
    order = _ORDERS.get(form.dates, "")
    if order:
        right = (dates.day if form.dates == "day_first" else dates.month).n - dates.n_either
        order = f", {order}" + (f" as {right} of {n_telling} tell" if n_telling else "")
    elif dates.n_either:
        order = f", {dates.n_either} may have day or month first: declare dates"
    return f"dates and times{order}{_others(scan, scan.n_datetimes)}{missing_words(scan)}"


def missing_words(scan: ColumnScan) -> str:
    """``, 5 of 100 missing (#DIV/0! 2)``: spreadsheet errors are named, markers are not."""
    if not scan.n_missing:
        return ""
    counts: Counter[str] = Counter()
    for form, n_cells in scan.markers.items():
        counts[form.strip()] += n_cells
    errors = [f"{text} {counts[text]}" for text in SHEET_ERRORS if counts[text]]
    named = f" ({', '.join(errors)})" if errors else ""
    return f", {scan.n_missing} of {scan.n_rows} missing{named}"


def listing(scan: ColumnScan, *, most: int = 5) -> str:
    """``'a' (2), 'b' (1)``: the most frequent values."""
    counts = scan.value_counts()
    if counts is None:
        return f"about {scan.n_distinct} different values"
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    shown = ", ".join(f"{value!r} ({counts[value]})" for value in ranked[:most])
    return shown + (f" and {len(ranked) - most} more" if len(ranked) > most else "")


def _others(scan: ColumnScan, n_read: int) -> str:
    n_bad = scan.n_values - n_read
    return f", {n_bad} of {scan.n_values} not readable so" if n_bad else ""
