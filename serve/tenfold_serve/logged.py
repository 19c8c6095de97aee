"""Rows of the prediction log on their way to the joining of labels: by column, not by row.

The keeper reads them, the aggregator keeps the newest for joining, and most never get a label. As
objects they cost 8 us of CPU a row on the way and an index whose every full garbage collection
walked 200,000 of them, 0.1 s; by column they cost 0.6 us, and a row is made when a label asks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["INDEX_COLUMNS", "LoggedPredictions", "epoch_seconds"]

INDEX_COLUMNS: Final = ("__id", "__version", "__value", "__scores", "__at")
"""What joining needs of the predictions table."""


@dataclass(frozen=True, eq=False)
class LoggedPredictions:
    """Some rows of the prediction log, as far as joining needs them.

    Attributes:
        ids: prediction ids.
        versions: int32 (n_rows,), of the model that answered.
        values: what was answered, as the log has it.
        scores: float64, those of all rows one after the other.
        ends: int64 (n_rows,), where each row's scores end.
        at_s: float64 (n_rows,), when, seconds since 1970.

    >>> one = LoggedPredictions.of([("a", 1, "yes", (0.3, 0.7), 5.0), ("b", 2, "no", (), 6.0)])
    >>> len(one), one.scores_at(1).tolist(), one.versions.tolist()
    (2, [0.7, nan], [1, 2])
    """

    ids: list[str]
    versions: npt.NDArray[np.int32]
    values: list[str]
    scores: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]
    at_s: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(
        cls, rows: Collection[tuple[str, int, str, Collection[float], float]]
    ) -> LoggedPredictions:
        """From rows ``(id, version, value, scores, at_s)``."""
        return cls(
            [row[0] for row in rows],
            np.array([row[1] for row in rows], dtype=np.int32),
            [row[2] for row in rows],
            np.array([score for row in rows for score in row[3]], dtype=np.float64),
            np.cumsum([len(row[3]) for row in rows], dtype=np.int64),
            np.array([row[4] for row in rows], dtype=np.float64),
        )

    @classmethod
    def from_table(cls, table: pa.Table) -> LoggedPredictions:
        """From rows of the predictions table with `INDEX_COLUMNS`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not table.num_rows:
            return cls.of([])
        one = {name: table.column(name).combine_chunks() for name in INDEX_COLUMNS}
        sizes = pc.list_value_length(one["__scores"]).fill_null(0)
        scores = one["__scores"].flatten().cast(pa.float64()).fill_null(np.nan)
        return cls(
            one["__id"].to_pylist(),
            one["__version"].cast(pa.int32()).to_numpy(zero_copy_only=False),
            one["__value"].to_pylist(),
            scores.to_numpy(zero_copy_only=False),
            np.cumsum(sizes.to_numpy(zero_copy_only=False), dtype=np.int64),
            epoch_seconds(table.column("__at")),
        )

    def scores_at(self, place: int) -> npt.NDArray[np.float64]:
        """Each row's score at a place, ``(n_rows,)``; NaN where it has none."""
        starts = np.concatenate([[0], self.ends[:-1]]) if len(self.ends) else self.ends
        has = self.ends - starts > place
        found = np.full(len(self.ends), np.nan)
        found[has] = self.scores[starts[has] + place]
        return found


def epoch_seconds(times: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Seconds since 1970 of a column of times without a gap."""
    import pyarrow as pa

    micros = times.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return np.asarray(micros.to_numpy(), dtype=np.float64) / 1e6
