"""What the labels of rows depend on, on disk: written piece by piece, read bucket by bucket.

A row's rank is its seeded hash (of its key, or of the whole row where it has none). Each piece
keeps its rows sorted by the rank's leading bits, with an index of `CELLS` cells; a bucket is a run
of cells over all pieces. So equal rows, all versions of a key, and rows that are neighbors in the
order of the hashes lie in one bucket, and a bucket is all that has to be in memory at once: about
200 bytes for each of its at most `BUCKET_ROWS` rows, however many rows there are. A bucket that
equal rows make larger is read in chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.canonical import write_atomic
from tenfold.data.hashing import mix
from tenfold.errors import StoreError
from tenfold.schema import Kind, Role, Schema

__all__ = [
    "BUCKET_ROWS",
    "CELLS",
    "Chunk",
    "KeyFiles",
    "KeyForm",
    "SplitKeys",
    "buckets_for",
    "rank_rows",
    "union",
    "write_keys",
]

CELLS = 1024
"""Of every piece's index (4 kB), and so most buckets: enough for a thousand million rows."""
BUCKET_ROWS = 2**20
"""Rows of a bucket at most, where no two rows are equal; about 200 MB while it is decided."""

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class SplitKeys:
    """What a label may depend on, one entry a row.

    Attributes:
        hashes: row hashes, shape (n_rows, 2).
        classes: class index to stratify by, shape (n_rows,); zeros without classes.
        groups: hash of the group, shape (n_rows,), or None.
        time: what is in order, shape (n_rows,), or None for the order of the rows.
        positions: of the rows in their source, shape (n_rows,); needed for ``sealed_after``.
        named: hash of the row's key (its own where it has none), shape (n_rows, 2), or None.
    """

    hashes: Hashes
    classes: NDArray[np.int32]
    groups: Hashes | None = None
    time: NDArray[np.int64] | NDArray[np.float64] | None = None
    positions: NDArray[np.int64] | None = None
    named: Hashes | None = None

    @property
    def base(self) -> Hashes:
        """What the label hangs on: the key's hash, or the row's; shape (n_rows, 2)."""
        return self.hashes if self.named is None else self.named

    def take(self, rows: NDArray[Any]) -> SplitKeys:
        """Some of the rows, by place or by mask."""
        return _each(lambda array: array[rows], self)

    def concat(self, other: SplitKeys) -> SplitKeys:
        """The rows of both, which have the same attributes."""
        return _each(lambda one, two: np.concatenate([one, two]), self, other)


def _each(change: Any, *keys: SplitKeys) -> SplitKeys:
    changed: dict[str, Any] = {}
    for name in (field.name for field in fields(SplitKeys)):
        arrays = [getattr(one, name) for one in keys]
        changed[name] = None if arrays[0] is None else change(*arrays)
    return SplitKeys(**changed)


@dataclass(frozen=True, slots=True)
class KeyForm:
    """Which keys the rows of a table have.

    Attributes:
        named: a key of their own.
        grouped: a group.
        time: NumPy's code of the time's type; empty without one.
        placed: their positions in the source, for a sealed end.
    """

    named: bool = False
    grouped: bool = False
    time: str = ""
    placed: bool = False

    @classmethod
    def of(cls, schema: Schema, *, placed: bool = False) -> KeyForm:
        """The keys that a schema names."""
        roles = {column.role: column for column in schema.columns}
        time = roles.get(Role.TIME)
        kind = "" if time is None else "<f8" if time.kind is Kind.NUMBER else "<i8"
        return cls(Role.KEY in roles, Role.GROUP in roles, kind, placed)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of one row in a file: 24 bytes, with everything 60."""
        parts: list[tuple[Any, ...]] = [("row", "<u4"), ("classes", "<i4"), ("hashes", "<u8", 2)]
        if self.named:
            parts.append(("named", "<u8", 2))
        if self.grouped:
            parts.append(("groups", "<u8"))
        if self.time:
            parts.append(("time", self.time))
        if self.placed:
            parts.append(("positions", "<u4"))
        return np.dtype(parts)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a bucket.

    Attributes:
        rows: number of each row over all pieces, increasing; shape (n_rows,).
        keys: of these rows.
    """

    rows: NDArray[np.int64]
    keys: SplitKeys

    def take(self, rows: NDArray[Any]) -> Chunk:
        """Some of the rows, in order, by place or by mask."""
        return Chunk(self.rows[rows], self.keys.take(rows))


def union(one: Chunk | None, two: Chunk) -> Chunk:
    """The rows that are in either chunk, each once."""
    if one is None:
        return two
    rows, first = np.unique(np.concatenate([one.rows, two.rows]), return_index=True)
    return Chunk(rows, one.keys.concat(two.keys).take(first))


