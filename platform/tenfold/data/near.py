"""Rows that are nearly the same: equal but for one part of their columns, numbers rounded.

The features and the target are dealt into parts: one column each up to `MAX_PARTS` columns, above
that so many parts of neighbors. A part has one 64-bit sum of its columns' value hashes, so a row
without one part is the sum of the others: two rows are near if they agree without some part. Each
part left out is one sort over the rows. Above `MAX_SORTED` entries parts are put together, so the
cost is bounded: what is left out is then several columns at once. `find_near` has all rows in
memory (73 to 103 bytes a row); `tenfold.data.near_jobs` does the same by buckets.

Rows that are equal in every column are near no row for that alone; rows that are equal only once
their numbers are rounded are.

Nothing is random, and neither the order nor the cut of the rows changes who is near whom. Nearness
goes on from row to row: a group is all rows that are linked through others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tenfold.canonical import write_atomic
from tenfold.data.hashing import from_binary, mix, value_lanes
from tenfold.data.snapshot import HASH
from tenfold.data.text import whole
from tenfold.schema import Kind, Role, Schema

__all__ = [
    "MIN_COLUMNS",
    "NearRows",
    "NearSums",
    "differing",
    "find_near",
    "merge_groups",
    "near_parts",
    "near_sums",
    "parts_left_out",
    "row_lane",
    "write_near",
]

MAX_PARTS = 32
"""Parts of the columns; each costs a sort over all rows."""
MIN_COLUMNS = 4
"""With fewer columns, equal but for one of them says nothing."""
MAX_SORTED = 64_000_000
"""Rows times parts that are sorted at most: about 10 s on one core."""
MIN_PARTS = 4
"""Above `MAX_SORTED` still so many, so that most of a row must agree."""
ROUNDED_BITS = 10
"""Numbers are compared to ten binary digits, about three decimal ones."""

Sums = NDArray[np.uint64]


@dataclass(frozen=True)
class NearRows:
    """Who is near whom.

    Attributes:
        leader: for each row, one row of its group, the same for all of the group; shape (n_rows,).
        facts: for the manifest: ``n_rows`` in groups of two or more, ``n_groups``, ``largest``,
            ``differ_in`` (columns left out, and how many rows agree with another without them).
    """

    leader: NDArray[np.int64]
    facts: dict[str, Any] = field(default_factory=dict)


def near_parts(schema: Schema) -> list[tuple[str, ...]]:
    """The columns of each part; empty if there are too few to compare."""
    names = [c.name for c in schema.columns if c.role in (Role.FEATURE, Role.TARGET)]
    if len(names) < MIN_COLUMNS:
        return []
    n_parts = min(MAX_PARTS, len(names))
    bounds = [len(names) * part // n_parts for part in range(n_parts + 1)]
    return [tuple(names[a:b]) for a, b in pairwise(bounds)]


def near_sums(table: pa.Table, schema: Schema) -> Sums:
    """The sum of value hashes of each part of each row; shape (n_parts, n_rows).

    Args:
        table: a cleaned table.
        schema: its columns.
    """
    parts = near_parts(schema)
    out = np.zeros((len(parts), table.num_rows), dtype=np.uint64)
    places = {name: place for place, name in enumerate(table.column_names)}
    for index, names in enumerate(parts):
        for name in names:
            column = schema.column(name)
            seed = hashlib.blake2b(name.encode(), digest_size=8).digest()
            lane = _rounded_lane(whole(table.column(places[name])), column.kind)
            out[index] += mix(lane + np.frombuffer(seed, dtype="<u8").astype(np.uint64))
    return out


def row_lane(table: pa.Table) -> Sums:
    """What rows that are equal in every column have in common: half of their hash; (n_rows,)."""
    return np.ascontiguousarray(from_binary(table.column(HASH))[:, 0])


def write_near(path: Path, table: pa.Table, schema: Schema) -> None:
    """Keep the sums of a piece, part by part, and then its `row_lane`; see `NearSums`."""
    write_atomic(path, near_sums(table, schema).tobytes() + row_lane(table).tobytes())


@dataclass(frozen=True)
class NearSums:
    """The sums of all pieces on disk, one part at a time in memory.

    Attributes:
        files: one a piece, as `write_near` left them.
        n_rows: rows of each piece.
        kept: which rows of all count; shape (sum of ``n_rows``,).
    """

    files: Sequence[Path]
    n_rows: Sequence[int]
    kept: NDArray[np.bool_]

    def __call__(self, part: int) -> Sums:
        """The sums of one part, or the `row_lane` behind the last; shape (n_kept,)."""
        found = [
            np.fromfile(file, dtype=np.uint64, count=n_rows, offset=8 * n_rows * part)
            for file, n_rows in zip(self.files, self.n_rows, strict=True)
        ]
        return np.concatenate(found)[self.kept]


def find_near(
    parts: Sequence[tuple[str, ...]], sums: Callable[[int], Sums], *, n_rows: int
) -> NearRows:
    """Group rows that agree without one part, unless they are equal in every column.

    Args:
        parts: columns of each part.
        sums: gives a part's sum of value hashes and, for the number of parts, the `row_lane`;
            shape (n_rows,).
        n_rows: rows to compare.

    >>> table = np.array([[1, 2, 3, 0], [1, 2, 9, 1], [7, 8, 9, 2], [7, 8, 9, 2]], np.uint64)
    >>> near = find_near([("a",), ("b",), ("c",)], lambda part: table[:, part], n_rows=4)
    >>> near.leader.tolist(), near.facts["differ_in"]
    ([0, 0, 2, 3], [{'columns': ['c'], 'n_rows': 2}])
    """
    leader = np.arange(n_rows)
    if not parts or not n_rows:
        return NearRows(leader)
    total = np.zeros(n_rows, dtype=np.uint64)
    for part in range(len(parts)):
        total += sums(part)
    rows = sums(len(parts))
    runs = parts_left_out(len(parts), n_rows)
    n_differing = []
    for together in runs:
        left = total.copy()
        for part in together:
            left -= sums(part)
        ranked = np.sort(left)  # cheaper than their order, which few tables need
        if not (ranked[1:] == ranked[:-1]).any():
            n_differing.append(0)
            continue
        order = np.argsort(left, kind="stable")
        same = ranked[1:] == ranked[:-1]
        n_differing.append(int(_in_mixed_runs(total[order], same).sum()))
        same &= _in_mixed_runs(rows[order], same)[1:]
        if same.any():
            leader = merge_groups(leader, order[:-1][same], order[1:][same])
    sizes = np.bincount(leader, minlength=n_rows)
    return NearRows(
        leader,
        {
            "n_rows": int(sizes[sizes > 1].sum()),
            "n_groups": int((sizes > 1).sum()),
            "largest": int(sizes.max()),
            "differ_in": differing(parts, runs, n_differing),
        },
    )


def differing(
    parts: Sequence[tuple[str, ...]], runs: Sequence[range], n_differing: Sequence[int]
) -> list[dict[str, Any]]:
    """Which columns tell near rows apart, those of most rows first; at most `MAX_PARTS`.

    Args:
        parts: columns of each part.
        runs: the parts that were left out together.
        n_differing: rows that agree with another without each run, and not with it.

    >>> differing([("a",), ("b", "c")], [range(0, 1), range(1, 2)], [0, 2])
    [{'columns': ['b', 'c'], 'n_rows': 2}]
    """
    found: list[dict[str, Any]] = [
        {"columns": [name for part in run for name in parts[part]], "n_rows": n_rows}
        for run, n_rows in zip(runs, n_differing, strict=True)
        if n_rows
    ]
    found.sort(key=lambda each: (-each["n_rows"], each["columns"]))
    return found[:MAX_PARTS]


def _in_mixed_runs(values: Sums, same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows in runs of equals (``same``: as the row before) whose values are not all equal."""
    starts = np.flatnonzero(np.append(True, ~same))
    lengths = np.diff(np.append(starts, len(values)))
    mixed = np.minimum.reduceat(values, starts) != np.maximum.reduceat(values, starts)
    return np.repeat(mixed, lengths)


