"""Between the passes: what all pieces said, brought together in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tenfold.canonical import read_json, sha256_hex, write_atomic
from tenfold.data.arrow_file import read_facts
from tenfold.data.clean import Rules
from tenfold.data.duplicates import DROPPED, KEPT, REPLACED
from tenfold.data.infer import decide_schema
from tenfold.data.jobs import (
    AxisJob,
    axis_file,
    clean_file,
    fact_file,
    key_file,
    placed_problems,
    scan_file,
)
from tenfold.data.keys import KeyFiles, KeyForm, buckets_for
from tenfold.data.label import FindNear, label_rows
from tenfold.data.near import near_parts
from tenfold.data.near_jobs import NearGroups, NearPlan, find_near_rows
from tenfold.data.options import Options
from tenfold.data.ranked import from_sortable, order_statistics
from tenfold.data.scan import ColumnScan, TableScan
from tenfold.data.split import TEST, SplitRule
from tenfold.data.split_jobs import count_equal
from tenfold.data.work import Work
from tenfold.errors import DataError
from tenfold.profile.columns import NUMBER_KINDS
from tenfold.profile.course import Axis
from tenfold.profile.profile import profiled_columns
from tenfold.schema import Column, Kind, Role, Schema

__all__ = [
    "Split",
    "check_fraction",
    "check_schema",
    "cleaning_facts",
    "collect_scan",
    "collect_split",
    "digest_rows",
    "left_out_facts",
]

MAX_CLASSES = 1000
"""More classes than that are no classes: a number, a text or an identifier is the target."""
MAX_SHOWN = 100
"""Characters of a value in the report's numbers; of prose a page would be one value."""
MERGED_SCANS = 32
"""At once; a scan is below 1 MB for each column of texts."""
MOST_TOLD = 3
"""Kinds of fault that a message lists; the quarantine summary is not the quarantine table."""


def collect_scan(work: Work, options: Options, *, source: str) -> tuple[Schema, dict[str, Any]]:
    """Merge the scans in order of the pieces and decide the schema.

    Returns:
        The schema, and what reading the texts passed over, see `cleaning_facts`, with
        `left_out_facts` under ``left_out``.

    Raises:
        DataError: no rows, or a named column that is not there.
    """
    waiting: list[TableScan] = []
    for piece in range(work.n_pieces):
        waiting.append(TableScan.from_bytes(scan_file(work.folder, piece).read_bytes()))
        if len(waiting) > MERGED_SCANS:
            waiting = [TableScan.merge_all(waiting)]
    total = TableScan.merge_all(waiting)
    if not total.columns or total.columns[0].n_rows == 0:
        raise DataError(f"source {source!r} has no rows; give at least one row")
    schema = decide_schema(total, options.hints)
    facts = cleaning_facts(total, options.rules)
    return schema, facts | {"left_out": left_out_facts(total, schema)}


def cleaning_facts(scan: TableScan, rules: Rules) -> dict[str, Any]:
    """What a person who looks at the file would see and the clean rows no longer show.

    Returns:
        JSON values: ``trim``, and by column (only those with any) counts of cells: ``padded``
        with blanks around them, ``dressed`` numbers such as ``1,234``, ``missing`` by marker.

    >>> from tenfold.data.scan import scan_table
    >>> scan = scan_table(pa.table({"a": [" 1", "?"], "b": ["x", "y"]}))
    >>> cleaning_facts(scan, Rules())["columns"]
    {'a': {'padded': 1, 'dressed': 0, 'missing': {'?': 1}}}
    """
    columns = {
        name: {
            "padded": column.n_padded,
            "dressed": column.n_dressed,
            "missing": dict(column.markers),
        }
        for name, column in zip(scan.names, scan.columns, strict=True)
        if column.n_padded or column.n_dressed or column.markers
    }
    return {"trim": rules.trim, "columns": columns}


def left_out_facts(scan: TableScan, schema: Schema) -> dict[str, Any]:
    """What the report says of columns that no profile covers: keys, times, groups, prose.

    Returns:
        JSON values by column, of all rows of the source: ``rows``, ``missing_share`` (0 to 1),
        ``distinct`` and whether it is ``exact`` (else within 1.6 %), and ``top``, the ``value``
        that most rows have and their ``count``; null where no two rows share one or there are
        too many values to count.

    >>> from tenfold.data.scan import scan_table
    >>> scan = scan_table(pa.table({"id": ["a", "a", None, "b"], "x": ["1", "2", "3", "4"]}))
    >>> left_out_facts(scan, Schema((Column("x", Kind.INTEGER),)))["id"]["top"]
    {'value': 'a', 'count': 2}
    """
    profiled = {column.name for column in profiled_columns(schema)}
    return {
        name: _seen(column)
        for name, column in zip(scan.names, scan.columns, strict=True)
        if name not in profiled
    }


