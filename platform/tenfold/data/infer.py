"""From evidence to a schema: what each column is, and why, in words."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from tenfold.data.dates import serial_extent
from tenfold.data.numerals import read_extent
from tenfold.data.scan import MAX_VALUES, ColumnScan, TableScan, scan_table
from tenfold.data.text import DEFAULT_MARKERS
from tenfold.data.words import date_words, listing, missing_words, number_words
from tenfold.errors import DataError
from tenfold.schema import MAX_DOMAIN, Column, Form, Kind, Role, Schema

__all__ = ["Declared", "Hints", "decide_schema", "infer_schema"]

TYPED_SHARE = 0.95
"""A column is numeric (or a date) when this share of its values reads so; the rest is bad."""
UNIQUE_SHARE = 0.95
"""Texts that differ in this share of the rows name the row: an identifier, or free text."""
ESTIMATED_UNIQUE_SHARE = 0.93
"""Where different values are only estimated: all different, less four standard errors."""
CATEGORY_SHARE = 0.5
"""Texts that differ in more than this share of the rows repeat too seldom to learn from."""
FEW_VALUES = 50
"""Up to so many different texts are categories whatever the share (small tables)."""
WORDS_OF_TEXT = 3.0
"""Unique texts of so many words on average are prose, not identifiers."""

_ID_NAME = re.compile(
    r"^$|(^|[^a-z])(id|uuid|guid|rownames?|rowid|row|index|key|unnamed_\d+)\b", re.IGNORECASE
)
_CAMEL_ID = re.compile(r"[a-z]I[dD]$")
_NO_FEATURE = (Kind.IDENTIFIER, Kind.CONSTANT, Kind.TEXT)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the project says about one column; None where it says nothing.

    Attributes:
        kind: what its values mean.
        role: what it is for.
        minimum: smallest allowed value.
        maximum: largest allowed value.
        decimal: ``point`` or ``comma``; see `tenfold.schema.Form`.
        dates: ``day_first``, ``month_first`` or ``excel``.
        text: ``words`` or ``chars``; makes the column a text and a feature.
    """

    kind: Kind | None = None
    role: Role | None = None
    minimum: float | None = None
    maximum: float | None = None
    decimal: str | None = None
    dates: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Hints:
    """What is known before the data is seen.

    Attributes:
        target: name of the target column.
        classes: True if the target is a class, False if a number, None if not said.
        time: name of the time column.
        group: name of the column whose rows stay together.
        key: names of the columns that name a row.
        declared: by column name.
    """

    target: str | None = None
    classes: bool | None = None
    time: str | None = None
    group: str | None = None
    key: tuple[str, ...] = ()
    declared: Mapping[str, Declared] = field(default_factory=dict)


def infer_schema(
    tables: pa.Table | Iterable[pa.Table],
    hints: Hints | None = None,
    *,
    markers: Collection[str] = DEFAULT_MARKERS,
    trim: bool = True,
) -> Schema:
    """The schema of a table, or of the batches of one (see `read_batches`, `read_sample`).

    Args:
        tables: raw tables, text or typed, all with the same columns.
        hints: target, roles and declared kinds.
        markers: texts that mean missing, after trimming.
        trim: whether blanks around a text count for nothing.

    Raises:
        DataError: no rows, unequal columns, or a named column that is not there.

    >>> table = pa.table({"id": ["1", "2", "3"], "age": ["39", "?", "50"], "y": ["a", "b", "a"]})
    >>> for column in infer_schema(table, Hints(target="y", classes=True)).columns:
    ...     print(column.name, column.kind, column.role, "|", column.evidence)
    id identifier ignored | whole numbers, all different, named like an identifier
    age integer feature | whole numbers from 39 to 50, 1 of 3 missing
    y category target | classes: 'a' (2), 'b' (1)
    """
    if isinstance(tables, pa.Table):
        tables = [tables]
    scans = [scan_table(table, markers=markers, trim=trim) for table in tables]
    if not scans:
        raise DataError("the table has no rows; give one with a header and at least one row")
    return decide_schema(TableScan.merge_all(scans), hints or Hints())


