"""Near duplicates of any number of rows: `tenfold.data.near`, bucket by bucket.

For each run of parts that is left out, every piece sorts its rows into buckets by the leading bits
of what is left (28 bytes a row and run on disk, at most `MIN_PARTS` runs where rows are many); a
bucket holds all rows that agree there, so it finds the links by itself. What one process holds of
all rows is the forest of the links and the size of each group: 8 bytes a row, 12 above 2^31 rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.canonical import write_atomic
from tenfold.data.arrow_file import read_arrow
from tenfold.data.forest import WINDOW, Forest
from tenfold.data.keys import BUCKET_ROWS, buckets_for
from tenfold.data.near import (
    NearSums,
    differing,
    find_near,
    near_parts,
    near_sums,
    parts_left_out,
    row_lane,
    write_near,
)
from tenfold.data.work import Work
from tenfold.schema import Schema

__all__ = ["CutJob", "LinkJob", "NearGroups", "NearJob", "NearPlan", "find_near_rows"]

_CUT = np.dtype([("left", "<u8"), ("total", "<u8"), ("lane", "<u8"), ("row", "<u4")])
_SEEN = np.dtype(
    [("left", "<u8"), ("low", "<u8"), ("high", "<u8"), ("low_lane", "<u8"), ("high_lane", "<u8"),
     ("first", "<i8"), ("n", "<i8")]
)  # fmt: skip
_LINK = np.dtype([("first", "<i8"), ("second", "<i8")])


def _near_file(folder: Path, piece: int) -> Path:
    return folder / f"near-{piece:05d}.bin"


def _cut_file(folder: Path, piece: int) -> Path:
    return folder / f"cut-{piece:05d}.bin"


def _link_file(folder: Path, bucket: int) -> Path:
    return folder / f"link-{bucket:05d}.bin"


@dataclass(frozen=True)
class NearPlan:
    """Where rows are compared, and how many at once.

    Attributes:
        tables: the clean rows of each piece.
        n_rows: rows of each piece.
        marks: file with one int8 a row over all pieces.
        counted: marks of the rows that are compared.
        bucket_rows: rows of a bucket; fewer in all are compared in memory.
    """

    tables: Sequence[Path]
    n_rows: Sequence[int]
    marks: Path
    counted: tuple[int, ...]
    bucket_rows: int = BUCKET_ROWS

    def kept(self, piece: int | None = None) -> NDArray[np.bool_]:
        """Which rows are compared, of one piece or of all."""
        count = -1 if piece is None else self.n_rows[piece]
        offset = 0 if piece is None else int(np.sum(self.n_rows[:piece], dtype=np.int64))
        marks = np.fromfile(self.marks, dtype=np.int8, count=count, offset=offset)
        found = np.zeros(len(marks), dtype=bool)  # np.isin would take 12 bytes a row
        for mark in self.counted:
            found |= marks == mark
        return found


@dataclass(frozen=True)
class NearGroups:
    """Who is near whom.

    Attributes:
        leader: for each row the least row of its group, itself where it is alone; shape (n_rows,).
        facts: as `tenfold.data.near.NearRows` has them.
    """

    leader: NDArray[Any]
    facts: dict[str, Any] = field(default_factory=dict)

    def sizes(self, kept: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Kept rows of each group, at its leader; shape (n_rows,)."""
        found = np.zeros(len(self.leader), dtype=np.int32)
        for start in range(0, len(found), WINDOW):
            window = slice(start, start + WINDOW)
            np.add.at(found, self.leader[window][kept[window]], 1)
        return found

    def across(self, labels: NDArray[np.int8], *, lowest: int) -> dict[str, int]:
        """How many groups the split has torn, and of these, out of the test set.

        Args:
            labels: of all rows, shape (n_rows,).
            lowest: label of the test set; rows with a lower one do not count.
        """
        sizes = self.sizes(labels >= lowest)
        roots = np.flatnonzero(sizes > 1)
        low, high = np.full(len(roots), 127, np.int8), np.full(len(roots), -127, np.int8)
        for start in range(0, len(labels), WINDOW):
            window = slice(start, start + WINDOW)
            leaders, found = self.leader[window], labels[window]
            linked = (found >= lowest) & (sizes[leaders] > 1)
            at = np.searchsorted(roots, leaders[linked])
            np.minimum.at(low, at, found[linked])
            np.maximum.at(high, at, found[linked])
        torn = low < high
        return {"n_torn": int(torn.sum()), "n_torn_from_test": int((torn & (low == lowest)).sum())}


