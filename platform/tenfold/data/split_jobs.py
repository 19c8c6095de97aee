"""The passes over the buckets: mark what is twice, tally what is kept, deal out labels.

Each job leaves a file for its bucket, whole, so that a killed preparation goes on between buckets.
What one bucket must know of the others (marks, counts, bounds) reaches it as a file or a few
numbers, never as rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tenfold.canonical import write_atomic
from tenfold.data.duplicates import KEPT, first_of_equals
from tenfold.data.keys import Chunk, KeyFiles, union
from tenfold.data.ranked import to_sortable
from tenfold.data.split import TEST, Runs, SplitRule, Strata, find_runs, kept_rows

__all__ = [
    "LABELED",
    "TALLIED",
    "DealJob",
    "Dealer",
    "GroupTally",
    "Kept",
    "MarkJob",
    "Parts",
    "Ranks",
    "Slices",
    "StrataTally",
    "TallyJob",
    "TimeTally",
    "bucket_runs",
    "count_equal",
    "deal_file",
    "mark_file",
    "tally_file",
]

LABELED = np.dtype([("row", "<i8"), ("label", "i1")])
"""A row by its number over all pieces, and its label."""
TALLIED = np.dtype([("group", "<u8"), ("least", "<u8"), ("classes", "<i4"), ("n", "<i8")])
"""Rows of one group and class: how many, and the least first lane of their hashes."""

Labels = NDArray[np.int8]


def mark_file(folder: Path, bucket: int) -> Path:
    """Where the rows of a bucket lie that are not dealt, with their labels."""
    return folder / f"mark-{bucket:05d}.bin"


def _first_file(folder: Path, bucket: int) -> Path:
    """Where, for each row of a bucket, the first row that equals it lies."""
    return folder / f"first-{bucket:05d}.bin"


def _equal_file(folder: Path, bucket: int) -> Path:
    """Where it is told how many rows of a bucket stay though they equal an earlier one."""
    return folder / f"equal-{bucket:05d}.bin"


def count_equal(folder: Path, n_buckets: int) -> int:
    """Rows that stay though they equal an earlier one, once all buckets are marked."""
    files = [_equal_file(folder, bucket) for bucket in range(n_buckets)]
    return int(sum(np.fromfile(file, dtype=np.int64)[0] for file in files))


def tally_file(folder: Path, bucket: int) -> Path:
    """Where the tally of a bucket lies."""
    return folder / f"tally-{bucket:05d}.bin"


def deal_file(folder: Path, bucket: int) -> Path:
    """Where the rows of a bucket lie that are dealt, with their labels."""
    return folder / f"deal-{bucket:05d}.bin"


def _labeled(rows: NDArray[np.int64], labels: Labels) -> bytes:
    records = np.empty(len(rows), dtype=LABELED)
    records["row"], records["label"] = rows, labels
    return records.tobytes()


@dataclass(frozen=True)
class MarkJob:
    """First pass: equal rows, older versions of a key, and the sealed end of a retrain.

    Attributes:
        folder: the work folder.
        files: the keys.
        rule: how rows are parted.
    """

    folder: Path
    files: KeyFiles
    rule: SplitRule

    def __call__(self, bucket: int) -> None:
        """Mark one bucket."""
        parts: list[bytes] = []
        firsts: list[bytes] = []
        n_equal = 0
        for chunk, labels, first in self._decided(bucket):
            if self.rule.sealed_after is not None and chunk.keys.positions is not None:
                sealed = chunk.keys.positions >= self.rule.sealed_after
                labels[sealed & (labels == KEPT)] = TEST
            n_equal += int(
                ((first != chunk.rows) & (labels >= TEST) & self._may_repeat(chunk)).sum()
            )
            marked = np.flatnonzero(labels != KEPT)
            parts.append(_labeled(chunk.rows[marked], labels[marked]))
            firsts.append(first.tobytes())
        if self.rule.ordered and not self.files.form.time and self.rule.drop_duplicates:
            write_atomic(_first_file(self.folder, bucket), b"".join(firsts))
        write_atomic(_equal_file(self.folder, bucket), np.int64(n_equal).tobytes())
        write_atomic(mark_file(self.folder, bucket), b"".join(parts))

    def _decided(self, bucket: int) -> Iterator[tuple[Chunk, Labels, NDArray[np.int64]]]:
        """Each chunk with its labels and the number of the first row that equals each.

        Of a bucket in chunks, the rows that decide over others (the newest of each key, the first
        of equals) are found first; every chunk is then judged together with them.
        """
        known: Chunk | None = None
        if self.files.n_chunks(bucket) > 1:
            for chunk in self.files.chunks(bucket):
                known = self._deciding(union(known, chunk))
        for chunk in self.files.chunks(bucket):
            together = union(known, chunk)
            labels = kept_rows(together.keys, self.rule)
            first = together.rows[first_of_equals(together.keys.hashes)]
            at = np.searchsorted(together.rows, chunk.rows)
            yield chunk, labels[at], first[at]

    def _may_repeat(self, chunk: Chunk) -> NDArray[np.bool_]:
        """Rows of which another equal one may be kept: of a key only one is, unless all are."""
        keys = chunk.keys
        if keys.named is None or not self.rule.newest_of_key:
            return np.ones(len(chunk.rows), dtype=np.bool_)
        return np.asarray((keys.named == keys.hashes).all(axis=1))

    def _deciding(self, chunk: Chunk) -> Chunk:
        keys = chunk.keys
        decides = first_of_equals(keys.hashes) == np.arange(len(chunk.rows))
        if keys.named is not None:
            keyed = (keys.named != keys.hashes).any(axis=1)
            decides |= keyed & (kept_rows(keys, self.rule) == KEPT)
        return chunk.take(decides)


@dataclass(frozen=True)
class Kept:
    """The rows of the buckets that are dealt.

    Attributes:
        folder: the work folder.
        files: the keys.
        rule: how rows are parted.
        marks: file with one int8 a row: `KEPT`, or what it is instead.
    """

    folder: Path
    files: KeyFiles
    rule: SplitRule
    marks: Path

    def chunks(self, bucket: int) -> Iterator[Chunk]:
        """What is kept of a bucket; without a time column, the order stands in for the time."""
        marks = np.memmap(self.marks, dtype=np.int8, mode="r")
        n_before = 0
        for chunk in self.files.chunks(bucket):
            found = chunk
            if self.rule.ordered and chunk.keys.time is None and not self.rule.drop_duplicates:
                found = Chunk(chunk.rows, replace(chunk.keys, time=chunk.rows))
            elif self.rule.ordered and chunk.keys.time is None:
                firsts = _first_file(self.folder, bucket)
                n_rows = len(chunk.rows)
                time = np.fromfile(firsts, dtype=np.int64, count=n_rows, offset=8 * n_before)
                found = Chunk(chunk.rows, replace(chunk.keys, time=time))
            n_before += len(chunk.rows)
            yield found.take(marks[chunk.rows] == KEPT)


def bucket_runs(kept: Kept, bucket: int) -> Runs:
    """The runs of what is kept of a bucket."""
    total: Runs | None = None
    for chunk in kept.chunks(bucket):
        runs, _ = find_runs(chunk.keys.classes, chunk.keys.base, seed=kept.rule.seed)
        total = runs if total is None else _merged(total, runs, seed=kept.rule.seed)
    assert total is not None  # noqa: S101  (a bucket has at least one chunk)
    return total


def _merged(one: Runs, two: Runs, *, seed: int) -> Runs:
    return find_runs(
        np.concatenate([one.classes, two.classes]),
        np.concatenate([one.base, two.base]),
        seed=seed,
        counts=np.concatenate([one.counts, two.counts]),
    )[0]


class Tally(Protocol):
    """What is counted of a bucket."""

    def count(self, kept: Kept, bucket: int) -> NDArray[Any]:
        """The counts, as they are stored."""
        ...


@dataclass(frozen=True)
class StrataTally:
    """Rows and runs by class; int64, shape (2, n_classes)."""

    n_classes: int

    def count(self, kept: Kept, bucket: int) -> NDArray[np.int64]:
        """See `Tally`."""
        return np.stack(bucket_runs(kept, bucket).tally(self.n_classes))


@dataclass(frozen=True)
class TimeTally:
    """The times, sorted, as sortable words."""

    def count(self, kept: Kept, bucket: int) -> NDArray[np.uint64]:
        """See `Tally`."""
        times = [to_sortable(c.keys.time) for c in kept.chunks(bucket) if c.keys.time is not None]
        return np.sort(np.concatenate(times))


@dataclass(frozen=True)
class GroupTally:
    """Rows by group and class, see `TALLIED`."""

    def count(self, kept: Kept, bucket: int) -> NDArray[Any]:
        """See `Tally`."""
        found = np.zeros(0, dtype=TALLIED)
        for chunk in kept.chunks(bucket):
            each = np.ones(len(chunk.rows), dtype=TALLIED)
            each["group"], each["classes"] = chunk.keys.groups, chunk.keys.classes
            each["least"] = chunk.keys.base[:, 0]
            found = self.add_up(np.concatenate([found, each]))
        return found

    @staticmethod
    def add_up(found: NDArray[Any]) -> NDArray[Any]:
        """One record a group and class, in order of these."""
        order = np.lexsort((found["classes"], found["group"]))
        ranked = found[order]
        start = np.ones(len(ranked), dtype=bool)
        start[1:] = ranked["group"][1:] != ranked["group"][:-1]
        start[1:] |= ranked["classes"][1:] != ranked["classes"][:-1]
        begins = np.flatnonzero(start)
        out = ranked[begins]
        if len(begins):
            out["n"] = np.add.reduceat(ranked["n"], begins)
            out["least"] = np.minimum.reduceat(ranked["least"], begins)
        return out


@dataclass(frozen=True)
class TallyJob:
    """Second pass: what must be known of all buckets before any row is dealt."""

    kept: Kept
    tally: Tally

    def __call__(self, bucket: int) -> None:
        """Count one bucket."""
        found = self.tally.count(self.kept, bucket)
        write_atomic(tally_file(self.kept.folder, bucket), found.tobytes())


class Dealer(Protocol):
    """Gives the kept rows of a bucket their labels."""

    def deal(self, kept: Kept, bucket: int) -> Iterator[tuple[NDArray[np.int64], Labels]]:
        """Numbers of rows over all pieces, with their labels."""
        ...


@dataclass(frozen=True)
class Ranks:
    """By rank within the class, see `Strata`."""

    strata: Strata

    def deal(self, kept: Kept, bucket: int) -> Iterator[tuple[NDArray[np.int64], Labels]]:
        """See `Dealer`."""
        seed = kept.rule.seed
        if kept.files.n_chunks(bucket) == 1:
            for chunk in kept.chunks(bucket):
                runs, member = find_runs(chunk.keys.classes, chunk.keys.base, seed=seed)
                yield chunk.rows, self.strata.labels(bucket, runs)[member]
            return
        runs = bucket_runs(kept, bucket)
        labels = self.strata.labels(bucket, runs)
        for chunk in kept.chunks(bucket):
            classes = np.concatenate([runs.classes, chunk.keys.classes])
            base = np.concatenate([runs.base, chunk.keys.base])
            _, member = find_runs(classes, base, seed=seed)  # of the runs, each is its own
            yield chunk.rows, labels[member[len(labels) :]]


@dataclass(frozen=True)
class Slices:
    """By time: one slice more for each bound that a time lies above.

    Attributes:
        bounds: sortable words, increasing; shape (n_bounds,).
        n_below: bounds that every row lies above.
        n_slices: slices before the test set.
    """

    bounds: NDArray[np.uint64]
    n_below: int
    n_slices: int

    def deal(self, kept: Kept, bucket: int) -> Iterator[tuple[NDArray[np.int64], Labels]]:
        """See `Dealer`."""
        for chunk in kept.chunks(bucket):
            assert chunk.keys.time is not None  # noqa: S101  (rows are in order by it)
            place = self.n_below + np.searchsorted(self.bounds, to_sortable(chunk.keys.time))
            yield chunk.rows, np.where(place < self.n_slices, place, TEST).astype(np.int8)


@dataclass(frozen=True)
class Parts:
    """By group: every group has its label.

    Attributes:
        file: with the hashes of all groups, increasing, then their labels.
        n_groups: how many.
    """

    file: Path
    n_groups: int

    @classmethod
    def write(cls, file: Path, names: NDArray[np.uint64], labels: Labels) -> Parts:
        """Keep the labels of groups."""
        write_atomic(file, names.tobytes() + labels.tobytes())
        return cls(file, len(names))

    def deal(self, kept: Kept, bucket: int) -> Iterator[tuple[NDArray[np.int64], Labels]]:
        """See `Dealer`."""
        names = np.fromfile(self.file, dtype=np.uint64, count=self.n_groups)
        labels = np.fromfile(self.file, dtype=np.int8, offset=8 * self.n_groups)
        for chunk in kept.chunks(bucket):
            assert chunk.keys.groups is not None  # noqa: S101  (rows are dealt by it)
            yield chunk.rows, labels[np.searchsorted(names, chunk.keys.groups)]


@dataclass(frozen=True)
class DealJob:
    """Third pass: the labels of the kept rows of a bucket."""

    kept: Kept
    dealer: Dealer

    def __call__(self, bucket: int) -> None:
        """Deal one bucket."""
        parts = [_labeled(rows, labels) for rows, labels in self.dealer.deal(self.kept, bucket)]
        write_atomic(deal_file(self.kept.folder, bucket), b"".join(parts))