def rank_rows(base: Hashes, seed: int) -> Hashes:
    """A row's place in the order of the split: its first lane, mixed with the seed.

    Args:
        base: hashes, shape (n_rows, 2).
        seed: another one gives another order.
    """
    return mix(base[:, 0] ^ mix(np.array([seed], dtype=np.uint64)))


def buckets_for(n_rows: int, *, bucket_rows: int = BUCKET_ROWS) -> int:
    """How many buckets so many rows need: a power of two, at most `CELLS`.

    >>> buckets_for(10), buckets_for(50_000_000), buckets_for(10**12)
    (1, 64, 1024)
    """
    wanted = -(-n_rows // bucket_rows)
    return min(CELLS, 1 << max(0, wanted - 1).bit_length())


def write_keys(path: Path, keys: SplitKeys, form: KeyForm, *, seed: int) -> None:
    """Keep the keys of a piece.

    Args:
        path: where.
        keys: of its rows, in their order; positions within the piece.
        form: which keys there are.
        seed: of the split.

    Raises:
        StoreError: the disk refuses.
    """
    cells = (rank_rows(keys.base, seed) // np.uint64(2**64 // CELLS)).astype(np.uint16)
    order = np.argsort(cells, kind="stable")  # a radix sort
    records = np.empty(len(order), dtype=form.dtype)
    records["row"] = order
    for name in form.dtype.names or ():
        if name != "row":
            records[name] = getattr(keys, name)[order]
    index = np.zeros(CELLS + 1, dtype="<u4")
    index[1:] = np.cumsum(np.bincount(cells, minlength=CELLS))
    write_atomic(path, index.tobytes() + records.tobytes())


@dataclass(frozen=True)
class KeyFiles:
    """The keys of all pieces, by bucket.

    Attributes:
        files: one a piece, as `write_keys` left them.
        starts: number of each piece's first row over all pieces.
        records: records of the source before each piece.
        form: which keys there are.
        n_buckets: a power of two, at most `CELLS`.
        chunk_rows: most rows of a chunk, where it is more than one piece.
    """

    files: Sequence[Path]
    starts: Sequence[int]
    records: Sequence[int]
    form: KeyForm
    n_buckets: int = 1
    chunk_rows: int = 2 * BUCKET_ROWS

    def chunks(self, bucket: int) -> Iterator[Chunk]:
        """The rows of a bucket in their order: one chunk, or more where it is large.

        Raises:
            StoreError: a file is gone or cut.
        """
        held: list[Chunk] = []
        for piece in range(len(self.files)):
            part = self._read(piece, bucket)
            if held and sum(len(each.rows) for each in held) + len(part.rows) > self.chunk_rows:
                yield _joined(held)
                held = []
            held.append(part)
        yield _joined(held)

    def n_chunks(self, bucket: int) -> int:
        """How many chunks the bucket is read in."""
        n_chunks, filled = 1, 0
        for piece in range(len(self.files)):
            _, n_rows = self._range(piece, bucket)
            if filled and filled + n_rows > self.chunk_rows:
                n_chunks, filled = n_chunks + 1, 0
            filled += n_rows
        return n_chunks

    def _range(self, piece: int, bucket: int) -> tuple[int, int]:
        """First record and number of records of a bucket within a piece."""
        width = CELLS // self.n_buckets
        index = self._fetch(piece, np.dtype("<u4"), 4 * bucket * width, width + 1)
        return int(index[0]), int(index[-1] - index[0])

    def _read(self, piece: int, bucket: int) -> Chunk:
        first, n_rows = self._range(piece, bucket)
        kind = self.form.dtype
        found = self._fetch(piece, kind, 4 * (CELLS + 1) + kind.itemsize * first, n_rows)
        found = found[np.argsort(found["row"], kind="stable")]
        names = [name for name in kind.names or () if name != "row"]
        keys = SplitKeys(**{name: np.ascontiguousarray(found[name]) for name in names})
        if keys.positions is not None:
            keys = replace(keys, positions=keys.positions.astype(np.int64) + self.records[piece])
        return Chunk(found["row"].astype(np.int64) + self.starts[piece], keys)

    def _fetch(self, piece: int, kind: np.dtype[Any], offset: int, count: int) -> NDArray[Any]:
        try:
            found = np.fromfile(self.files[piece], dtype=kind, count=count, offset=offset)
        except OSError as error:
            raise StoreError(
                f"{self.files[piece]} must be readable: {error.strerror}; run the command again"
            ) from error
        if len(found) != count:
            raise StoreError(
                f"{self.files[piece]} must have {count} records from byte {offset}, and has "
                f"{len(found)}; remove its folder, then run the command again"
            )
        return found


def _joined(parts: list[Chunk]) -> Chunk:
    rows = np.concatenate([part.rows for part in parts])
    return Chunk(rows, _each(lambda *arrays: np.concatenate(arrays), *(p.keys for p in parts)))
