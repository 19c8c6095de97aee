"""Labels for any number of rows: the passes over the buckets, and what goes between them.

What this process holds of all rows is their labels, one byte each; 8 to 12 bytes more where near
duplicates are looked for (`tenfold.data.near_jobs`), 32 for each group of these where they share a
label, and 8 bytes a class and 40 more for each group of the project. All else is in buckets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tenfold.canonical import write_atomic
from tenfold.data.duplicates import KEPT
from tenfold.data.forest import WINDOW, Forest
from tenfold.data.keys import Chunk, KeyFiles
from tenfold.data.near_jobs import NearGroups
from tenfold.data.ranked import order_statistics
from tenfold.data.split import (
    Groups,
    SplitRule,
    Strata,
    deal_groups,
    demand_all,
    slice_ranks,
)
from tenfold.data.split_jobs import (
    LABELED,
    TALLIED,
    Dealer,
    DealJob,
    GroupTally,
    Kept,
    MarkJob,
    Parts,
    Ranks,
    Slices,
    StrataTally,
    Tally,
    TallyJob,
    TimeTally,
    bucket_runs,
    deal_file,
    mark_file,
    tally_file,
)
from tenfold.data.work import Work
from tenfold.errors import DataError

__all__ = ["FindNear", "label_rows"]

FOLLOWS = -4
"""Mark of a row whose label is that of another row of its group of near duplicates."""

Labels = NDArray[np.int8]
FindNear = Callable[[Path], NearGroups | None]
"""Finds near duplicates among the rows that a file of marks says are `KEPT` or sealed."""


def label_rows(
    work: Work,
    files: KeyFiles,
    rule: SplitRule,
    *,
    n_classes: int,
    find_near: FindNear | None = None,
) -> tuple[Labels, NearGroups | None]:
    """One label a row, of rows that are not kept, why; and near duplicates, if they are asked for.

    The labels depend on the rows alone, not on pieces, buckets or drivers.

    Args:
        work: runs the passes; finished buckets are found again.
        files: the keys of all rows.
        rule: how rows are parted.
        n_classes: of the target; 1 without any.
        find_near: asked once it is known which rows are kept.

    Returns:
        Labels, shape (n_rows,), and what ``find_near`` gave.

    Raises:
        DataError: too few different rows, times or groups for the folds and a test set.
        StoreError: the disk refuses.
    """
    n_rows = int(files.starts[-1]) + _rows_of_last(files)
    work.run("find duplicates", MarkJob(work.folder, files, rule), mark_file, files.n_buckets)
    labels = np.full(n_rows, KEPT, dtype=np.int8)
    _assemble(labels, [mark_file(work.folder, bucket) for bucket in range(files.n_buckets)])
    marks = work.folder / "marks.bin"
    write_atomic(marks, labels.data)
    near = None if find_near is None else find_near(marks)
    n_dealt = int((labels == KEPT).sum())
    if rule.sealed_after is not None and files.form.placed:
        rule = replace(rule, test_fraction=0.0)
    dealing = _Dealing(work, Kept(work.folder, files, rule, marks), rule, n_classes, n_dealt)
    together = near if near is not None and rule.near == "group" and not rule.ordered else None
    followed: _Followed | None = None
    if rule.ordered:
        dealer = dealing.slices()
    elif files.form.grouped:
        dealer = dealing.parts(together)
    else:
        if together is not None:
            followed = _Followed.of(dealing, together, labels)
            followed.mark(labels)
            write_atomic(marks, labels.data)
        dealer = dealing.ranks()
    work.run("deal rows", DealJob(dealing.kept, dealer), deal_file, files.n_buckets)
    _assemble(labels, [deal_file(work.folder, bucket) for bucket in range(files.n_buckets)])
    if followed is not None:
        followed.follow(labels)
    demand_all(set(np.unique(labels).tolist()), rule, n_rows=n_dealt)
    return labels, near


def _rows_of_last(files: KeyFiles) -> int:
    last = KeyFiles(files.files[-1:], [0], [0], files.form)
    return sum(len(chunk.rows) for chunk in last.chunks(0))


def _assemble(labels: Labels, files: list[Path]) -> None:
    for file in files:
        with file.open("rb") as stream:
            while len(found := np.fromfile(stream, dtype=LABELED, count=WINDOW)):
                labels[found["row"]] = found["label"]


@dataclass(frozen=True)
class _Dealing:
    """What the ways of dealing share."""

    work: Work
    kept: Kept
    rule: SplitRule
    n_classes: int
    n_dealt: int

    def _tally(self, tally: Tally) -> list[Path]:
        n_buckets = self.kept.files.n_buckets
        self.work.run("count rows", TallyJob(self.kept, tally), tally_file, n_buckets)
        return [tally_file(self.work.folder, bucket) for bucket in range(n_buckets)]

    def ranks(self) -> Dealer:
        """By rank within the class."""
        files = self._tally(StrataTally(self.n_classes))
        counts = np.stack([np.fromfile(file, dtype=np.int64) for file in files])
        rows, runs = counts.reshape(len(files), 2, self.n_classes).transpose(1, 0, 2)
        strata = Strata.of(rows, runs, self.rule, load=lambda b: bucket_runs(self.kept, b))
        return Ranks(strata)

    def slices(self) -> Dealer:
        """By time."""
        files = self._tally(TimeTally())
        times = [np.memmap(f, dtype=np.uint64, mode="r") for f in files if f.stat().st_size]
        wanted = slice_ranks(self.n_dealt, self.rule)
        n_below = int((wanted == 0).sum())
        bounds = order_statistics(times, wanted[n_below:] - 1)
        return Slices(bounds, n_below, self.rule.n_folds + 1)

    def parts(self, near: NearGroups | None) -> Dealer:
        """By group."""
        total = np.zeros(0, dtype=TALLIED)
        for file in self._tally(GroupTally()):
            total = GroupTally.add_up(np.concatenate([total, np.fromfile(file, dtype=TALLIED)]))
        groups = Groups.of(total["group"], total["classes"], total["n"])
        path = self.work.folder / "groups.bin"
        if near is None:
            return Parts.write(path, groups.names, deal_groups(groups, self.rule))
        member = np.searchsorted(groups.names, total["group"])
        least = np.full(len(groups.names), 2**64 - 1, dtype=np.uint64)
        np.minimum.at(least, member, total["least"])
        owner = self._owners(near, groups)
        speaks = np.full(len(least), 2**64 - 1, dtype=np.uint64)
        np.minimum.at(speaks, owner, least)
        sizes = np.bincount(owner, weights=groups.counts.sum(axis=1))
        self.demand_fit(int(sizes.max(initial=0)))
        names = speaks[owner]
        larger = Groups.of(names[member], total["classes"], total["n"])
        labels = deal_groups(larger, self.rule)[np.searchsorted(larger.names, names)]
        return Parts.write(path, groups.names, labels)

    def _owners(self, near: NearGroups, groups: Groups) -> NDArray[np.int64]:
        """The groups of the project, joined where near duplicates link them."""
        forest = Forest(len(groups.names))
        linked = _Linked.of(near, self.marks())
        first = np.full(len(linked.roots), -1, dtype=np.int64)
        for chunk in self.chunks():
            rows, at = linked.of_rows(chunk.rows)
            if chunk.keys.groups is None or not len(rows):
                continue
            own = np.searchsorted(groups.names, chunk.keys.groups[rows])
            new = first[at] < 0
            first[at[new]] = own[new]
            forest.join(first[at], own)
        return np.asarray(forest.leaders(), dtype=np.int64)

    def demand_fit(self, largest: int) -> None:
        """A group of near duplicates goes into one fold."""
        fold = (1 - self.rule.test_fraction) / self.rule.n_folds
        if largest > max(1.0, fold * self.n_dealt):
            raise DataError(
                f"a group of near duplicates must fit into one fold ({fold:.0%} of {self.n_dealt} "
                f"rows), and one has {largest} rows: rows of so few different values are alike by "
                "chance; set prepare.near_duplicates: report, or lower train.folds"
            )

    def marks(self) -> Labels:
        """Of all rows."""
        return np.fromfile(self.kept.marks, dtype=np.int8)

    def chunks(self) -> Iterator[Chunk]:
        """The kept rows of all buckets."""
        for bucket in range(self.kept.files.n_buckets):
            yield from self.kept.chunks(bucket)


@dataclass(frozen=True)
class _Linked:
    """The groups of two dealt rows or more.

    Attributes:
        leader: of all rows.
        sizes: dealt rows of each group, at its leader.
        roots: leaders of the groups, increasing.
    """

    leader: NDArray[np.int64]
    sizes: NDArray[np.int32]
    roots: NDArray[np.int64]

    @classmethod
    def of(cls, near: NearGroups, marks: Labels) -> _Linked:
        sizes = near.sizes(marks == KEPT)
        return cls(near.leader, sizes, np.flatnonzero(sizes > 1))

    def of_rows(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of some rows, the places of those in a group, and which group."""
        leaders = self.leader[rows]
        places = np.flatnonzero(self.sizes[leaders] > 1)
        return places, np.searchsorted(self.roots, leaders[places])


