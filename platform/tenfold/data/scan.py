"""What is in each column, counted block by block: the evidence that kinds are inferred from.

A `TableScan` merges exactly: the same rows, cut and ordered in any way, give the same scan.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.canonical import canonical_json
from tenfold.data import parse
from tenfold.data.dates import date_evidence
from tenfold.data.evidence import DateEvidence, Extent, NumberEvidence, merge_units
from tenfold.data.hashing import mix, sketch_hashes
from tenfold.data.numerals import decide_form, number_evidence, read_extent
from tenfold.data.text import (
    DEFAULT_MARKERS,
    Coded,
    Noted,
    code_and_note,
    code_typed,
    is_text,
    to_text,
    type_word,
    whole,
)
from tenfold.errors import DataError
from tenfold.schema import Form

__all__ = ["MAX_VALUES", "SKETCH_SIZE", "ColumnScan", "TableScan", "scan_table"]

MAX_VALUES = 50_000
"""Different values counted one by one; a column with more keeps only its sketch (memory)."""
SKETCH_SIZE = 4096
"""Smallest hashes kept for the count of different values: exact below, 1.6 % error above."""

_COUNTS = pa.schema([("value", pa.string()), ("count", pa.int64())])
_FLOAT_COUNTS = pa.schema([("value", pa.float64()), ("count", pa.int64())])
_WRITTEN_WHOLE = 2.0**53
"""Larger floats are written with a point or an exponent, see `tenfold.data.text.to_text`."""


@dataclass(frozen=True, slots=True)
class ColumnScan:
    """Mergeable evidence about one column.

    Attributes:
        n_rows: rows seen.
        n_missing: of these, missing (null, NaN or a marker).
        n_whole: values that are bare whole numbers without a fraction part.
        n_codes: digits that are a code (leading zeros, too long).
        n_booleans: values that are ``true`` or ``false`` in any case.
        n_words: words in all values.
        n_padded: values that had blanks around them.
        n_dressed: numbers written with more than digits, sign, point and exponent: ``1,234``.
        markers: missing cells by the marker that stood there, see `Noted`.
        written: how the numbers are written, by unit.
        dates: how the points in time are written that are no numbers.
        types: what the source says the column is: ``text``, ``integer``, ``number``,
            ``boolean``, ``datetime``.
        counts: (value, count) of each different value, or None above `MAX_VALUES`; values are
            texts, or floats as long as a column of floats is all that was seen.
        sketch: the smallest hashes of the different values, sorted.
    """

    n_rows: int
    n_missing: int
    n_whole: int
    n_codes: int
    n_booleans: int
    n_words: int
    n_padded: int
    n_dressed: int
    markers: Mapping[str, int]
    written: Mapping[str, NumberEvidence]
    dates: DateEvidence
    types: frozenset[str]
    counts: pa.Table | None
    sketch: NDArray[np.uint64]

    @property
    def form(self) -> Form:
        """How numbers and dates are written, as all values tell."""
        return self.form_as()

    def form_as(self, *, decimal: str | None = None, dates: str | None = None) -> Form:
        """The form, with what the project declares of it."""
        form = decide_form(self.written, decimal=decimal)
        return replace(form, dates=dates or self.dates.order())

    @property
    def n_numbers(self) -> int:
        """Values that read as finite numbers in the column's form."""
        return read_extent(self.written, self.form).n

    @property
    def n_integers(self) -> int:
        """Of these, whole numbers; 0 where numbers have a unit or a decimal comma."""
        plain = not self.form.unit and self.form.decimal == "point"
        return self.n_whole if plain else 0

    @property
    def minimum(self) -> float | None:
        """Smallest number in the column's form; None without any."""
        return read_extent(self.written, self.form).low

    @property
    def maximum(self) -> float | None:
        """Largest number."""
        return read_extent(self.written, self.form).high

    @property
    def n_datetimes(self) -> int:
        """Values that read as points in time in some order of day and month, and not as numbers."""
        return self.dates.n_any

    @property
    def earliest(self) -> float | None:
        """First point in time in epoch seconds; None without any."""
        return self.dates.read(self.form.dates).low

    @property
    def latest(self) -> float | None:
        """Last point in time."""
        return self.dates.read(self.form.dates).high

    @property
    def n_values(self) -> int:
        """Values that are not missing."""
        return self.n_rows - self.n_missing

    @property
    def n_distinct(self) -> int:
        """Different values: exact while they are counted, else estimated (1.6 %)."""
        if self.counts is not None:
            return int(self.counts.num_rows)
        if len(self.sketch) < SKETCH_SIZE:
            return len(self.sketch)
        return min(self.n_values, round((SKETCH_SIZE - 1) * 2.0**64 / float(self.sketch[-1])))

    @property
    def is_exact(self) -> bool:
        """Whether `n_distinct` is counted and not estimated."""
        return self.counts is not None or len(self.sketch) < SKETCH_SIZE

    def most_frequent(self) -> tuple[str, int] | None:
        """The value that most rows have, with their number; ties by text.

        None where every value occurs once, or they were too many to be counted.
        """
        if self.counts is None or not self.counts.num_rows:
            return None
        most = pc.max(self.counts["count"])
        if most.as_py() < 2:
            return None
        tied = _as_texts(self.counts.filter(pc.equal(self.counts["count"], most)))
        return min(tied["value"].to_pylist()), most.as_py()

    @classmethod
    def merge_all(cls, scans: Sequence[ColumnScan]) -> ColumnScan:
        """All together; exact and in any order, at least one."""
        markers: Counter[str] = Counter()
        for scan in scans:
            markers.update(scan.markers)
        return cls(
            **{name: sum(getattr(scan, name) for scan in scans) for name in _NUMBERS},
            markers=dict(sorted(markers.items())),
            written=reduce(merge_units, (scan.written for scan in scans)),
            dates=reduce(DateEvidence.merge, (scan.dates for scan in scans)),
            types=frozenset().union(*(scan.types for scan in scans)),
            counts=_merge_counts([scan.counts for scan in scans]),
            sketch=np.unique(np.concatenate([scan.sketch for scan in scans]))[:SKETCH_SIZE],
        )

    def value_counts(self) -> dict[str, int] | None:
        """Each different value with its count, or None where they were too many."""
        if self.counts is None:
            return None
        counts = _as_texts(self.counts)
        return dict(zip(counts["value"].to_pylist(), counts["count"].to_pylist(), strict=True))