def decide_schema(scan: TableScan, hints: Hints) -> Schema:
    """The schema that a scan of the whole table speaks for.

    Raises:
        DataError: no rows, or a named column that is not there.
    """
    if not scan.columns or scan.columns[0].n_rows == 0:
        raise DataError("the table has no rows; give one with a header and at least one row")
    _check_names(scan.names, hints)
    pairs = zip(scan.names, scan.columns, strict=True)
    return Schema(tuple(_decide(name, column, hints) for name, column in pairs))


def _check_names(names: tuple[str, ...], hints: Hints) -> None:
    named: dict[str, list[str | None]] = {
        "the target": [hints.target],
        "the time column": [hints.time],
        "the group column": [hints.group],
        "the key": list(hints.key),
        "data.columns": list(hints.declared),
    }
    for what, wanted in named.items():
        for name in wanted:
            if name is not None and name not in names:
                raise DataError(
                    f"{what} must be a column of the table: {name!r} is not among "
                    f"{', '.join(map(repr, names))}; correct the name in the project file"
                )


def _decide(name: str, scan: ColumnScan, hints: Hints) -> Column:
    declared = hints.declared.get(name, Declared())
    if name == hints.target:
        return _target(name, scan, hints, declared)
    kind, evidence = _kind(name, scan, declared)
    wanted = _wanted_kind(name, kind, hints, declared)
    if wanted is not None and wanted is not kind:
        kind, evidence = wanted, f"declared a {wanted.value}; found: {evidence}"
    role = declared.role or _role(name, kind, hints)
    if declared.text is not None and declared.role is None and role is Role.IGNORED:
        role = Role.FEATURE
    return _column(name, scan, kind, role, declared, evidence)


def _wanted_kind(name: str, kind: Kind, hints: Hints, declared: Declared) -> Kind | None:
    if declared.kind is not None:
        return declared.kind
    if declared.dates is not None:
        return Kind.DATETIME
    if declared.text is not None:
        return Kind.TEXT
    if name == hints.time and kind not in (Kind.DATETIME, Kind.INTEGER, Kind.NUMBER):
        return Kind.DATETIME
    if declared.role is Role.FEATURE and kind in (Kind.IDENTIFIER, Kind.TEXT):
        return Kind.CATEGORY
    return None


def _role(name: str, kind: Kind, hints: Hints) -> Role:
    if name == hints.time:
        return Role.TIME
    if name == hints.group:
        return Role.GROUP
    if name in hints.key:
        return Role.KEY
    return Role.IGNORED if kind in _NO_FEATURE else Role.FEATURE


def _target(name: str, scan: ColumnScan, hints: Hints, declared: Declared) -> Column:
    if scan.n_values == 0:
        raise DataError(
            f"target {name!r} has no value in {scan.n_rows} rows; "
            "give the labels or choose another target"
        )
    kind = declared.kind
    if kind is None and hints.classes is not None:
        kind = Kind.CATEGORY if hints.classes else Kind.NUMBER
    if kind is None:
        kind, evidence = _kind(name, scan, declared)
    elif kind is Kind.CATEGORY:
        evidence = "classes: " + listing(scan)
    else:
        evidence = number_words("numbers", scan, _form(scan, kind, declared))
    return _column(name, scan, kind, Role.TARGET, declared, evidence)


def _kind(name: str, scan: ColumnScan, declared: Declared) -> tuple[Kind, str]:
    """The kind and the evidence; the first rule that holds."""
    missing = missing_words(scan)
    if scan.n_values == 0:
        return Kind.CONSTANT, f"no value in {scan.n_rows} rows{missing if '#' in missing else ''}"
    if scan.n_distinct == 1 and not scan.n_missing:
        return Kind.CONSTANT, f"the same value in all rows: {listing(scan)}"
    if scan.n_booleans == scan.n_values:
        return Kind.BOOLEAN, f"true or false{missing}"
    if "datetime" in scan.types and scan.types <= {"datetime"}:
        return Kind.DATETIME, f"dates and times{missing}"
    form = _form(scan, Kind.NUMBER, declared)
    n_numbers = read_extent(scan.written, form).n
    if n_numbers >= TYPED_SHARE * scan.n_values and not (scan.n_codes and _untyped(scan)):
        return _number_kind(name, scan, form)
    if scan.n_datetimes >= TYPED_SHARE * scan.n_values:
        return Kind.DATETIME, date_words(scan, _form(scan, Kind.DATETIME, declared))
    return _text_kind(name, scan, missing)