def find_near_rows(work: Work, schema: Schema, plan: NearPlan) -> NearGroups | None:
    """Near duplicates among the rows of all pieces; None if there are too few columns to compare.

    Raises:
        StoreError: the disk refuses.
    """
    parts = near_parts(schema)
    kept = plan.kept()
    n_kept = int(kept.sum())
    if not parts:
        return None
    if n_kept <= plan.bucket_rows:
        return _in_memory(work, schema, plan, kept)
    n_buckets = buckets_for(n_kept, bucket_rows=plan.bucket_rows)
    runs = parts_left_out(len(parts), n_kept)
    work.run("compare rows", CutJob(work.folder, plan, schema, runs, n_buckets), _cut_file)
    link = LinkJob(work.folder, plan.n_rows, len(runs), n_buckets, 2 * plan.bucket_rows)
    work.run("link rows", link, _link_file, n_pieces=len(runs) * n_buckets)
    forest = Forest(len(kept))
    n_differing = [0] * len(runs)
    for place in range(len(runs) * n_buckets):
        file = _link_file(work.folder, place)
        n_differing[place // n_buckets] += int(np.fromfile(file, dtype=np.int64, count=1)[0])
        for links in _windows(file):
            forest.join(links["first"], links["second"])
    found = NearGroups(forest.leaders())
    sizes = found.sizes(kept)
    linked = sizes > 1
    facts = {
        "n_rows": int(sizes[linked].sum(dtype=np.int64)),
        "n_groups": int(linked.sum()),
        "largest": int(sizes.max(initial=0)),
        "differ_in": differing(parts, runs, n_differing),
    }
    return NearGroups(found.leader, facts)


def _in_memory(work: Work, schema: Schema, plan: NearPlan, kept: NDArray[np.bool_]) -> NearGroups:
    work.run("compare rows", NearJob(work.folder, plan, schema), _near_file)
    files = [_near_file(work.folder, piece) for piece in range(work.n_pieces)]
    places = np.flatnonzero(kept)
    sums = NearSums(files, plan.n_rows, kept)
    near = find_near(near_parts(schema), sums, n_rows=len(places))
    leader = np.arange(len(kept))
    leader[places] = places[near.leader]
    return NearGroups(leader, near.facts)


def _windows(file: Path) -> Iterator[NDArray[Any]]:
    with file.open("rb") as stream:
        stream.seek(8)
        while len(links := np.fromfile(stream, dtype=_LINK, count=WINDOW)):
            yield links


@dataclass(frozen=True)
class NearJob:
    """The sums of a piece's parts, where all rows fit into memory."""

    folder: Path
    plan: NearPlan
    schema: Schema

    def __call__(self, piece: int) -> None:
        """Sum one piece."""
        write_near(_near_file(self.folder, piece), read_arrow(self.plan.tables[piece]), self.schema)


@dataclass(frozen=True)
class CutJob:
    """A piece's rows by what is left of them without each run of parts, cut into buckets.

    Attributes:
        folder: the work folder.
        plan: where the rows are.
        schema: of the rows.
        runs: the parts that are left out together.
        n_buckets: a power of two.
    """

    folder: Path
    plan: NearPlan
    schema: Schema
    runs: Sequence[range]
    n_buckets: int

    def __call__(self, piece: int) -> None:
        """Cut one piece."""
        kept = np.flatnonzero(self.plan.kept(piece))
        table = read_arrow(self.plan.tables[piece])
        sums, lane = near_sums(table, self.schema)[:, kept], row_lane(table)[kept]
        total = sums.sum(axis=0, dtype=np.uint64)
        parts: list[bytes] = []
        for together in self.runs:
            left = total - sums[together.start : together.stop].sum(axis=0, dtype=np.uint64)
            buckets = (left // np.uint64(2**64 // self.n_buckets)).astype(np.uint16)
            order = np.argsort(buckets, kind="stable")
            records = np.empty(len(order), dtype=_CUT)
            records["left"], records["total"] = left[order], total[order]
            records["lane"], records["row"] = lane[order], kept[order]
            index = np.zeros(self.n_buckets + 1, dtype="<u4")
            index[1:] = np.cumsum(np.bincount(buckets, minlength=self.n_buckets))
            parts += [index.tobytes(), records.tobytes()]
        write_atomic(_cut_file(self.folder, piece), b"".join(parts))


@dataclass(frozen=True)
class LinkJob:
    """The links between rows that agree without one run of parts, of one bucket.

    Its pieces are the buckets of the first run, then those of the second, and so on.

    Attributes:
        folder: the work folder.
        n_rows: rows of each piece.
        n_runs: runs of parts.
        n_buckets: of each run.
        chunk_rows: most rows at once, where it is more than one piece.
    """

    folder: Path
    n_rows: Sequence[int]
    n_runs: int
    n_buckets: int
    chunk_rows: int

    def __call__(self, place: int) -> None:
        """Link the rows of one bucket."""
        run, bucket = divmod(place, self.n_buckets)
        seen = np.zeros(0, dtype=_SEEN)
        links: list[NDArray[Any]] = []
        for chunk in self._chunks(run, bucket):
            one, inner = _grouped(chunk)
            outer = np.zeros(0, dtype=_LINK)
            if len(seen):
                one, outer = _grouped(np.concatenate([seen, one]))
            links += [inner, outer]
            seen = one
        n_differing = int(seen["n"][seen["low"] != seen["high"]].sum())
        head = np.array([n_differing], dtype=np.int64).tobytes()
        equal = (seen["low_lane"] == seen["high_lane"]) & (seen["n"] > 1)
        kept = _but_for_equals(links, seen["first"][equal])
        write_atomic(_link_file(self.folder, place), b"".join([head, *kept]))

    def _chunks(self, run: int, bucket: int) -> Iterator[NDArray[Any]]:
        held: list[NDArray[Any]] = []
        start = 0
        for piece, n_rows in enumerate(self.n_rows):
            part = self._read(piece, run, bucket, start=start)
            if held and sum(map(len, held)) + len(part) > self.chunk_rows:
                yield np.concatenate(held)
                held = []
            held.append(part)
            start += n_rows
        yield np.concatenate(held)

    def _read(self, piece: int, run: int, bucket: int, *, start: int) -> NDArray[Any]:
        file = _cut_file(self.folder, piece)
        before = file.stat().st_size // self.n_runs * run
        with file.open("rb") as stream:
            stream.seek(before + 4 * bucket)
            first, end = np.fromfile(stream, dtype="<u4", count=2).tolist()
            stream.seek(before + 4 * (self.n_buckets + 1) + _CUT.itemsize * first)
            records = np.fromfile(stream, dtype=_CUT, count=end - first)
        out = np.ones(len(records), dtype=_SEEN)
        out["left"], out["low"], out["high"] = records["left"], records["total"], records["total"]
        out["low_lane"] = out["high_lane"] = records["lane"]
        out["first"] = records["row"].astype(np.int64) + start
        return out


def _but_for_equals(links: list[NDArray[Any]], firsts: NDArray[np.int64]) -> Iterator[bytes]:
    """Links but for those within runs of rows that are all equal.

    Args:
        links: of each chunk those within it, then those from earlier rows to its own.
        firsts: the first rows of the runs to leave out.
    """
    if not len(firsts):
        yield from (each.tobytes() for each in links)
        return
    for inner, outer in zip(links[::2], links[1::2], strict=True):
        away = np.isin(outer["first"], firsts)
        firsts = np.append(firsts, outer["second"][away])
        yield outer[~away].tobytes()
        yield inner[~np.isin(inner["first"], firsts)].tobytes()


def _grouped(seen: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """One record for all that are left with the same, and a link from its first row to each."""
    left = np.ascontiguousarray(seen["left"])
    ranks = np.sort(left)
    if not bool((ranks[1:] == ranks[:-1]).any()):  # most often: ten times faster than what follows
        return seen, np.zeros(0, dtype=_LINK)
    order = np.argsort(left, kind="stable")
    ranked = seen[order]
    start = np.ones(len(ranked), dtype=bool)
    start[1:] = ranked["left"][1:] != ranked["left"][:-1]
    begins = np.flatnonzero(start)
    out = ranked[begins]
    if len(begins):
        out["n"] = np.add.reduceat(ranked["n"], begins)
        for low, high in (("low", "high"), ("low_lane", "high_lane")):
            out[low] = np.minimum.reduceat(ranked[low], begins)
            out[high] = np.maximum.reduceat(ranked[high], begins)
    links = np.empty(len(ranked) - len(begins), dtype=_LINK)
    links["first"] = out["first"][np.cumsum(start)[~start] - 1]
    links["second"] = ranked["first"][~start]
    return out, links
