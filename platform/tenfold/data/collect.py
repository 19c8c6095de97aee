"""Between the passes: what all pieces said, brought together in this process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.canonical import sha256_hex, write_atomic
from tenfold.data.arrow_file import read_arrow, read_facts
from tenfold.data.clean import Rules
from tenfold.data.duplicates import DROPPED, KEPT, REPLACED
from tenfold.data.hashing import from_binary, mix, sum_128, text_hashes
from tenfold.data.infer import decide_schema
from tenfold.data.jobs import KEY, clean_file, near_file, placed_problems, scan_file
from tenfold.data.near import NearRows, NearSums, find_near, near_parts
from tenfold.data.options import Options
from tenfold.data.scan import TableScan
from tenfold.data.snapshot import HASH, ROW
from tenfold.data.split import TEST, SplitKeys, SplitRule, assign_labels, kept_rows
from tenfold.data.text import to_text, whole
from tenfold.data.work import Work
from tenfold.errors import DataError
from tenfold.profile.columns import NUMBER_KINDS
from tenfold.profile.course import Axis
from tenfold.schema import Column, Kind, Role, Schema

__all__ = [
    "Split",
    "check_fraction",
    "check_schema",
    "cleaning_facts",
    "collect_scan",
    "collect_split",
]

MAX_CLASSES = 1000
"""More classes than that are no classes: a number, a text or an identifier is the target."""
MOST_TOLD = 3
"""Kinds of fault that a message lists; the quarantine summary is not the quarantine table."""


def collect_scan(work: Work, options: Options, *, source: str) -> tuple[Schema, dict[str, Any]]:
    """Merge the scans in order of the pieces and decide the schema.

    Returns:
        The schema, and what reading the texts passed over, see `cleaning_facts`.

    Raises:
        DataError: no rows, or a named column that is not there.
    """
    total: TableScan | None = None
    for piece in range(work.n_pieces):
        scan = TableScan.from_bytes(scan_file(work.folder, piece).read_bytes())
        total = scan if total is None else total.merge(scan)
    if total is None or not total.columns or total.columns[0].n_rows == 0:
        raise DataError(f"source {source!r} has no rows; give at least one row")
    return decide_schema(total, options.hints), cleaning_facts(total, options.rules)


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
    """Labels and digests of all rows.

    Attributes:
        labels: file with one int8 label a clean row.
        starts: first row of each piece within it.
        records: records of the source before each piece.
        n_train: rows that are neither sealed nor left out.
        axis: what the survey of the training rows goes along: the time, else the source's order.
        facts: the manifest's numbers and digests.
    """

    labels: Path
    starts: tuple[int, ...]
    records: tuple[int, ...]
    n_train: int
    axis: Axis
    facts: dict[str, Any]


def collect_split(work: Work, schema: Schema, options: Options) -> Split:
    """Label every row by its hash, class, group and time; compute the digests.

    Raises:
        DataError: too few rows for the folds.
    """
    parts = [_keys(clean_file(work.folder, p), schema) for p in range(work.n_pieces)]
    facts = _clean_facts(work)
    keys = SplitKeys(
        hashes=np.concatenate([part.hashes for part in parts]),
        classes=np.concatenate([part.classes for part in parts]),
        groups=_joined([part.groups for part in parts]),
        time=_joined([part.time for part in parts]),
        positions=_positions(work, facts) if options.split.sealed_after is not None else None,
        named=_joined([part.named for part in parts]),
    )
    del parts
    kept_or_why = kept_rows(keys, options.split)
    near = _near(work, schema, options.split, kept_or_why == KEPT, [f["n_rows"] for f in facts])
    if near is not None and options.split.near == "group":
        keys = replace(keys, near=near.leader)
    labels = assign_labels(keys, options.split, kept=kept_or_why)
    path = work.folder / "labels.bin"
    write_atomic(path, labels.tobytes())
    axis = _axis(schema, keys, labels, n_records=sum(fact["n_records"] for fact in facts))
    kept = labels >= TEST
    hashes, n_rows = keys.hashes[kept], int(kept.sum())
    return Split(
        labels=path,
        starts=_before([fact["n_rows"] for fact in facts]),
        records=_before([fact["n_records"] for fact in facts]),
        n_train=int((labels > TEST).sum()),
        axis=axis,
        facts={
            "digest": _digest(schema.digest(), sum_128(hashes), n_rows),
            "folds_digest": _folds_digest(hashes, labels[kept], n_rows),
            "n_rows": n_rows,
            "n_duplicates": int((labels == DROPPED).sum()),
            "n_replaced": int((labels == REPLACED).sum()),
            "near_duplicates": None if near is None else near.facts | _across(near.leader, labels),
            "n_quarantined": sum(fact["n_bad"] for fact in facts),
            "n_records": sum(fact["n_records"] for fact in facts),
        },
    )


def _axis(schema: Schema, keys: SplitKeys, labels: NDArray[np.int8], *, n_records: int) -> Axis:
    column = next((column for column in schema.columns if column.role is Role.TIME), None)
    if column is None or column.kind not in NUMBER_KINDS or keys.time is None:
        return Axis.of_rows(n_records)
    unit = 1e6 if column.kind is Kind.DATETIME else 1.0
    return Axis.of_times(column.name, keys.time[labels >= 0] / unit)


def _near(
    work: Work, schema: Schema, rule: SplitRule, kept: NDArray[np.bool_], n_rows: list[int]
) -> NearRows | None:
    """Near duplicates among the rows that are kept, by their places among all rows."""
    parts = near_parts(schema)
    if rule.near == "off" or not parts:
        return None
    files = [near_file(work.folder, piece) for piece in range(work.n_pieces)]
    places = np.flatnonzero(kept)
    near = find_near(parts, NearSums(files, n_rows, kept), n_rows=len(places))
    leader = np.arange(len(kept))
    leader[places] = places[near.leader]
    return NearRows(leader, near.facts)


def _across(leader: NDArray[np.int64], labels: NDArray[np.int8]) -> dict[str, int]:
    """How many groups of near duplicates the split has torn, and of these, out of the test set."""
    low, high = np.full(len(labels), 127, dtype=np.int8), np.full(len(labels), -127, dtype=np.int8)
    kept = np.flatnonzero(labels >= TEST)
    np.minimum.at(low, leader[kept], labels[kept])
    np.maximum.at(high, leader[kept], labels[kept])
    torn = low < high
    return {"n_torn": int(torn.sum()), "n_torn_from_test": int((torn & (low == TEST)).sum())}


def _positions(work: Work, facts: list[dict[str, Any]]) -> NDArray[np.int64]:
    """Where every clean row stood in the source."""
    before = _before([fact["n_records"] for fact in facts])
    found = [
        read_arrow(clean_file(work.folder, piece)).column(ROW).to_numpy() + before[piece]
        for piece in range(work.n_pieces)
    ]
    return np.concatenate(found)


def _keys(path: Path, schema: Schema) -> SplitKeys:
    table = read_arrow(path)
    hashes = from_binary(table.column(HASH))
    roles = {column.role: column for column in schema.columns}
    group, time = roles.get(Role.GROUP), roles.get(Role.TIME)
    return SplitKeys(
        hashes=hashes,
        classes=_classes(table, schema.target),
        groups=None if group is None else _groups(table.column(group.name), hashes),
        time=None if time is None else _times(table.column(time.name)),
        named=from_binary(table.column(KEY)) if KEY in table.column_names else None,
    )


def _classes(table: pa.Table, target: Column | None) -> NDArray[np.int32]:
    if target is None or target.domain is None:
        return np.zeros(table.num_rows, dtype=np.int32)
    codes = pc.index_in(whole(table.column(target.name)), pa.array(target.domain, pa.string()))
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int32)


def _groups(column: pa.ChunkedArray, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A row without a group is a group of its own."""
    array = whole(column)
    lanes = text_hashes(to_text(array))[:, 0]
    null = pc.is_null(array).to_numpy(zero_copy_only=False)
    return np.where(null, hashes[:, 0], lanes)


def _times(column: pa.ChunkedArray) -> NDArray[np.int64] | NDArray[np.float64]:
    array = whole(column)
    if pa.types.is_floating(array.type):
        return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.asarray(array.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def _joined(parts: list[Any]) -> Any:
    return None if parts[0] is None else np.concatenate(parts)


def _before(counts: list[int]) -> tuple[int, ...]:
    return (0, *np.cumsum(counts, dtype=np.int64)[:-1].tolist())


def _digest(schema_digest: str, total: int, n_rows: int) -> str:
    return sha256_hex(f"tenfold snapshot 1\n{schema_digest}\n{total:032x}\n{n_rows}".encode())


def _folds_digest(hashes: NDArray[np.uint64], labels: NDArray[np.int8], n_rows: int) -> str:
    """Which row has which label, in no order."""
    stamped = mix(hashes ^ mix(labels.astype(np.int64).view(np.uint64))[:, None])
    return sha256_hex(f"tenfold folds 1\n{sum_128(stamped):032x}\n{n_rows}".encode())