def merge_groups(
    leader: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Groups after linking rows ``first[i]`` and ``second[i]``; a leader is a row of its group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_rows = len(leader)
    ends = leader[first], leader[second]
    links = coo_array((np.ones(len(first), dtype=np.int8), ends), shape=(n_rows, n_rows))
    _, group = connected_components(links, directed=False)
    place = np.full(int(group.max()) + 1, n_rows, dtype=np.int64)
    np.minimum.at(place, group, np.arange(n_rows))
    return np.asarray(place[group[leader]], dtype=np.int64)


def parts_left_out(n_parts: int, n_rows: int) -> list[range]:
    """Parts left out together: one each, or fewer and larger runs where rows are many.

    >>> parts_left_out(3, 100), len(parts_left_out(25, 50_000_000))
    ([range(0, 1), range(1, 2), range(2, 3)], 4)
    """
    most = min(n_parts, max(MIN_PARTS, MAX_SORTED // n_rows))
    bounds = [n_parts * run // most for run in range(most + 1)]
    return [range(a, b) for a, b in pairwise(bounds)]


def _rounded_lane(values: pa.Array, kind: Kind) -> Sums:
    if kind not in (Kind.NUMBER, Kind.INTEGER):
        return value_lanes(values, kind)[:, 0]
    whole = values.cast(pa.float64(), safe=False)  # beyond 2^53 the last digits do not matter
    floats = np.asarray(whole.to_numpy(zero_copy_only=False), dtype=np.float64)
    fraction, power = np.frexp(floats)
    rounded = np.ldexp(np.rint(np.ldexp(fraction, ROUNDED_BITS)), power - ROUNDED_BITS) + 0.0
    return mix(np.where(np.isnan(rounded), np.nan, rounded).view(np.uint64))