def _seen(column: ColumnScan) -> dict[str, Any]:
    top = column.most_frequent()
    return {
        "rows": column.n_rows,
        "missing_share": column.n_missing / max(1, column.n_rows),
        "distinct": column.n_distinct,
        "exact": column.is_exact,
        "top": None if top is None else {"value": top[0][:MAX_SHOWN], "count": top[1]},
    }


def check_schema(schema: Schema, options: Options) -> None:
    """What the task demands of the target and of the features.

    Raises:
        DataError: too few or too many classes, a positive class that is none, no feature.
    """
    target = schema.target
    if target is not None and target.kind is Kind.CATEGORY and options.hints.classes:
        _check_classes(target, options)
    if not schema.features:
        raise DataError(
            "a model needs at least one feature, and every column is "
            f"{', '.join(sorted({column.role.value for column in schema.columns}))}; "
            "declare a role or a kind under data.columns"
        )


def _check_classes(target: Column, options: Options) -> None:
    classes = target.domain or ()
    shown = ", ".join(map(repr, classes[:5])) + (", ..." if len(classes) > 5 else "")
    if len(classes) < 2:
        raise DataError(
            f"target {target.name!r} must have at least two classes, and every row has {shown}; "
            "give rows of another class or choose another target"
        )
    if options.binary and len(classes) != 2:
        raise DataError(
            f"a binary task needs two classes, and target {target.name!r} has {len(classes)} "
            f"({shown}); set task: multiclass or mend the labels"
        )
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"target {target.name!r} may have at most {MAX_CLASSES} classes, and has "
            f"{len(classes)}; set task: regression or choose another target"
        )
    positive = options.positive_class
    if positive is not None and positive not in classes:
        raise DataError(
            f"problem.positive_class must be a class of {target.name!r}: {positive!r} is not "
            f"among {shown}; correct it in the project file"
        )


def check_fraction(work: Work, most: float, *, source: str) -> None:
    """Stop if more rows went to quarantine than the project allows.

    Raises:
        DataError: with what was wrong most often.
    """
    facts = _clean_facts(work)
    n_records = sum(fact["n_records"] for fact in facts)
    n_bad = sum(fact["n_bad"] for fact in facts)
    n_lost = sum(fact["n_rows"] == 0 < fact["n_bad"] for fact in facts)
    if len(facts) > 1 and n_lost > most * len(facts) and n_bad < n_records:
        raise DataError(
            f"source {source!r}: {n_lost} of {len(facts)} pieces have no row that can be read, "
            f"more than prepare.max_bad_fraction allows ({most:g}): {_summary(work)}; mend the "
            "files or raise prepare.max_bad_fraction"
        )
    if n_bad <= most * n_records and n_bad < n_records:
        return
    raise DataError(
        f"source {source!r}: {n_bad} of {n_records} rows cannot be mended, more than "
        f"prepare.max_bad_fraction allows ({most:g}): {_summary(work)}; fix the file, declare the "
        "column's kind under data.columns, or raise prepare.max_bad_fraction"
    )


def _clean_facts(work: Work) -> list[dict[str, Any]]:
    return [read_facts(clean_file(work.folder, piece)) for piece in range(work.n_pieces)]


def _summary(work: Work) -> str:
    """``column 'age': 3 cells 'is not a number' (first: 'abc', row 4)``, the most frequent."""
    groups = (
        pa.concat_tables(placed_problems(work.folder, work.n_pieces))
        .group_by(["column", "reason"], use_threads=False)
        .aggregate([("position", "count"), ("position", "first"), ("value", "first")])
        .to_pylist()
    )
    groups.sort(key=lambda group: (-group["position_count"], group["position_first"]))
    return "; ".join(_fault_words(group) for group in groups[:MOST_TOLD])


def _fault_words(group: dict[str, Any]) -> str:
    where = "" if group["column"] is None else f"column {group['column']!r} "
    value = "" if group["value_first"] is None else f"{group['value_first']!r}, "
    times = "row" if group["position_count"] == 1 else "rows"
    return (
        f"{where}{group['reason']} in {group['position_count']} {times} "
        f"(first: {value}row {group['position_first']})"
    )