@dataclass(frozen=True, slots=True)
class TableScan:
    """The scans of all columns, in order of the columns."""

    names: tuple[str, ...]
    columns: tuple[ColumnScan, ...]

    def merge(self, other: TableScan) -> TableScan:
        """Both together, see `merge_all`."""
        return self.merge_all([self, other])

    @classmethod
    def merge_all(cls, scans: Sequence[TableScan]) -> TableScan:
        """All together, in any order; many at once cost less than one after the other.

        Raises:
            DataError: the column names differ.
        """
        names = scans[0].names
        for other in scans[1:]:
            if other.names != names:
                raise DataError(
                    f"every file of a source has the same columns; found {list(names)} "
                    f"and {list(other.names)}; make them equal or name them as two sources"
                )
        columns = zip(*(scan.columns for scan in scans), strict=True)
        return cls(names, tuple(ColumnScan.merge_all(column) for column in columns))

    def to_bytes(self) -> bytes:
        """The scan as an Arrow IPC file: one row a column."""
        rows = [_to_row(n, c) for n, c in zip(self.names, self.columns, strict=True)]
        table = pa.Table.from_pylist(rows, schema=_ROW)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue().to_pybytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> TableScan:
        """The inverse of `to_bytes`."""
        rows = pa.ipc.open_file(pa.BufferReader(data)).read_all().to_pylist()
        return cls(tuple(row["name"] for row in rows), tuple(_from_row(row) for row in rows))