def _form(scan: ColumnScan, kind: Kind, declared: Declared) -> Form:
    """How the texts of a kind are written: declared, or as the whole column tells."""
    form = scan.form_as(decimal=declared.decimal, dates=declared.dates)
    if kind in (Kind.NUMBER, Kind.INTEGER):
        return Form(unit=form.unit, decimal=form.decimal)
    return Form(dates=form.dates) if kind is Kind.DATETIME else Form()


def _number_kind(name: str, scan: ColumnScan, form: Form) -> tuple[Kind, str]:
    whole_only = scan.n_integers >= scan.n_numbers and "number" not in scan.types
    if form != Form() or not whole_only:
        return Kind.NUMBER, number_words("numbers", scan, form)
    if scan.n_values > 1 and _all_differ(scan) and _named_like_id(name):
        return Kind.IDENTIFIER, "whole numbers, all different, named like an identifier"
    return Kind.INTEGER, number_words("whole numbers", scan, form)


def _text_kind(name: str, scan: ColumnScan, missing: str) -> tuple[Kind, str]:
    share = scan.n_distinct / scan.n_values
    words = scan.n_words / scan.n_values
    found = f"{scan.n_distinct} different texts in {scan.n_values} values"
    unique = share >= UNIQUE_SHARE
    if unique and (scan.n_distinct > FEW_VALUES or _named_like_id(name)):
        percent = f"{math.floor(1000 * share) / 10:g} % unique strings"  # never up to a false 100
        if words >= WORDS_OF_TEXT:
            return Kind.TEXT, f"{percent}, {words:.1f} words each: prose{missing}"
        return Kind.IDENTIFIER, f"{percent}: an identifier{missing}"
    if scan.n_distinct <= FEW_VALUES or (share <= CATEGORY_SHARE and scan.counts is not None):
        code = ", digits with leading zeros" if scan.n_codes else ""
        return Kind.CATEGORY, f"{found}{code}{missing}"
    return Kind.TEXT, f"{found}: they repeat too seldom for categories{missing}"


def _column(
    name: str, scan: ColumnScan, kind: Kind, role: Role, declared: Declared, evidence: str
) -> Column:
    low, high = declared.minimum, declared.maximum
    form = _form(scan, kind, declared)
    if kind in (Kind.NUMBER, Kind.INTEGER):
        extent = read_extent(scan.written, form)
        low = extent.low if low is None else low
        high = extent.high if high is None else high
    if kind is Kind.DATETIME:
        extent = scan.dates.read(form.dates)
        if form.dates == "excel":
            extent = extent.merge(serial_extent(read_extent(scan.written, Form())))
        low, high = extent.low, extent.high
    return Column(
        name=name,
        kind=kind,
        role=role,
        nullable=scan.n_missing > 0,
        domain=_domain(name, scan) if kind is Kind.CATEGORY else None,
        minimum=low,
        maximum=high,
        evidence=evidence,
        form=form,
        grams=declared.text or "words",
    )


def _domain(name: str, scan: ColumnScan) -> tuple[str, ...]:
    counts = scan.value_counts()
    if counts is None:
        raise DataError(
            f"column {name!r}: a category has at most {MAX_VALUES} different values, and this "
            f"has about {scan.n_distinct}; declare it as text or identifier"
        )
    frequent = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_DOMAIN]
    return tuple(sorted(frequent))


def _named_like_id(name: str) -> bool:
    return bool(_ID_NAME.search(name) or _CAMEL_ID.search(name) or name.endswith("ID"))


def _all_differ(scan: ColumnScan) -> bool:
    if scan.n_missing:
        return False
    if scan.counts is not None:
        return scan.n_distinct == scan.n_values
    return scan.n_distinct >= ESTIMATED_UNIQUE_SHARE * scan.n_values


def _untyped(scan: ColumnScan) -> bool:
    return "text" in scan.types