@dataclass(frozen=True)
class Split:
    """Labels of all rows.

    Attributes:
        labels: file with one int8 label a clean row.
        starts: first row of each piece within it.
        records: records of the source before each piece.
        n_train: rows that are neither sealed nor left out.
        axis: what the survey of the training rows goes along: the time, else the source's order.
        facts: the manifest's numbers.
    """

    labels: Path
    starts: tuple[int, ...]
    records: tuple[int, ...]
    n_train: int
    axis: Axis
    facts: dict[str, Any]


def collect_split(work: Work, schema: Schema, options: Options) -> Split:
    """Label every row by its hash, class, group and time.

    Raises:
        DataError: too few rows for the folds.
    """
    facts = _clean_facts(work)
    n_rows = [fact["n_rows"] for fact in facts]
    n_records = sum(fact["n_records"] for fact in facts)
    starts, records = _before(n_rows), _before([fact["n_records"] for fact in facts])
    files = KeyFiles(
        files=[key_file(work.folder, piece) for piece in range(work.n_pieces)],
        starts=starts,
        records=records,
        form=KeyForm.of(schema, placed=options.split.sealed_after is not None),
        n_buckets=buckets_for(sum(n_rows)),
    )
    target = schema.target
    labels, near = label_rows(
        work,
        files,
        options.split,
        n_classes=1 if target is None else max(1, len(target.domain or ())),
        find_near=_find_near(work, schema, options.split, n_rows),
    )
    path = work.folder / "labels.bin"
    write_atomic(path, labels.data)
    return Split(
        labels=path,
        starts=starts,
        records=records,
        n_train=int((labels > TEST).sum()),
        axis=_axis(work, schema, path, starts, n_records),
        facts={
            "n_rows": int((labels >= TEST).sum()),
            "n_duplicates": int((labels == DROPPED).sum()),
            "n_equal": count_equal(work.folder, files.n_buckets),
            "n_replaced": int((labels == REPLACED).sum()),
            "near_duplicates": None
            if near is None
            else near.facts | near.across(labels, lowest=TEST),
            "n_quarantined": sum(fact["n_bad"] for fact in facts),
            "n_records": n_records,
        },
    )


def digest_rows(work: Work, schema: Schema, n_rows: int) -> dict[str, str]:
    """The digests of the rows and of who has which fold, from the sums of the finished pieces."""
    found = [read_json(fact_file(work.folder, piece))["sums"] for piece in range(work.n_pieces)]
    rows, folds = (sum(int(sums[i], 16) for sums in found) % 2**128 for i in (0, 1))
    head = f"tenfold snapshot 1\n{schema.digest()}"
    return {
        "digest": sha256_hex(f"{head}\n{rows:032x}\n{n_rows}".encode()),
        "folds_digest": sha256_hex(f"tenfold folds 1\n{folds:032x}\n{n_rows}".encode()),
    }


def _find_near(
    work: Work, schema: Schema, rule: SplitRule, n_rows: Sequence[int]
) -> FindNear | None:
    if rule.near == "off" or not near_parts(schema):
        return None
    tables = [clean_file(work.folder, piece) for piece in range(work.n_pieces)]

    def find(marks: Path) -> NearGroups | None:
        return find_near_rows(work, schema, NearPlan(tables, n_rows, marks, (KEPT, TEST)))

    return find


def _axis(work: Work, schema: Schema, labels: Path, starts: Sequence[int], n_records: int) -> Axis:
    """Along the time; of rows without a time that is a number, along the source."""
    column = next((column for column in schema.columns if column.role is Role.TIME), None)
    if column is None or column.kind not in NUMBER_KINDS:
        return Axis.of_rows(n_records)
    work.run("order times", AxisJob(work.folder, labels, starts, column.name), axis_file)
    files = [axis_file(work.folder, piece) for piece in range(work.n_pieces)]
    times = [np.memmap(f, dtype=np.uint64, mode="r") for f in files if f.stat().st_size]
    n_times = sum(len(part) for part in times)
    words = order_statistics(times, Axis.places(n_times))
    ranked = from_sortable(words, np.float64 if column.kind is Kind.NUMBER else np.int64)
    return Axis.of_ranked(column.name, ranked / (1e6 if column.kind is Kind.DATETIME else 1.0))


def _before(counts: list[int]) -> tuple[int, ...]:
    return (0, *np.cumsum(counts, dtype=np.int64)[:-1].tolist())
