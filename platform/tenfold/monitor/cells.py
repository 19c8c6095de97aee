"""The cells of one column: where a live value is counted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import ArtifactError
from tenfold.schema import Column, Kind

if TYPE_CHECKING:
    from tenfold.profile import Profile

__all__ = ["FeatureBins", "empty_cells", "freeze_column", "quantile_levels"]

N_EDGES = 19
"""Quantile edges of a number: twenty cells of five per cent each see shifts of a quarter sigma."""

TOP_CATEGORIES = 20
"""Categories with a cell of their own; the others share one."""

RANGE_SLACK = 0.1
"""Share of the reference's width by which a value may leave it before it is *out of range*."""


@dataclass(frozen=True, slots=True)
class FeatureBins:
    """The cells of one column.

    Attributes:
        name: the column.
        ordered: True for numbers (cells in order of value), False for categories.
        thresholds: for numbers, ascending; cell k holds the values above exactly k thresholds.
            The first and the last are the ends of the allowed range.
        lookup: for categories, domain index → cell.
        labels: one word per cell, for people.
        watched: whether its evidence may raise an alarm. Dates move by themselves: False.
    """

    name: str
    ordered: bool
    thresholds: tuple[float, ...]
    lookup: tuple[int, ...]
    labels: tuple[str, ...]
    watched: bool = True

    @property
    def n_cells(self) -> int:
        """Number of cells, ``missing`` included."""
        return len(self.labels)

    @property
    def outside(self) -> tuple[int, ...]:
        """Cells beyond the range of the reference (numbers only)."""
        return (0, self.n_cells - 2) if self.ordered and self.thresholds else ()

    @property
    def unseen(self) -> tuple[int, ...]:
        """The cell of values that the reference never held (categories only)."""
        return () if self.ordered else (self.n_cells - 2,)

    def to_dict(self) -> dict[str, Any]:
        """The cells as JSON values."""
        return {
            "name": self.name,
            "ordered": self.ordered,
            "thresholds": list(self.thresholds),
            "lookup": list(self.lookup),
            "labels": list(self.labels),
            "watched": self.watched,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> FeatureBins:
        """The inverse of `to_dict`.

        Raises:
            ArtifactError: cells, thresholds and lookup do not fit together.
        """
        thresholds = tuple(float(edge) for edge in value["thresholds"])
        lookup = tuple(int(cell) for cell in value["lookup"])
        bins = cls(
            name=str(value["name"]),
            ordered=bool(value["ordered"]),
            thresholds=thresholds,
            lookup=lookup,
            labels=tuple(str(label) for label in value["labels"]),
            watched=bool(value["watched"]),
        )
        fits = bins.n_cells == len(thresholds) + 2 if bins.ordered else bins.n_cells >= 3
        inside = all(0 <= cell < bins.n_cells for cell in lookup)
        rising = all(low < high for low, high in itertools.pairwise(thresholds))
        if not (fits and inside and rising and all(map(math.isfinite, thresholds))):
            raise ArtifactError(
                f"frozen bins of column {bins.name!r} must have rising thresholds and cells that "
                f"fit them, got {bins.n_cells} cells; publish the model again"
            )
        return bins

    @classmethod
    def of_numbers(
        cls, name: str, edges: npt.ArrayLike, low: float, high: float, *, watched: bool = True
    ) -> FeatureBins:
        """Cells of a number from inner edges and the range of the reference.

        Args:
            name: the column.
            edges: inner edges in any order; repeated ones and those at the top are dropped.
            low: smallest allowed value.
            high: largest allowed value.
            watched: whether its evidence may raise an alarm.
        """
        slack = RANGE_SLACK * (high - low) or RANGE_SLACK * max(abs(high), 1.0)
        bottom, top = math.nextafter(low - slack, -math.inf), high + slack
        inner = np.unique(np.asarray(edges, dtype=np.float64))
        inner = inner[(inner >= low) & (inner < high)]
        cuts = (bottom, *inner.tolist(), top)
        words = [f"below {low:.6g}"]
        words += [f"to {edge:.6g}" for edge in (*inner, high)]
        words += [f"above {high:.6g}", "missing"]
        return cls(
            name, ordered=True, thresholds=cuts, lookup=(), labels=tuple(words), watched=watched
        )

    @classmethod
    def of_categories(
        cls, name: str, domain: tuple[str, ...], counts: Mapping[str, int]
    ) -> FeatureBins:
        """Cells of a category: the most frequent values of its domain, in order of frequency."""
        order = sorted(range(len(domain)), key=lambda i: (-counts.get(domain[i], 0), domain[i]))
        top = order[:TOP_CATEGORIES]
        lookup = [len(top)] * len(domain)
        for cell, index in enumerate(top):
            lookup[index] = cell
        labels = (*(domain[index] for index in top), "other", "unseen", "missing")
        return cls(name, ordered=False, thresholds=(), lookup=tuple(lookup), labels=labels)


def quantile_levels() -> npt.NDArray[np.float64]:
    """Levels of the inner edges, ``(N_EDGES,)``."""
    return np.arange(1, N_EDGES + 1) / (N_EDGES + 1)


def empty_cells(name: str) -> FeatureBins:
    """A column that the reference never saw filled: a value or none."""
    return FeatureBins(name, ordered=True, thresholds=(), lookup=(), labels=("value", "missing"))


def freeze_column(column: Column, profile: Profile) -> FeatureBins:
    """The cells of a feature from the profile of the training rows."""
    if column.domain is not None:
        summary = profile.categories.get(column.name)
        counts = {} if summary is None else summary.counts
        return FeatureBins.of_categories(column.name, column.domain, counts)
    number = profile.numbers.get(column.name)
    if column.name in profile.texts:
        number = profile.texts[column.name].words  # a text is coded as its number of words
    if number is None or number.count == 0:
        return empty_cells(column.name)
    if column.kind is Kind.BOOLEAN:
        share = round(number.mean * number.count)
        counts = {"true": share, "false": number.count - share}
        return FeatureBins.of_categories(column.name, ("false", "true"), counts)
    low = min(x for x in (number.minimum, column.minimum) if x is not None)
    high = max(x for x in (number.maximum, column.maximum) if x is not None)
    edges = [number.quantile(float(q)) for q in quantile_levels()]
    return FeatureBins.of_numbers(
        column.name, edges, low, high, watched=column.kind is not Kind.DATETIME
    )
