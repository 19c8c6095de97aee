"""The three passes over the pieces, each a picklable job that writes its piece's file whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.canonical import canonical_json, sha256_hex, write_atomic
from tenfold.data.arrow_file import read_arrow, read_facts, write_arrow
from tenfold.data.clean import PROBLEMS, Rules, clean_block
from tenfold.data.hashing import (
    from_binary,
    key_hashes,
    mix,
    row_hashes,
    sum_128,
    text_hashes,
    to_binary,
)
from tenfold.data.keys import KeyForm, SplitKeys, write_keys
from tenfold.data.ranked import to_sortable
from tenfold.data.scan import scan_table
from tenfold.data.snapshot import FOLD, HASH, ROW, block_name
from tenfold.data.source import Shard
from tenfold.data.split import TEST, SplitRule
from tenfold.data.text import to_text, whole
from tenfold.profile.course import Axis
from tenfold.schema import Column, Role, Schema

if TYPE_CHECKING:
    from tenfold.profile.runs import Windows
    from tenfold.profile.survey import Survey

__all__ = [
    "AxisJob",
    "CleanJob",
    "FinishJob",
    "ScanJob",
    "axis_file",
    "clean_file",
    "fact_file",
    "key_file",
    "placed_problems",
    "problem_file",
    "scan_file",
    "survey_file",
]


def scan_file(folder: Path, piece: int) -> Path:
    """Where the scan of a piece lies."""
    return folder / f"scan-{piece:05d}.arrow"


def clean_file(folder: Path, piece: int) -> Path:
    """Where the clean rows of a piece lie."""
    return folder / f"clean-{piece:05d}.arrow"


def key_file(folder: Path, piece: int) -> Path:
    """Where the keys of a piece lie that its rows are parted by."""
    return folder / f"key-{piece:05d}.bin"


def axis_file(folder: Path, piece: int) -> Path:
    """Where the times of a piece's training rows lie, sorted."""
    return folder / f"axis-{piece:05d}.bin"


def problem_file(folder: Path, piece: int) -> Path:
    """Where the bad cells of a piece lie."""
    return folder / f"problem-{piece:05d}.arrow"


def survey_file(folder: Path, piece: int) -> Path:
    """Where the survey of a piece's training rows lies."""
    return folder / f"survey-{piece:05d}.bin"


def fact_file(folder: Path, piece: int) -> Path:
    """Where name, rows, size and digest of a finished block lie; written last."""
    return folder / f"block-{piece:05d}.json"


@dataclass(frozen=True)
class ScanJob:
    """First pass: count what is in each column."""

    folder: Path
    shards: Sequence[Shard]
    rules: Rules

    def __call__(self, piece: int) -> None:
        """Scan one piece."""
        block = self.shards[piece].read()
        scan = scan_table(block.table, markers=self.rules.markers, trim=self.rules.trim)
        write_atomic(scan_file(self.folder, piece), scan.to_bytes())


@dataclass(frozen=True)
class CleanJob:
    """Second pass: rows as the schema's types with their hashes, bad cells apart.

    Attributes:
        folder: the work folder.
        shards: of the source.
        rules: how cells are read.
        schema: of the rows.
        source: its name.
        split: how the rows will be parted; their keys are kept for that.
    """

    folder: Path
    shards: Sequence[Shard]
    rules: Rules
    schema: Schema
    source: str
    split: SplitRule

    def __call__(self, piece: int) -> None:
        """Clean one piece."""
        block = self.shards[piece].read()
        source = block.source or self.source
        clean = clean_block(block, self.schema, self.rules, source=source)
        table = clean.table.append_column(ROW, pa.array(clean.positions, pa.int64()))
        hashes = row_hashes(clean.table, self.schema)
        table = table.append_column(HASH, to_binary(hashes))
        placed = self.split.sealed_after is not None
        keys = _keys(clean.table, self.schema, hashes, clean.positions if placed else None)
        form = KeyForm.of(self.schema, placed=placed)
        write_keys(key_file(self.folder, piece), keys, form, seed=self.split.seed)
        write_arrow(problem_file(self.folder, piece), clean.problems)
        facts = {"n_records": clean.n_records, "n_bad": clean.n_bad, "n_rows": table.num_rows}
        facts |= {"source": source}
        write_arrow(clean_file(self.folder, piece), table, facts)


