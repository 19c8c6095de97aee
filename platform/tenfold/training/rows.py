"""The rows that a training works on: codes, truth and fold numbers, in the order of row hashes.

Row-hash order has no meaning, is the same on every machine, and does not depend on how the snapshot
was cut into blocks, so equal snapshots give equal models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tenfold.cluster.work import SEARCH_ROWS
from tenfold.errors import DataError
from tenfold.features import encode_table
from tenfold.project.measures import Objective, Task
from tenfold.training.folds import TEST_FOLD
from tenfold.training.question import Question

if TYPE_CHECKING:
    import pyarrow as pa

    from tenfold.data.snapshot import Snapshot
    from tenfold.schema import Schema

__all__ = ["SEARCH_ROWS", "TrainingRows", "encode_rows", "load_rows", "stream_rows", "truth_of"]

_FULL = float(2**64)


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Columns of equal length, one entry a row.

    Attributes:
        codes: float64 (n_rows, n_columns), the features' codes.
        truth: class numbers int64, or float64 for regression; zeros for clustering.
        fold: fold numbers int8, -1 for the sealed test rows.
        position: int64, the rows' place in the source.
        hashes: bytes (n_rows,) of 16, what the order is made from.
        weights: float64 (n_rows,) or None.
    """

    codes: NDArray[np.float64]
    truth: NDArray[Any]
    fold: NDArray[np.int8]
    position: NDArray[np.int64]
    hashes: NDArray[np.bytes_]
    weights: NDArray[np.float64] | None = None

    @property
    def n_rows(self) -> int:
        """Rows that are held."""
        return len(self.truth)

    @property
    def cases(self) -> NDArray[np.int64]:
        """The number of each row's case, for rows in hash order: equal rows are one; (n_rows,)."""
        new = np.ones(self.n_rows, dtype=bool)
        new[1:] = self.hashes[1:] != self.hashes[:-1]
        return np.cumsum(new) - 1

    def take(self, rows: NDArray[Any]) -> TrainingRows:
        """Some rows, by index or mask."""
        return TrainingRows(
            self.codes[rows],
            self.truth[rows],
            self.fold[rows],
            self.position[rows],
            self.hashes[rows],
            None if self.weights is None else self.weights[rows],
        )

    def in_hash_order(self) -> TrainingRows:
        """The same rows by hash; equal rows by their place in the source."""
        return self.take(np.lexsort((self.position, self.hashes)))

    @property
    def training(self) -> TrainingRows:
        """All rows but the sealed ones."""
        return self.take(self.fold != TEST_FOLD)

    @property
    def test(self) -> TrainingRows:
        """The sealed rows."""
        return self.take(self.fold == TEST_FOLD)


def truth_of(question: Question, schema: Schema, table: pa.Table) -> NDArray[Any]:
    """The target of some rows: class numbers in the order of ``question.classes``, or float64.

    Raises:
        DataError: something counted is below 0.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if question.task is Task.CLUSTERING or schema.target is None:
        return np.zeros(table.num_rows, dtype=np.int64)
    values = table.column(schema.target.name)
    if question.task is Task.REGRESSION:
        numbers = np.asarray(values.cast(pa.float64()).to_numpy(), dtype=np.float64)
        if question.objective is Objective.COUNT and (numbers < 0).any():
            raise DataError(
                f"a count must be 0 or more, column {schema.target.name!r} has "
                f"{numbers[numbers < 0][0]:g}; declare its minimum, or ask for the mean"
            )
        return numbers
    found = pc.index_in(values.cast(pa.string()), value_set=pa.array(question.classes, pa.string()))
    return np.asarray(found.fill_null(-1).to_numpy(), dtype=np.int64)


def encode_rows(question: Question, schema: Schema, table: pa.Table) -> TrainingRows:
    """One table of a snapshot as training rows, in its own order.

    Rows without a known truth are left out: a missing target cannot be learned from.
    """
    import pyarrow as pa

    truth = truth_of(question, schema, table)
    known = ~np.isnan(truth) if truth.dtype.kind == "f" else truth >= 0
    weight = next((c.name for c in schema.columns if c.role.value == "weight"), None)
    hashes = table.column("__hash").combine_chunks()
    if isinstance(hashes, pa.ChunkedArray):  # an empty column stays chunked
        hashes = pa.concat_arrays(hashes.chunks)
    raw = np.frombuffer(hashes.buffers()[1], dtype="S16") if len(hashes) else np.zeros(0, "S16")
    rows = TrainingRows(
        codes=encode_table(schema, table),
        truth=truth,
        fold=np.asarray(table.column("__fold").to_numpy(), dtype=np.int8),
        position=np.asarray(table.column("__row").to_numpy(), dtype=np.int64),
        hashes=raw[hashes.offset : hashes.offset + len(hashes)],
        weights=None
        if weight is None
        else np.asarray(table.column(weight).cast(pa.float64()).to_numpy(), dtype=np.float64),
    )
    return rows if known.all() else rows.take(known)


def stream_rows(
    snapshot: Snapshot, question: Question, *, keep: float = 1.0
) -> Iterator[TrainingRows]:
    """The rows of a snapshot block by block; with ``keep`` < 1 the share with the lowest hashes,
    which is the same sample whatever the blocks."""
    bound = np.uint64(min(keep * _FULL, _FULL - 2048)) if keep < 1.0 else None
    for block in snapshot.blocks():
        rows = encode_rows(question, snapshot.schema, block)
        if bound is not None:
            rows = rows.take(_head(rows.hashes) < bound)
        yield rows


def _head(hashes: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """The first eight bytes of each hash as a number."""
    whole = np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, 16)[:, :8]
    return np.asarray(np.ascontiguousarray(whole).view(">u8").reshape(-1).astype(np.uint64))


def load_rows(
    snapshot: Snapshot, question: Question, *, max_rows: int | None = None
) -> TrainingRows:
    """The rows of a snapshot in hash order, or a sample of about ``max_rows`` by hash."""
    keep = 1.0
    if max_rows is not None and snapshot.n_rows > max_rows:
        keep = max_rows / snapshot.n_rows
    parts = list(stream_rows(snapshot, question, keep=keep))
    weights = [part.weights for part in parts if part.weights is not None]
    whole = TrainingRows(
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.fold for part in parts]),
        np.concatenate([part.position for part in parts]),
        np.concatenate([part.hashes for part in parts]),
        np.concatenate(weights) if weights else None,
    )
    return whole.in_hash_order()
