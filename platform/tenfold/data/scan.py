"""What is in each column, counted block by block: the evidence that kinds are inferred from.

A `TableScan` merges exactly: the same rows, cut and ordered in any way, give the same scan.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.data import parse
from tenfold.data.hashing import sketch_hashes
from tenfold.data.text import DEFAULT_MARKERS, Coded, code_text, code_typed, is_text, type_word
from tenfold.errors import DataError

__all__ = ["MAX_VALUES", "SKETCH_SIZE", "ColumnScan", "TableScan", "scan_table"]

MAX_VALUES = 50_000
"""Different values counted one by one; a column with more keeps only its sketch (memory)."""
SKETCH_SIZE = 4096
"""Smallest hashes kept for the count of different values: exact below, 1.6 % error above."""

_COUNTS = pa.schema([("value", pa.string()), ("count", pa.int64())])


@dataclass(frozen=True, slots=True)
class ColumnScan:
    """Mergeable evidence about one column.

    Attributes:
        n_rows: rows seen.
        n_missing: of these, missing (null, NaN or a marker).
        n_numbers: values that read as finite numbers.
        n_integers: values that read as whole numbers without a fraction part.
        n_codes: digits that are a code (leading zeros, too long).
        n_booleans: values that are ``true`` or ``false`` in any case.
        n_datetimes: values that read as points in time and not as numbers.
        n_words: words in all values.
        minimum: smallest number; None without any.
        maximum: largest number.
        earliest: first point in time in epoch seconds; None without any.
        latest: last point in time.
        types: what the source says the column is: ``text``, ``integer``, ``number``,
            ``boolean``, ``datetime``.
        counts: (value, count) of each different value, or None above `MAX_VALUES`.
        sketch: the smallest hashes of the different values, sorted.
    """

    n_rows: int
    n_missing: int
    n_numbers: int
    n_integers: int
    n_codes: int
    n_booleans: int
    n_datetimes: int
    n_words: int
    minimum: float | None
    maximum: float | None
    earliest: float | None
    latest: float | None
    types: frozenset[str]
    counts: pa.Table | None
    sketch: NDArray[np.uint64]

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

    def merge(self, other: ColumnScan) -> ColumnScan:
        """Both together; exact and in any order."""
        return ColumnScan(
            n_rows=self.n_rows + other.n_rows,
            n_missing=self.n_missing + other.n_missing,
            n_numbers=self.n_numbers + other.n_numbers,
            n_integers=self.n_integers + other.n_integers,
            n_codes=self.n_codes + other.n_codes,
            n_booleans=self.n_booleans + other.n_booleans,
            n_datetimes=self.n_datetimes + other.n_datetimes,
            n_words=self.n_words + other.n_words,
            minimum=min(_known(self.minimum, other.minimum), default=None),
            maximum=max(_known(self.maximum, other.maximum), default=None),
            earliest=min(_known(self.earliest, other.earliest), default=None),
            latest=max(_known(self.latest, other.latest), default=None),
            types=self.types | other.types,
            counts=_merge_counts(self.counts, other.counts),
            sketch=np.union1d(self.sketch, other.sketch)[:SKETCH_SIZE],
        )

    def value_counts(self) -> dict[str, int] | None:
        """Each different value with its count, or None where they were too many."""
        if self.counts is None:
            return None
        return dict(
            zip(self.counts["value"].to_pylist(), self.counts["count"].to_pylist(), strict=True)
        )


@dataclass(frozen=True, slots=True)
class TableScan:
    """The scans of all columns, in order of the columns."""

    names: tuple[str, ...]
    columns: tuple[ColumnScan, ...]

    def merge(self, other: TableScan) -> TableScan:
        """Both together.

        Raises:
            DataError: the column names differ.
        """
        if self.names != other.names:
            raise DataError(
                f"every file of a source has the same columns; found {list(self.names)} "
                f"and {list(other.names)}; make them equal or name them as two sources"
            )
        pairs = zip(self.columns, other.columns, strict=True)
        return replace(self, columns=tuple(a.merge(b) for a, b in pairs))

    @classmethod
    def merge_all(cls, scans: Sequence[TableScan]) -> TableScan:
        """All together, in any order."""
        return reduce(cls.merge, scans)

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
    for name in table.column_names:
        kind = table.schema.field(name).type
        word = type_word(name, kind)
        if is_text(kind):
            coded = code_text(table.column(name), markers=markers, trim=trim)
        elif pa.types.is_null(kind):
            coded = Coded(pa.array([], pa.string()), np.full(table.num_rows, -1))
        else:
            coded = code_typed(table.column(name))
        columns.append(_scan_coded(coded, word))
    return TableScan(tuple(table.column_names), tuple(columns))


def _scan_coded(coded: Coded, word: str) -> ColumnScan:
    """Each value is tried as a number first; only what is none is tried as anything else.

    So a column of numbers costs one pass; the rule is per value, and no cut can change it.
    """
    values, weights = coded.values, coded.weights()
    numbers, is_number = parse.parse_numbers(values)
    digits, digit_weights = values.filter(pa.array(is_number)), weights[is_number]
    texts, text_weights = values.filter(pa.array(~is_number)), weights[~is_number]
    stamps, is_stamp = parse.parse_datetimes(texts)
    is_boolean = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(["true", "false"]))
    words = pc.add(pc.count_substring_regex(texts, r"\s+"), 1).to_numpy(zero_copy_only=False)
    numbers, times = numbers[is_number], stamps[is_stamp] / 1e6
    n_values, n_numbers = int(weights.sum()), int(digit_weights.sum())
    return ColumnScan(
        n_rows=len(coded.codes),
        n_missing=len(coded.codes) - n_values,
        n_numbers=n_numbers,
        n_integers=int(digit_weights[parse.whole_numbers(digits)].sum()),
        n_codes=int(digit_weights[parse.looks_like_code(digits)].sum()),
        n_booleans=int(text_weights[is_boolean.to_numpy(zero_copy_only=False)].sum()),
        n_datetimes=int(text_weights[is_stamp].sum()),
        n_words=n_numbers + int((words * text_weights).sum()),
        minimum=min(numbers.tolist(), default=None),
        maximum=max(numbers.tolist(), default=None),
        earliest=min(times.tolist(), default=None),
        latest=max(times.tolist(), default=None),
        types=frozenset([word]),
        counts=_capped(pa.table([values, pa.array(weights)], schema=_COUNTS)),
        sketch=np.unique(sketch_hashes(values))[:SKETCH_SIZE],
    )


def _capped(counts: pa.Table) -> pa.Table | None:
    return counts if counts.num_rows <= MAX_VALUES else None


def _merge_counts(first: pa.Table | None, second: pa.Table | None) -> pa.Table | None:
    if first is None or second is None:
        return None
    both = pa.concat_tables([first, second]).group_by("value").aggregate([("count", "sum")])
    return _capped(both.select(["value", "count_sum"]).rename_columns(["value", "count"]))


def _known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


_NUMBERS = (
    "n_rows",
    "n_missing",
    "n_numbers",
    "n_integers",
    "n_codes",
    "n_booleans",
    "n_datetimes",
    "n_words",
)
_EXTREMES = ("minimum", "maximum", "earliest", "latest")
_ROW = pa.schema(
    [
        ("name", pa.string()),
        *((name, pa.int64()) for name in _NUMBERS),
        *((name, pa.float64()) for name in _EXTREMES),
        ("types", pa.list_(pa.string())),
        ("values", pa.list_(pa.string())),
        ("counts", pa.list_(pa.int64())),
        ("sketch", pa.list_(pa.uint64())),
    ]
)


def _to_row(name: str, scan: ColumnScan) -> dict[str, object]:
    counts = scan.counts
    return {
        "name": name,
        **{field: getattr(scan, field) for field in _NUMBERS},
        **{field: getattr(scan, field) for field in _EXTREMES},
        "types": sorted(scan.types),
        "values": None if counts is None else counts["value"].to_pylist(),
        "counts": None if counts is None else counts["count"].to_pylist(),
        "sketch": scan.sketch.tolist(),
    }


def _from_row(row: dict[str, Any]) -> ColumnScan:
    counts = None
    if row["values"] is not None:
        counts = pa.table([row["values"], row["counts"]], schema=_COUNTS)
    fields = {name: row[name] for name in (*_NUMBERS, *_EXTREMES)}
    return ColumnScan(
        **fields,
        types=frozenset(row["types"]),
        counts=counts,
        sketch=np.array(row["sketch"], dtype=np.uint64),
    )
