"""Data quality: the missing, unseen and out-of-range values of every column.

Broken data shows here first: a column that arrives empty, in another unit, or with words that the
model never met. Such data must be repaired, not learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tenfold.monitor.bins import FrozenBins
from tenfold.monitor.bounds import rate_upper

__all__ = [
    "KINDS",
    "EventCells",
    "QualityStream",
    "quality_bounds",
    "quality_counts",
    "quality_streams",
]

KINDS = ("missing", "unseen", "out_of_range")

TOLERANCE = 0.05
"""Rise of such a rate over the reference that is still taken for weather, not for a break."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class QualityStream:
    """One rate that is watched.

    Attributes:
        column: name of the feature.
        kind: one of `KINDS`.
        cells: flat cells whose counts add up to the events.
    """

    column: str
    kind: str
    cells: tuple[int, ...]


def quality_streams(bins: FrozenBins) -> tuple[QualityStream, ...]:
    """The rates of the features: missing for all; unseen for categories; range for numbers.

    Dates are outside their range from the first live row on, and rightly so: no stream for that.
    """
    streams: list[QualityStream] = []
    for column, first in zip(bins.features, bins.offsets.tolist(), strict=False):
        last = first + column.n_cells - 1
        streams.append(QualityStream(column.name, "missing", (last,)))
        if column.unseen:
            cells = tuple(first + cell for cell in column.unseen)
            streams.append(QualityStream(column.name, "unseen", cells))
        if column.outside and column.watched:
            cells = tuple(first + cell for cell in column.outside)
            streams.append(QualityStream(column.name, "out_of_range", cells))
    return tuple(streams)


class EventCells:
    """Where the events of every stream lie in a flat vector of counts.

    Args:
        streams: each with at least one cell.
    """

    def __init__(self, streams: tuple[QualityStream, ...]) -> None:
        sizes = np.array([len(stream.cells) for stream in streams], dtype=np.intp)
        self._cells = np.array([c for stream in streams for c in stream.cells], dtype=np.intp)
        self._starts = np.cumsum(sizes) - sizes

    def count(self, counts: Counts) -> Counts:
        """Events of every stream, ``(n_streams,)``; of many blocks ``(n_blocks, n_streams)``."""
        if not len(self._starts):
            return np.zeros((*counts.shape[:-1], 0), dtype=np.int64)
        return np.add.reduceat(counts[..., self._cells], self._starts, axis=-1)


def quality_counts(streams: tuple[QualityStream, ...], counts: Counts) -> Counts:
    """Events of every stream in a flat vector of counts, ``(n_streams,)``."""
    return EventCells(streams).count(counts)


def quality_bounds(
    streams: tuple[QualityStream, ...], totals: Counts, n_rows: int, *, delta: float
) -> npt.NDArray[np.float64]:
    """The rate above which a stream is harmful: the reference's upper limit and the tolerance.

    Args:
        streams: of the reference's bins.
        totals: the reference's counts, ``(n_cells,)``.
        n_rows: rows behind them.
        delta: chance that any stream's true rate is above its limit, shared among them.
    """
    each = delta / max(len(streams), 1)
    upper = rate_upper(quality_counts(streams, totals), n_rows, delta=each)
    return np.minimum(upper + TOLERANCE, 1.0)