def scan_table(
    table: pa.Table, *, markers: Collection[str] = DEFAULT_MARKERS, trim: bool = True
) -> TableScan:
    """Count one block.

    >>> scan = scan_table(pa.table({"a": ["1", " 2", "?", "x"]})).columns[0]
    >>> scan.n_values, scan.n_integers, scan.n_distinct, scan.maximum
    (3, 2, 3, 2.0)
    """
    columns = []
    # Arrow finds a column by its name in time of their number: by place it costs nothing.
    for place, (name, kind) in enumerate(zip(table.schema.names, table.schema.types, strict=True)):
        word = type_word(name, kind)
        noted = _NOTHING
        if pa.types.is_floating(kind):
            columns.append(_scan_floats(table.column(place)))
            continue
        if is_text(kind):
            coded, noted = code_and_note(table.column(place), markers=markers, trim=trim)
        elif pa.types.is_null(kind):
            coded = Coded(pa.array([], pa.string()), np.full(table.num_rows, -1))
        else:
            coded = code_typed(table.column(place))
        columns.append(_scan_coded(coded, word, noted))
    return TableScan(tuple(table.column_names), tuple(columns))


_NOTHING = Noted(0, {})
_DRESSED = r"[^0-9eE.+-]"


def _scan_coded(coded: Coded, word: str, noted: Noted) -> ColumnScan:
    """Each value is tried as a number first; only what is none is tried as anything else.

    So a column of numbers costs one pass; the rule is per value, and no cut can change it.
    """
    values, weights = coded.values, coded.weights()
    written, is_number = number_evidence(values, weights, typed=word != "text")
    digits, digit_weights = values.filter(pa.array(is_number)), weights[is_number]
    texts, text_weights = values.filter(pa.array(~is_number)), weights[~is_number]
    dates, _is_date = date_evidence(texts, text_weights)
    is_boolean = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(["true", "false"]))
    words = pc.add(pc.count_substring_regex(texts, r"\s+"), 1).to_numpy(zero_copy_only=False)
    n_values = int(weights.sum())
    return ColumnScan(
        n_rows=len(coded.codes),
        n_missing=len(coded.codes) - n_values,
        n_whole=int(digit_weights[parse.whole_numbers(digits)].sum()),
        n_codes=int(digit_weights[parse.looks_like_code(digits)].sum()),
        n_booleans=int(text_weights[is_boolean.to_numpy(zero_copy_only=False)].sum()),
        n_words=int(digit_weights.sum()) + int((words * text_weights).sum()),
        n_padded=noted.n_padded,
        n_dressed=int(digit_weights[_dressed(digits)].sum()) if word == "text" else 0,
        markers=noted.markers,
        written=written,
        dates=dates,
        types=frozenset([word]),
        counts=_capped(pa.table([values, pa.array(weights)], schema=_COUNTS)),
        sketch=np.unique(sketch_hashes(values))[:SKETCH_SIZE],
    )


def _scan_floats(column: pa.ChunkedArray) -> ColumnScan:
    """What the texts of a column of floats would say, without writing one.

    The texts were nine tenths of a scan's time (65,536 rows of 24 different numbers: 2.5 s a
    block, now 0.15). Only the sketch is another: of the numbers, not of their texts.
    """
    array = whole(column)
    if array.type == pa.float16():  # Arrow casts no half floats to float64
        array = array.cast(pa.float32())
    floats = array.drop_null().cast(pa.float64()).to_numpy(zero_copy_only=False)
    floats = floats[~np.isnan(floats)] + 0.0  # -0 is written 0
    values, weights = np.unique(floats, return_counts=True)
    finite = np.isfinite(values)
    numbers, n_each = values[finite], weights[finite]
    is_whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < _WRITTEN_WHOLE)
    counts = pa.table([values, weights], schema=_FLOAT_COUNTS)
    return ColumnScan(
        n_rows=len(array),
        n_missing=len(array) - len(floats),
        n_whole=int(n_each[is_whole].sum()),
        n_codes=0,
        n_booleans=0,
        n_words=len(floats),
        n_padded=0,
        n_dressed=0,
        markers={},
        written={"": NumberEvidence(free=Extent.of(numbers, n_each))} if len(numbers) else {},
        dates=DateEvidence(),
        types=frozenset(["number"]),
        counts=_capped(counts),
        sketch=_smallest(mix(values.view(np.uint64))),
    )