def placed_problems(folder: Path, n_pieces: int) -> Iterator[pa.Table]:
    """The bad cells of each piece with positions counted over its source, from 1."""
    n_before, source = 0, ""
    for piece in range(n_pieces):
        facts = read_facts(clean_file(folder, piece))
        if facts["source"] != source:
            n_before, source = 0, facts["source"]
        problems = read_arrow(problem_file(folder, piece))
        moved = pc.add(problems.column("position"), n_before)
        yield problems.set_column(1, PROBLEMS.field("position"), moved)
        n_before += facts["n_records"]


@dataclass(frozen=True)
class FinishJob:
    """Third pass: the block as the snapshot keeps it, and its survey.

    Attributes:
        folder: the work folder.
        target: the snapshot's folder while it is made.
        labels: file with one int8 label for each clean row of all pieces in order.
        starts: first row of each piece within ``labels``.
        records: records of the source before each piece.
        schema: of the rows.
        axis: what the survey goes along.
        limit: largest row hash that may be in the survey's sample.
        windows: where its runs of adjacent rows lie.
    """

    folder: Path
    target: Path
    labels: Path
    starts: Sequence[int]
    records: Sequence[int]
    schema: Schema
    axis: Axis
    limit: int
    windows: Windows

    def __call__(self, piece: int) -> None:
        """Finish one piece."""
        table = read_arrow(clean_file(self.folder, piece))
        labels = np.fromfile(
            self.labels, dtype=np.int8, count=table.num_rows, offset=self.starts[piece]
        )
        rows = pc.add(table.column(ROW), self.records[piece])
        table = table.set_column(table.schema.get_field_index(ROW), ROW, rows)
        table = table.append_column(FOLD, pa.array(labels, pa.int8()))
        kept = labels >= TEST
        table = table.filter(pa.array(kept))
        write_atomic(survey_file(self.folder, piece), self._survey(table).to_bytes())
        data = write_arrow(self.target / block_name(piece), table)
        facts = {
            "name": block_name(piece),
            "n_rows": table.num_rows,
            "size_bytes": len(data),
            "sha256": sha256_hex(data),
            "folds": sorted(set(labels[kept].tolist())),
            "sums": _sums(from_binary(table.column(HASH)), labels[kept]),
        }
        write_atomic(fact_file(self.folder, piece), canonical_json(facts))

    def _survey(self, table: pa.Table) -> Survey:
        from tenfold.profile.survey import Survey

        rows = table.filter(pc.not_equal(table.column(FOLD), TEST))
        return Survey.from_table(
            rows,
            self.schema,
            axis=self.axis,
            hashes=from_binary(rows.column(HASH))[:, 0],
            positions=rows.column(ROW).to_numpy(),
            limit=self.limit,
            windows=self.windows,
        )


@dataclass(frozen=True)
class AxisJob:
    """The times of a piece's training rows, as sortable words.

    Attributes:
        folder: the work folder.
        labels: as in `FinishJob`.
        starts: as in `FinishJob`.
        column: of the time.
    """

    folder: Path
    labels: Path
    starts: Sequence[int]
    column: str

    def __call__(self, piece: int) -> None:
        """Sort one piece."""
        times = _times(read_arrow(clean_file(self.folder, piece)).column(self.column))
        start = self.starts[piece]
        labels = np.fromfile(self.labels, dtype=np.int8, count=len(times), offset=start)
        found = np.sort(to_sortable(times[labels > TEST]))
        write_atomic(axis_file(self.folder, piece), found.tobytes())


def _sums(hashes: NDArray[np.uint64], labels: NDArray[np.int8]) -> list[str]:
    """What the digests of the rows and of the folds are made of: sums, so in no order."""
    stamped = mix(hashes ^ mix(labels.astype(np.int64).view(np.uint64))[:, None])
    return [f"{sum_128(hashes):032x}", f"{sum_128(stamped):032x}"]


def _keys(
    table: pa.Table,
    schema: Schema,
    hashes: NDArray[np.uint64],
    positions: NDArray[np.int64] | None,
) -> SplitKeys:
    roles = {column.role: column for column in schema.columns}
    group, time = roles.get(Role.GROUP), roles.get(Role.TIME)
    return SplitKeys(
        hashes=hashes,
        classes=_classes(table, schema.target),
        groups=None if group is None else _groups(table.column(group.name), hashes),
        time=None if time is None else _times(table.column(time.name)),
        positions=positions,
        named=key_hashes(table, schema, hashes),
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