@dataclass(frozen=True)
class _Followed:
    """Of each group of near duplicates, the row of the least hash, which speaks for all of it."""

    linked: _Linked
    speakers: NDArray[np.int64]

    @classmethod
    def of(cls, dealing: _Dealing, near: NearGroups, marks: Labels) -> _Followed:
        linked = _Linked.of(near, marks)
        dealing.demand_fit(int(linked.sizes.max(initial=0)))
        n_groups = len(linked.roots)
        best = np.full((n_groups, 2), 2**64 - 1, dtype=np.uint64)
        speakers = np.full(n_groups, len(marks), dtype=np.int64)
        for chunk in dealing.chunks():
            places, at = linked.of_rows(chunk.rows)
            base, rows = chunk.keys.base[places], chunk.rows[places]
            order = np.lexsort((rows, base[:, 1], base[:, 0], at))
            order = order[np.append(True, at[order[1:]] != at[order[:-1]])[: len(order)]]
            at, base, rows = at[order], base[order], rows[order]
            held, holder = best[at], speakers[at]
            less = (base[:, 0] < held[:, 0]) | (
                (base[:, 0] == held[:, 0])
                & ((base[:, 1] < held[:, 1]) | ((base[:, 1] == held[:, 1]) & (rows < holder)))
            )
            best[at[less]], speakers[at[less]] = base[less], rows[less]
        return cls(linked, speakers)

    def _each(self, labels: Labels, wanted: int) -> Iterator[tuple[NDArray[np.int64], ...]]:
        for start in range(0, len(labels), WINDOW):
            rows = start + np.flatnonzero(labels[start : start + WINDOW] == wanted)
            places, at = self.linked.of_rows(rows)
            yield rows[places], self.speakers[at]

    def mark(self, labels: Labels) -> None:
        """Mark the rows that follow another."""
        for rows, speaker in self._each(labels, KEPT):
            labels[rows[rows != speaker]] = FOLLOWS

    def follow(self, labels: Labels) -> None:
        """Give them the labels of those that speak for them."""
        for rows, speaker in self._each(labels, FOLLOWS):
            labels[rows] = labels[speaker]