def _smallest(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The `SKETCH_SIZE` smallest of different hashes, sorted; a partition first is 20 times faster
    than sorting all."""
    if len(hashes) > SKETCH_SIZE:
        hashes = np.partition(hashes, SKETCH_SIZE)[:SKETCH_SIZE]
    return np.sort(hashes)


def _dressed(digits: pa.StringArray) -> NDArray[np.bool_]:
    try:  # the common case: Arrow reads them as they are
        pc.cast(digits, pa.float64())
        return np.zeros(len(digits), dtype=bool)
    except pa.ArrowInvalid:
        pass
    found = pc.match_substring_regex(digits, _DRESSED)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


def _capped(counts: pa.Table) -> pa.Table | None:
    return counts if counts.num_rows <= MAX_VALUES else None


def _merge_counts(parts: Sequence[pa.Table | None]) -> pa.Table | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if any(part.schema != known[0].schema for part in known):
        known = [_as_texts(part) for part in known]
    both = pa.concat_tables(known).group_by("value").aggregate([("count", "sum")])
    return _capped(both.select(["value", "count_sum"]).rename_columns(["value", "count"]))


def _as_texts(counts: pa.Table) -> pa.Table:
    return pa.table([to_text(whole(counts["value"])), counts["count"]], schema=_COUNTS)


_NUMBERS = (
    *("n_rows", "n_missing", "n_whole", "n_codes", "n_booleans", "n_words"),
    *("n_padded", "n_dressed"),
)
_ROW = pa.schema(
    [
        ("name", pa.string()),
        *((name, pa.int64()) for name in _NUMBERS),
        ("evidence", pa.binary()),
        ("types", pa.list_(pa.string())),
        ("values", pa.list_(pa.string())),
        ("floats", pa.list_(pa.float64())),
        ("counts", pa.list_(pa.int64())),
        ("sketch", pa.list_(pa.uint64())),
    ]
)


def _to_row(name: str, scan: ColumnScan) -> dict[str, object]:
    counts = scan.counts
    evidence = {
        "markers": dict(scan.markers),
        "written": {unit: each.to_dict() for unit, each in scan.written.items()},
        "dates": scan.dates.to_dict(),
    }
    values = None if counts is None else counts["value"].to_pylist()
    is_text = counts is not None and counts.schema == _COUNTS
    return {
        "name": name,
        **{field: getattr(scan, field) for field in _NUMBERS},
        "evidence": canonical_json(evidence),
        "types": sorted(scan.types),
        "values": values if is_text else None,
        "floats": None if is_text else values,
        "counts": None if counts is None else counts["count"].to_pylist(),
        "sketch": scan.sketch.tolist(),
    }


def _from_row(row: dict[str, Any]) -> ColumnScan:
    counts = None
    if row["values"] is not None:
        counts = pa.table([row["values"], row["counts"]], schema=_COUNTS)
    if row["floats"] is not None:
        counts = pa.table([row["floats"], row["counts"]], schema=_FLOAT_COUNTS)
    evidence = json.loads(row["evidence"])
    return ColumnScan(
        **{name: row[name] for name in _NUMBERS},
        markers=evidence["markers"],
        written={
            unit: NumberEvidence.from_dict(each) for unit, each in evidence["written"].items()
        },
        dates=DateEvidence.from_dict(evidence["dates"]),
        types=frozenset(row["types"]),
        counts=counts,
        sketch=np.array(row["sketch"], dtype=np.uint64),
    )
